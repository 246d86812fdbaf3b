"""Capabilities that evaluations require of a model, as protocols: a model has a capability if it has its methods.

Evaluations name capabilities instead of models, so all evaluations whose methods a new model has apply to it.  Shapes
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
    """The model has clusters, and a posterior over them."""

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """Cluster log-probabilities log q(y|x) in nats, normalised over the clusters."""


@runtime_checkable
class HasLikelihood(Protocol):
    """The model's likelihood can be estimated by importance sampling."""

    def infer(self, x: Float[Tensor, "R B D"]) -> Any:
        """The part of q that depends on x alone, computed once for any number of samples."""

    def log_weights(self, x: Float[Tensor, "R B D"], inferred: Any, n: int, noise: Noise) -> Float[Tensor, "n R B"]:
        """Log importance weights log w of ``n`` new samples, in nats; E[w] = p(x).

        ``noise.normal(n, B, Z)`` draws ``[R, n, B, Z]``, replicas first; the result has the samples first.
        """


@runtime_checkable
class SumsOverClasses(Protocol):
    """Training steps can sum over all classes, or over the most probable ones and one drawn from the others."""

    def with_classes(self, classes: int) -> Any:
        """Copy of the model whose training steps sum exactly over this number of the most probable classes (0: all)."""

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Any, noise: Noise) -> Terms:
        """Training objective of one batch, in nats, and its terms."""

    def log_weights(
        self, x: Float[Tensor, "R B D"], inferred: Any, n: int, noise: Noise, enumerate_y: bool = False
    ) -> Float[Tensor, "n R B"]:
        """Log importance weights in nats, as of :class:`HasLikelihood`; with y summed out instead of drawn if asked."""


@runtime_checkable
class HasClassifiers(Protocol):
    """The model learns from labels, so cluster k stands for class k."""

    def classifiers(self, x: Float[Tensor, "R B D"], n: int, noise: Noise) -> dict[str, Float[Tensor, "R B K"]]:
        """Class log-probabilities of every classifier by name, from probabilities averaged over ``n`` samples."""


@runtime_checkable
class Generates(Protocol):
    """The model can reconstruct images and draw them from the prior."""

    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Reconstructions: means of p(x|·) at the posterior means of the latent variables."""

    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(x|·) for ``n`` samples of the latent variables from the prior."""


@runtime_checkable
class DecodesStyle(Protocol):
    """The model can decode a style z under every cluster."""

    def decode_every_cluster(self, z: Float[Tensor, "R N Z"]) -> Float[Tensor, "R N K D"]:
        """Means of p(x|z, y) for every style z under every cluster y."""


@runtime_checkable
class SamplesClusters(Protocol):
    """The model can draw images from every cluster."""

    def sample_clusters(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Means of p(x|·) for ``n`` samples from every cluster."""


@runtime_checkable
class WalksThroughClusters(Protocol):
    """The model can decode a path through the variation within each cluster."""

    def walk(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Means of p(x|·) of every cluster along a path of ``n`` steps."""


@runtime_checkable
class MapsLatentSpace(Protocol):
    """Data points and clusters have positions in the same latent space."""

    def latent_map(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R ..."]]:
        """Positions, clusters and reconstructions of the rows, and means and deviations of the components.

        Returns:
            ``latent_x``, ``latent_clusters`` and ``latent_reconstruction`` of the rows, and ``component_means`` and
            ``component_sds`` of the clusters.
        """


@runtime_checkable
class MapsTwoDimensions(Protocol):
    """The model can decode a grid over a two-dimensional latent space."""

    def two_dimensional_map(
        self, x: Float[Tensor, "R B D"], side: int, span: tuple[float, float], noise: Noise
    ) -> dict[str, Float[Tensor, "R ..."]]:
        """Positions of the rows, a grid over them, and images decoded on the grid for each class and for any class."""


@runtime_checkable
class HasLayerClusters(Protocol):
    """Several layers of latent variables have their own clusters."""

    def layer_posteriors(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B K"]]:
        """Cluster log-probabilities log q(y|x) of every layer that has clusters, by the names ``y1``, ``y2``, …"""


@runtime_checkable
class HasLayers(Protocol):
    """The latent variables form layers, each with or without clusters."""

    def layer_pictures(self, x: Float[Tensor, "R B D"], n: int, m: int, noise: Noise) -> dict[str, Tensor]:
        """For every layer, images with this layer drawn anew, and images from its clusters.

        Returns:
            ``resampled_z1`` ``[R, B, n, D]`` and, where the layer has clusters, ``components_y1`` ``[R, K, m, D]``.
        """
