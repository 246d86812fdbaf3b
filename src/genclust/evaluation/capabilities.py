"""What an evaluation asks of a model: a model has a capability if it has its methods.

Evaluations name capabilities and no model, so a new model is measured by all evaluations whose methods it has.  Shapes
have a replica axis ``R`` first; images are rows of D values, means of p(x|·) in [0, 1] where the data are.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from genclust.models.base import Terms
from genclust.streams import Noise


@runtime_checkable
class HasClusters(Protocol):
    """There are clusters, and a posterior over them."""

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """log q(y|x), normalised over the clusters."""


@runtime_checkable
class HasLikelihood(Protocol):
    """The likelihood can be estimated by importance sampling."""

    def infer(self, x: Float[Tensor, "R B D"]) -> Any:
        """What q needs of x alone, computed once however many samples follow."""

    def log_weights(self, x: Float[Tensor, "R B D"], inferred: Any, n: int, noise: Noise) -> Float[Tensor, "n R B"]:
        """log w of ``n`` fresh samples, in nats; unbiased: E[w] = p(x).

        ``noise.normal(n, B, Z)`` draws ``[R, n, B, Z]``, replicas first; the result has the samples first.
        """


@runtime_checkable
class SumsOverClasses(Protocol):
    """Steps can sum over all classes, or over the most probable ones and one drawn of the others."""

    def with_classes(self, classes: int) -> Any:
        """A copy of the model that sums so many classes exactly in a step, 0 for all."""

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Any, noise: Noise) -> Terms:
        """The training objective on one batch."""


@runtime_checkable
class HasClassifiers(Protocol):
    """Labels are learned, so cluster k stands for class k."""

    def classifiers(self, x: Float[Tensor, "R B D"], n: int, noise: Noise) -> dict[str, Float[Tensor, "R B K"]]:
        """Log-probabilities of the classes from every classifier, averaged over ``n`` samples."""


@runtime_checkable
class Generates(Protocol):
    """Images can be reconstructed, and drawn from the prior."""

    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Means of p(x|·) at the means of q."""

    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(x|·) for ``n`` draws from the prior."""


@runtime_checkable
class DecodesStyle(Protocol):
    """A style z can be decoded under every cluster."""

    def decode_every_cluster(self, z: Float[Tensor, "R N Z"]) -> Float[Tensor, "R N K D"]:
        """Means of p(x|z, y) for every y."""


@runtime_checkable
class SamplesClusters(Protocol):
    """Images can be drawn from every cluster."""

    def sample_clusters(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Means of p(x|·) for ``n`` draws from every cluster."""


@runtime_checkable
class WalksThroughClusters(Protocol):
    """What varies within a cluster can be walked through."""

    def walk(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Means of p(x|·) of every cluster along a path of ``n`` steps."""


@runtime_checkable
class MapsLatentSpace(Protocol):
    """Data and clusters have places in one latent space."""

    def latent_map(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R ..."]]:
        """``latent_x`` and ``latent_clusters`` of the rows, their ``latent_reconstruction``, and ``component_means``
        and ``component_sds`` of the clusters."""


@runtime_checkable
class MapsTwoDimensions(Protocol):
    """A latent space of two dimensions can be decoded as a picture."""

    def two_dimensional_map(
        self, x: Float[Tensor, "R B D"], side: int, span: tuple[float, float], noise: Noise
    ) -> dict[str, Float[Tensor, "R ..."]]:
        """Places of the rows, a grid over them, and the images of the grid, by class and for any class."""


@runtime_checkable
class HasLayerClusters(Protocol):
    """Several layers of latent variables have clusters of their own."""

    def layer_posteriors(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B K"]]:
        """log q(y|x) of every layer that has clusters, by the names ``y1``, ``y2``, …"""


@runtime_checkable
class HasLayers(Protocol):
    """Latent variables come in layers, each with clusters or without."""

    def layer_pictures(self, x: Float[Tensor, "R B D"], n: int, m: int, noise: Noise) -> dict[str, Tensor]:
        """``resampled_z1`` ``[R, B, n, D]`` and, with clusters, ``components_y1`` ``[R, K, m, D]``, for every layer."""
