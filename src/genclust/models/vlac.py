r"""Variational ladder autoencoders with clusters at every layer (VLAC) or none (VLAE), and the baseline GMDGM.

Willetts, Roberts, Holmes, "Disentangling to Cluster: Gaussian Mixture Variational Ladder Autoencoders", arXiv
1909.11501, 2019; the ladder without clusters, the VLAE, is from Zhao, Song, Ermon, "Learning Hierarchical
Features from Deep Generative Models", ICML 2017.

Generative model (equations 1 to 3), a flat prior under a ladder of functions:

.. math::

    p(x, z, y) &= p_\theta(x|z) \prod_{l=1}^L p(z_l|y_l)\, p(y_l), \qquad
    p(z_l|y_l) = N(\mu_{y_l}, \mathrm{diag}\,\sigma_{y_l}^2), \quad p(y_l) = \mathrm{Cat}(1/K_l) \\
    \tilde z_L &= f_L(z_L), \qquad \tilde z_l = f_l(z_l, \tilde z_{l+1}), \qquad x \sim p(x|f_0(\tilde z_1))

Inference model (equations 6 to 8):

.. math::

    q(z, y|x) &= \prod_l q(z_l|x, y_{\le l})\, q(y_l|x), \qquad q(y_l|x) = \mathrm{Cat}(\pi_l(x)) \\
    h_1 &= g_1(x), \qquad h_l = g_l(h_{l-1}, y_{l-1}), \qquad
    z_l \sim N(\mu_l(h_l, y_l), \mathrm{diag}\,\sigma_l^2(h_l, y_l))

Bound (equation 9):

.. math::

    \mathcal L(x) = E_q[\log p_\theta(x|z)] - \sum_l E_{q(y|x)} \mathrm{KL}(q(z_l|x, y_{\le l})\,\|\,p(z_l|y_l))
    - \sum_l \mathrm{KL}(q(y_l|x)\,\|\,p(y_l))

A layer with :math:`K_l = 1` has no y and the prior N(0, I); with no other layers this is the VLAE.

The paper leaves the details to a code that was never published.  The networks here have the layers of the VLAE's
code for SVHN, convolutions of 4 × 4, but not its initial weights, N(0, 0.02), nor TensorFlow's constants of batch
normalisation; the rest is chosen:

* As in that code :math:`g_l` has two parts of equal depth: one goes on to :math:`g_{l+1}`, the other is read
  by :math:`\mu_l` and :math:`\sigma_l`.
* y enters as one bias per class, added in every place before batch normalisation: :math:`y_{l-1}` in the first
  layer of both parts of :math:`g_l`, :math:`y_l` in the last one below :math:`\mu_l` and :math:`\sigma_l`.
* :math:`\pi_l` has convolutions of its own, as deep as those below :math:`z_l` and shared by all :math:`\pi`:
  on the way through the g, which know :math:`y_{l-1}`, there would be nothing that depends on x alone.
* Where y is relaxed (Gumbel-softmax), it mixes means and log-variances of p(z|y) and the biases alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from genclust.kernels import gumbel_softmax
from genclust.kernels.dispatch import precise
from genclust.models.base import Model, Terms
from genclust.models.distributions import Gaussian, categorical_kl
from genclust.models.layers import Init, Linear
from genclust.models.networks import check_images
from genclust.models.vlac_layers import (
    Block,
    Descent,
    Level,
    MixturePrior,
    PosteriorHead,
    SameConvolution,
    Shape,
    repeat_each,
)
from genclust.settings import SettingError, within
from genclust.streams import Noise

#: Scale b of the VLAE's code for the Laplace likelihood, a weight of 8 on every absolute error.
LAPLACE_SCALE = 1 / 8


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Hyper-parameters of all models of this module: image size, convolutions and likelihood.

    Attributes:
        height, width: size of the images, in pixels.
        colours: values per pixel.
        channels: number of channels of each level of convolutions; every level halves height and width.
        sigma: standard deviation of the Gaussian likelihood, for pixel values in [0, 1].
        likelihood: ``gaussian``, or ``l1`` for the VLAE's Laplace distribution.
    """

    height: int = within(1, 10_000, default=32)
    width: int = within(1, 10_000, default=32)
    colours: int = within(1, 100, default=3)
    channels: tuple[int, ...] = within(1, 10_000, default=(64, 128, 256))
    sigma: float = within(1e-3, 1e3, default=0.3)
    likelihood: Literal["gaussian", "l1"] = "gaussian"
    init: Init = "glorot"
    bn_momentum: float = within(0, 1, default=0.1)


@dataclass(frozen=True, kw_only=True)
class VLAESettings(ImageSettings):
    """Hyper-parameters of :class:`VLAE`; the defaults are the authors' for SVHN.

    Attributes:
        z_dims: dimensions of z, from the data upwards; 0 for a layer without z.  Each layer has a level of
            convolutions, except that the top one may be dense.
        dense: width of the dense layers.
    """

    z_dims: tuple[int, ...] = within(0, 10_000, default=(5, 5, 5, 10))
    dense: int = within(1, 100_000, default=1024)


@dataclass(frozen=True, kw_only=True)
class VLACSettings(VLAESettings):
    """Hyper-parameters of :class:`VLAC`.

    Attributes:
        n_clusters: number of clusters K of every layer, 1 for a layer without clusters.
        marginalise: whether to sum over all y exactly instead of relaxing y; the cost is the product of all K.
        scored_layer: layer whose clusters are compared with labels; 0 for the (uppermost) one with the largest K.
    """

    n_clusters: tuple[int, ...] = within(1, 10_000)
    marginalise: bool = False
    scored_layer: int = within(0, 100, default=0)


@dataclass(frozen=True, kw_only=True)
class GMDGMSettings(ImageSettings):
    """Hyper-parameters of :class:`GMDGM`.

    Attributes:
        n_clusters: number of clusters K.
        z_dim: dimension of z.
        marginalise: whether to sum over y exactly instead of relaxing it.
    """

    n_clusters: int = within(1, 10_000, default=50)
    z_dim: int = within(1, 10_000, default=5)
    marginalise: bool = False


#: One y per layer, from the data upwards, each one-hot or relaxed ``[R, N, K]``, or None where K = 1.
Clusters = list[Float[Tensor, "R N K"] | None]


class VariationalLadder(Model):
    """Base class: a ladder of latent variables under images, in which any of the layers can have clusters.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data: images with the colours of a pixel side by side, values in [0, 1].
        settings: hyper-parameters.

    Raises:
        SettingError: if images, levels and layers do not fit each other.
    """

    unit_interval = True

    def __init__(self, replicas: int, x_dim: int, settings: VLACSettings) -> None:
        super().__init__()
        self.replicas, self.settings = replicas, settings
        s, R, momentum, K = settings, replicas, settings.bn_momentum, settings.n_clusters
        _refuse(x_dim, settings)
        L, levels = len(K), len(s.channels)
        # Shapes from the image upwards; entry l is the shape of level l.
        shapes: list[Shape] = [(s.colours, s.height, s.width)]
        for planes in s.channels:
            _, height, width = shapes[-1]
            shapes.append((planes, -(-height // 2), -(-width // 2)))
        shapes += [(s.dense,)] * (L - levels)

        def level(layer: int, **classes: int) -> Level:
            return Level(R, shapes[layer - 1], shapes[layer], momentum, **classes)

        # Layer l is entry l - 1 of every list; y_0 is one of K = 1.
        classes_below = dict(enumerate((1, *K[:-1]), start=1))
        self.g = nn.ModuleList(level(layer, below_classes=classes_below[layer]) for layer in range(1, L))
        self.g_z, self.q_z, self.p_z = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for layer, (n, z_dim) in enumerate(zip(K, s.z_dims, strict=True), start=1):
            if z_dim:
                self.g_z[str(layer)] = level(layer, below_classes=classes_below[layer], classes=n)
                self.q_z[str(layer)] = PosteriorHead(R, math.prod(shapes[layer]), z_dim)
                self.p_z[str(layer)] = MixturePrior(R, n, z_dim)
        # The layers that have clusters.
        self.clustered = [layer for layer, n in enumerate(K, start=1) if n > 1]
        self.g_y = nn.ModuleList(level(layer) for layer in range(1, max(self.clustered, default=0) + 1))
        self.q_y = nn.ModuleDict(
            {str(layer): Linear(R, math.prod(shapes[layer]), K[layer - 1]) for layer in self.clustered}
        )
        self.scored_layer = s.scored_layer or max(range(1, L + 1), key=lambda layer: (K[layer - 1], layer))

        if levels < L:
            widths = pairwise((s.z_dims[-1], s.dense, s.dense, s.dense))
            self.f_dense = nn.ModuleList(Block(R, Linear(R, *sizes), s.dense, momentum, slope=0) for sizes in widths)
        else:
            self.f_dense = nn.ModuleList()
        self.f, self.f_last = nn.ModuleList(), nn.ModuleList()
        for layer in range(1, levels + 1):
            above = shapes[layer + 1] if layer == levels < L else shapes[layer] if layer < levels else None
            self.f.append(Descent(R, s.z_dims[layer - 1], above, shapes[layer], shapes[layer - 1], momentum))
            last = SameConvolution(R, shapes[layer][0], shapes[layer - 1][0], stride=1, mirrored=True)
            self.f_last.append(last if layer == 1 else Block(R, last, shapes[layer - 1][0], momentum))

    def initialise(self, generators: Sequence[Generator]) -> None:
        super().initialise(generators)
        for layer in self.p_z:
            self._prior_of(int(layer)).initialise(generators)

    def images(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B C H W"]:
        """Rows of pixels as images with one channel per colour, as convolutions take them."""
        s = self.settings
        return x.unflatten(-1, (s.height, s.width, s.colours)).movedim(-1, 2)

    # ---- inference

    def y_logits(self, x: Float[Tensor, "R B D"]) -> dict[int, Float[Tensor, "R B K"]]:
        r"""Logits of :math:`q(y_l|x)` for every layer that has clusters."""
        logits, c = {}, self.images(x)
        for layer, level in enumerate(self.g_y, start=1):
            c = level(c)
            if layer in self.clustered:
                logits[layer] = precise(self.q_y[str(layer)](c.flatten(2)))
        return logits

    def infer_z(
        self, x: Float[Tensor, "R B D"], y: Clusters, weights: Sequence[Float[Tensor, "R N"] | None]
    ) -> dict[int, Gaussian]:
        r"""Posterior :math:`q(z_l|x, y_{\le l})` of every layer that has z (equations 6 to 8), ``[R, N, Z]``.

        Args:
            x: images.
            y: clusters of every layer, with one row for each row of the layer below, or K rows beside each other.
            weights: weights of the rows of :math:`y_l` in batch statistics, for every layer.
        """
        q, h = {}, self.images(x)
        pairs = zip(pairwise([None, *y]), pairwise([None, *weights]), strict=True)
        for layer, (y_pair, weight_pair) in enumerate(pairs, start=1):
            if str(layer) in self.g_z:
                q[layer] = self.q_z[str(layer)](self.g_z[str(layer)](h, *y_pair, *weight_pair))
            if layer < len(y):
                h = self.g[layer - 1](h, y_pair[0], None, weight_pair[0], weight_pair[0])
        return q

    # ---- generation

    def decode(
        self, z: Mapping[int, Float[Tensor, "R N Z"]], weights: Float[Tensor, "R N"] | None = None
    ) -> Float[Tensor, "R N D"]:
        """Means of p(x|z) (equations 1 to 3); z is given by layer, ``weights`` are for the batch statistics."""
        above: Tensor | None = None
        if self.f_dense:
            above = z[len(self.settings.n_clusters)]
            for hidden in self.f_dense:
                above = hidden(above, weights=weights)
        for layer, f, last in reversed(list(zip(range(1, len(self.f) + 1), self.f, self.f_last, strict=True))):
            image = f(z.get(layer), above, weights)
            above = last(image) if layer == 1 else last(image, weights=weights)
        assert above is not None
        return precise(above).sigmoid().movedim(2, -1).flatten(2)

    def log_prob(self, x: Float[Tensor, "R N D"], mean: Float[Tensor, "R N D"]) -> Float[Tensor, "R N"]:
        """Log-likelihood log p(x|z) in nats, a density that is normalised over the reals."""
        s, D = self.settings, x.shape[-1]
        if s.likelihood == "l1":
            return -(x - mean).abs().sum(-1) / LAPLACE_SCALE - D * math.log(2 * LAPLACE_SCALE)
        return -(x - mean).square().sum(-1) / (2 * s.sigma**2) - D * (math.log(s.sigma) + 0.5 * math.log(2 * math.pi))

    # ---- training

    def relaxed_y(
        self, logits: Mapping[int, Float[Tensor, "R B K"]], scheduled: Mapping[str, float | Tensor], noise: Noise
    ) -> Clusters:
        """Gumbel-softmax sample of y for every layer that has clusters."""
        y: Clusters = [None] * len(self.settings.n_clusters)
        for layer, layer_logits in logits.items():
            y[layer - 1], _ = gumbel_softmax(
                layer_logits, noise.uniform(*layer_logits.shape[1:]), scheduled["temperature"]
            )
        return y

    def every_y(
        self, logits: Mapping[int, Float[Tensor, "R B K"]], like: Float[Tensor, "R B D"]
    ) -> tuple[Clusters, list[Float[Tensor, "R B P"]]]:
        r"""All combinations of the layers' y, one-hot; those of one image are adjacent, :math:`y_1` changing slowest.

        Returns:
            The y of every layer, and the probabilities :math:`q(y_{\le l}|x)` of all combinations up to each layer.
        """
        y: Clusters = []
        log_q, q = like.new_zeros(*like.shape[:2], 1), []
        for layer, K in enumerate(self.settings.n_clusters, start=1):
            y.append(None)
            if layer in logits:
                one_hot = torch.eye(K, device=like.device, dtype=like.dtype)
                y[-1] = one_hot.repeat(math.prod(log_q.shape[1:]), 1).expand(self.replicas, -1, -1)
                log_q = (log_q[..., None] + logits[layer].log_softmax(-1)[:, :, None]).flatten(2)
            q.append(log_q.exp())
        return y, q

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """Training objective in nats: the negative of equation 9, where ``warm_up`` multiplies all divergences.

        One sample of y, relaxed, and of z; or all y, with one sample of z for each.  Only the latter is a bound: the
        divergence of z under mixed parameters is not the mixture of divergences, and approaches it as the
        temperature falls.
        """
        s, (_, B, _) = self.settings, x.shape
        logits = self.y_logits(x)
        if s.marginalise:
            y, q = self.every_y(logits, x)
        else:
            y = self.relaxed_y(logits, scheduled, noise)
            q = [x.new_ones(*x.shape[:2], 1)] * len(y)
        weights = [None if q_y.shape[-1] == 1 else q_y.flatten(1) for q_y in q]
        terms, z, total = {}, {}, q[-1].shape[-1]
        for layer, q_z in self.infer_z(x, y, weights).items():
            P = q[layer - 1].shape[-1]
            draws = noise.normal(B, P, q_z.mean.shape[-1]).flatten(1, 2)
            z[layer] = repeat_each(q_z.draw(draws), total // P)
            kl = q_z.kl(self.p_z[str(layer)](y[layer - 1]))
            terms[f"kl_z{layer}"] = (q[layer - 1] * kl.unflatten(1, (B, P))).sum(-1)
        terms |= {f"kl_y{layer}": categorical_kl(layer_logits) for layer, layer_logits in logits.items()}
        log_p = self.log_prob(repeat_each(x, total), self.decode(z, weights[-1])).unflatten(1, (B, total))
        reconstruction = -(q[-1] * log_p).sum(-1)
        latent = torch.stack(list(terms.values())).sum(0)
        objective = (reconstruction + scheduled["warm_up"] * latent).mean(-1)
        return Terms(objective, {"reconstruction": reconstruction, **terms})

    # ---- what is made of it

    def means(self, x: Float[Tensor, "R B D"]) -> dict[int, Float[Tensor, "R B Z"]]:
        """Means of q(z|x, y) at the most probable y, by number of the layer."""
        y: Clusters = [None] * len(self.settings.n_clusters)
        for layer, layer_logits in self.y_logits(x).items():
            y[layer - 1] = F.one_hot(layer_logits.argmax(-1), layer_logits.shape[-1]).to(layer_logits.dtype)
        return {layer: q_z.mean for layer, q_z in self.infer_z(x, y, [None] * len(y)).items()}

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Means of q(z|x, y) at the most probable y, by name such as ``z1_mean``."""
        return {f"z{layer}_mean": mean for layer, mean in self.means(x).items()}

    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Reconstructions: means of p(x|z) at the means of q(z|x, y) for the most probable y."""
        return self.decode(self.means(x))

    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(x|z) for ``n`` samples of z from the prior."""
        return self.decode(self._prior(n, noise))

    def _prior(self, n: int, noise: Noise) -> dict[int, Float[Tensor, "R n Z"]]:
        return {int(layer): self._prior_of(int(layer)).sample(n, noise) for layer in self.p_z}

    def resample_layer(self, x: Float[Tensor, "R B D"], layer: int, n: int, noise: Noise) -> Float[Tensor, "R B n D"]:
        """Images with one layer drawn ``n`` times from its prior and the means of q in all others (Figure 2)."""
        z = {other: repeat_each(mean, n) for other, mean in self.means(x).items()}
        z[layer] = self._prior_of(layer).sample(x.shape[1] * n, noise)
        return self.decode(z).unflatten(1, (x.shape[1], n))

    def sample_layer_clusters(self, layer: int, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Images from every cluster of one layer: means of p(x|z) for ``n`` samples of each p(z|y) (Figure 3).

        All other layers are one sample from their prior.
        """
        z_of_clusters = self._prior_of(layer).sample_each(n, noise)
        _, K, _, _ = z_of_clusters.shape
        z = {other: draw.expand(-1, K * n, -1) for other, draw in self._prior(1, noise).items()}
        return self.decode(z | {layer: z_of_clusters.flatten(1, 2)}).unflatten(1, (K, n))

    def layer_pictures(self, x: Float[Tensor, "R B D"], n: int, m: int, noise: Noise) -> dict[str, Tensor]:
        """For every layer with z, images with this layer drawn anew, and images from its clusters (Figures 2 and 3).

        Returns:
            ``resampled_z1`` ``[R, B, n, D]`` and, where the layer has clusters, ``components_y1`` ``[R, K, m, D]``.
        """
        pictures = {}
        for at, layer in enumerate(sorted(map(int, self.p_z))):
            pictures[f"resampled_z{layer}"] = self.resample_layer(x, layer, n, noise.at(2 * at))
            if layer in self.clustered:
                pictures[f"components_y{layer}"] = self.sample_layer_clusters(layer, m, noise.at(2 * at + 1))
        return pictures

    def _prior_of(self, layer: int) -> MixturePrior:
        if str(layer) not in self.p_z:
            raise SettingError(f"There is no z in layer {layer}, only in {', '.join(self.p_z)}.")
        return cast(MixturePrior, self.p_z[str(layer)])


def _refuse(x_dim: int, s: VLACSettings) -> None:
    """Raise a SettingError if settings do not fit each other or the data."""
    L, levels = len(s.n_clusters), len(s.channels)
    check_images(x_dim, s.height, s.width, s.colours)
    if not L or len(s.z_dims) != L:
        raise SettingError(
            f"model.n_clusters and model.z_dims give one number for each layer, not {L} and {len(s.z_dims)}."
        )
    if not levels or levels not in (L - 1, L):
        raise SettingError(
            f"model.channels gives one number for each of {L} layers, or leaves out the top one, not {levels} numbers."
        )
    if not s.z_dims[-1] or any(K > 1 and not z for K, z in zip(s.n_clusters, s.z_dims, strict=True)):
        raise SettingError(
            "The top layer and every layer with clusters need a z; set their entries of model.z_dims to 1 or more."
        )
    if s.scored_layer > L or (s.scored_layer and s.n_clusters[s.scored_layer - 1] == 1):
        raise SettingError(
            f"model.scored_layer must be a layer with clusters, or 0 for the one with most, not {s.scored_layer}."
        )


class VLAC(VariationalLadder):
    """Variational ladder autoencoder for clustering (VLAC): a ladder with clusters at some or all layers.

    Example:
        >>> settings = VLACSettings(n_clusters=(1, 5), z_dims=(2, 2), channels=(4, 8), height=8, width=8, colours=1)
        >>> model = VLAC(2, 64, settings)  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().cluster_posterior(torch.rand(2, 5, 64)).shape
        torch.Size([2, 5, 5])
    """

    schedules = ("temperature", "warm_up")

    def layer_posteriors(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B K"]]:
        """Cluster log-probabilities log q(y|x) of every layer that has clusters, by the names ``y1``, ``y2``, …"""
        return {f"y{layer}": logits.log_softmax(-1) for layer, logits in self.y_logits(x).items()}

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """Cluster log-probabilities log q(y|x) of the scored layer; zeros with K = 1 if no layer has clusters."""
        posteriors = self.layer_posteriors(x)
        return posteriors[f"y{self.scored_layer}"] if posteriors else x.new_zeros(*x.shape[:2], 1)

    def sample_clusters(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Images from every cluster of the scored layer: means of p(x|z), with all other layers from their prior."""
        z_of_clusters = self._prior_of(self.scored_layer).sample_each(n, noise)
        z = self._prior(math.prod(z_of_clusters.shape[1:3]), noise)
        return self.decode(z | {self.scored_layer: z_of_clusters.flatten(1, 2)}).unflatten(1, z_of_clusters.shape[1:3])

    def sample_cluster(self, n: int, noise: Noise, cluster: int) -> Float[Tensor, "R n D"]:
        """Images from one cluster of the scored layer: means of p(x|z), with all other layers from their prior."""
        others = self._prior(n, noise)
        return self.decode(others | {self.scored_layer: self._prior_of(self.scored_layer).sample(n, noise, cluster)})


class VLAE(VariationalLadder):
    """Variational ladder autoencoder (VLAE), in which no layer has clusters.

    Example:
        >>> settings = VLAESettings(z_dims=(2, 2), channels=(4, 8), height=8, width=8, colours=1)
        >>> model = VLAE(2, 64, settings)  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().sample(3, Noise([0, 1], "an example")).shape
        torch.Size([2, 3, 64])
    """

    schedules = ("warm_up",)

    def __init__(self, replicas: int, x_dim: int, settings: VLAESettings) -> None:
        super().__init__(replicas, x_dim, VLACSettings(**vars(settings), n_clusters=(1,) * len(settings.z_dims)))


class GMDGM(VLAC):
    r"""Gaussian mixture deep generative model (GMDGM), the baseline of VLAC: the top layer alone has z and y.

    .. math::

        p(x, z, y) = p(x|z)\, p(z|y)\, p(y), \qquad q(z, y|x) = q(z|x, y)\, q(y|x)

    It is the ladder whose top layer alone has z and y, with as many layers as levels of convolutions: three for
    the third layer of VLAC.  Terms and embeddings carry that layer's number.

    Example:
        >>> settings = GMDGMSettings(n_clusters=5, channels=(4, 8), height=8, width=8, colours=1)
        >>> model = GMDGM(2, 64, settings)  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().cluster_posterior(torch.rand(2, 5, 64)).shape
        torch.Size([2, 5, 5])
    """

    def __init__(self, replicas: int, x_dim: int, settings: GMDGMSettings) -> None:
        s, empty = settings, len(settings.channels) - 1
        images = {field.name: getattr(s, field.name) for field in fields(ImageSettings)}
        super().__init__(
            replicas,
            x_dim,
            VLACSettings(
                **images,
                z_dims=(0,) * empty + (s.z_dim,),
                n_clusters=(1,) * empty + (s.n_clusters,),
                marginalise=s.marginalise,
            ),
        )
