r"""The cluster-aware generative model.

Maaløe, Fraccaro, Winther, "Semi-Supervised Generation with Cluster-aware Generative Models", arXiv
1704.00637, 2017, after the authors' poster, whose equations have no numbers.

.. math::

    p(x, y, z_1, z_2) &= p_\theta(x|y, z_1)\, p_\theta(z_1|y, z_2)\, p_\theta(y|z_2)\, p(z_2) \\
    q(y, z_1, z_2|x) &= q_\phi(z_2|x, y, z_1)\, q_\phi(y|z_1, x)\, q_\phi(z_1|x)

The discrete y is summed out, in the bound of an unlabelled x and, exactly or by sampling, in the
importance weights:

.. math::

    \mathcal U(x) = E_{q(z_1|x)}\Big[\sum_y q(y|z_1, x)\, E_{q(z_2|x, y, z_1)}\Big[
        \log\frac{p(x, y, z_1, z_2)}{q(y, z_1, z_2|x)}\Big]\Big]

The bound of a labelled point, :math:`\mathcal L(x, y)`, is the inner expectation at the y given, without
:math:`\log q(y|z_1, x)`; the poster does not print it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from genclust.kernels import bernoulli_log_prob
from genclust.kernels.dispatch import precise
from genclust.models.base import Model, Terms
from genclust.models.layers import ClassBias, Init, Linear, WeightedBatchNorm, initialise
from genclust.settings import within
from genclust.streams import Noise

#: Lasagne's leaky rectifier, in which the group's code is written.
SLOPE = 0.01
#: Added to every variance, as in the group's code.
LEAST_VARIANCE = 1e-5


@dataclass(frozen=True)
class CaGeMSettings:
    """Hyper-parameters of :class:`CaGeM`; the poster states none but K.

    Attributes:
        n_clusters: K.
        z1_dim: dimension of the lower latent layer.
        z2_dim: dimension of the upper one.
        hidden: width of the two hidden layers of every network.
        batch_norm: of hidden layers and of means and variances, the statistics weighted by q(y|·).
        divisor: of the grey values, before a pixel is drawn: 255, or 256 as in a file of the time.
    """

    n_clusters: int = within(1, 10_000)
    z1_dim: int = within(1, 10_000, default=64)
    z2_dim: int = within(1, 10_000, default=32)
    hidden: int = within(1, 100_000, default=1024)
    batch_norm: bool = True
    divisor: Literal[255, 256] = 255
    init: Init = "glorot"
    bn_momentum: float = within(0, 1, default=0.1)


class Network(nn.Module):
    """Two hidden layers on the sum of what each input says to the first one, and linear heads.

    What does not depend on y is projected once and shared by all y; y adds a bias of its own.
    """

    def __init__(
        self, replicas: int, inputs: Mapping[str, int], classes: int, heads: Mapping[str, int], s: CaGeMSettings
    ) -> None:
        super().__init__()
        H = s.hidden
        self.inputs = nn.ModuleDict({name: Linear(replicas, size, H) for name, size in inputs.items()})
        self.of_y = ClassBias(replicas, classes, H) if classes else None
        self.second = Linear(replicas, H, H)
        self.heads = nn.ModuleDict({name: Linear(replicas, H, size) for name, size in heads.items()})

        def norm(size: int) -> nn.Module:
            return WeightedBatchNorm(replicas, size, s.bn_momentum)

        normalised = {"first": H, "second": H} | {name: size for name, size in heads.items() if "logits" not in name}
        self.norms = nn.ModuleDict({name: norm(size) for name, size in normalised.items() if s.batch_norm})

    def project(self, **inputs: Float[Tensor, "R *B d"]) -> Float[Tensor, "R *B H"]:
        """What the inputs say to the first layer."""
        return torch.stack([_rows(self.inputs[name], value) for name, value in inputs.items()]).sum(0)

    def forward(
        self,
        projected: Float[Tensor, "R *B H"],
        y: Int[Tensor, "R ..."] | None = None,
        q_y: Float[Tensor, "R B K"] | None = None,
    ) -> dict[str, Float[Tensor, "R *B F"]]:
        """The heads' outputs.

        Args:
            projected: the sum of all inputs but y, see :meth:`project`; with an axis of K classes if it
                depends on y itself.
            y: the class of every row, or None: then every class, on an axis of its own.
            q_y: the weights of the classes in batch statistics, where y is enumerated.
        """
        if self.of_y is not None and y is not None:
            projected = projected + self.of_y.of(y)
        elif self.of_y is not None:
            projected = projected if projected.ndim == 4 else projected[:, :, None]
            projected = projected + self.of_y.weight[:, None]
        h = F.leaky_relu(self._norm("first", projected, q_y), SLOPE)
        h = F.leaky_relu(self._norm("second", _rows(self.second, h), q_y), SLOPE)
        return {name: self._norm(name, precise(_rows(head, h)), q_y) for name, head in self.heads.items()}

    def _norm(self, name: str, x: Tensor, weights: Tensor | None) -> Tensor:
        return self.norms[name](x, weights) if name in self.norms else x


def _rows(layer: nn.Module, h: Float[Tensor, "R *B d"]) -> Float[Tensor, "R *B F"]:
    return layer(h.flatten(1, -2)).unflatten(1, h.shape[1:-1])


def _gaussian(heads: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance."""
    return heads["mean"], F.softplus(heads["raw_variance"]) + LEAST_VARIANCE


def _draw(mean: Tensor, variance: Tensor, noise: Tensor) -> Tensor:
    return mean + variance.sqrt() * noise


def _log_normal(z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return -0.5 * ((z - mean).square() / variance + variance.log() + math.log(2 * math.pi)).sum(-1)


def _log_standard_normal(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


class CaGeM(Model):
    """Two stochastic layers with a cluster between them.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data, grey values in [0, 1] that are drawn to bits at every step.
        settings: hyper-parameters.
    """

    schedules = ("warm_up",)

    def __init__(self, replicas: int, x_dim: int, settings: CaGeMSettings) -> None:
        super().__init__()
        self.replicas, self.settings = replicas, settings
        s, K = settings, settings.n_clusters
        z1 = {"mean": s.z1_dim, "raw_variance": s.z1_dim}
        z2 = {"mean": s.z2_dim, "raw_variance": s.z2_dim}
        self.q_z1 = Network(replicas, {"x": x_dim}, 0, z1, s)
        self.q_y = Network(replicas, {"x": x_dim, "z1": s.z1_dim}, 0, {"logits": K}, s)
        self.q_z2 = Network(replicas, {"x": x_dim, "z1": s.z1_dim}, K, z2, s)
        self.p_y = Network(replicas, {"z2": s.z2_dim}, 0, {"logits": K}, s)
        self.p_z1 = Network(replicas, {"z2": s.z2_dim}, K, z1, s)
        self.p_x = Network(replicas, {"z1": s.z1_dim}, K, {"logits": x_dim}, s)

    def initialise(self, generators: Sequence[Generator]) -> None:
        initialise(self, generators, self.settings.init)

    def binarise(self, x: Float[Tensor, "R B D"], noise: Noise) -> Float[Tensor, "R B D"]:
        """Bits that are 1 with probability of the grey value over the divisor."""
        return (noise.uniform(*x.shape[1:]) < x * (255 / self.settings.divisor)).to(x.dtype)

    def joint(
        self,
        x: Float[Tensor, "R B D"],
        z1: Float[Tensor, "R B Z1"],
        noise: Float[Tensor, "R B K Z2"] | Float[Tensor, "R B Z2"],
        log_q_y: Float[Tensor, "R B K"] | None = None,
        y: Int[Tensor, "R B"] | None = None,
        projected_x: Float[Tensor, "R B H"] | None = None,
    ) -> dict[str, Float[Tensor, "R B *K"]]:
        """Every log-density that hangs on y, in nats, for one z2 drawn for each y (or for the y given).

        Returns:
            ``p_x``, ``p_z1``, ``p_y``, ``p_z2`` and ``q_z2``, each ``[R, B, K]``, or ``[R, B]`` for a given y.
        """
        q_y = None if log_q_y is None else log_q_y.exp()
        if projected_x is None:
            projected_x = self.q_z2.project(x=x)
        z2_mean, z2_variance = _gaussian(self.q_z2(projected_x + self.q_z2.project(z1=z1), y, q_y))
        z2 = _draw(z2_mean, z2_variance, noise)
        log_p_y = self.p_y(self.p_y.project(z2=z2), q_y=q_y)["logits"].log_softmax(-1)
        mean, variance = _gaussian(self.p_z1(self.p_z1.project(z2=z2), y, q_y))
        logits = self.p_x(self.p_x.project(z1=z1), y, q_y)["logits"]
        if y is None:
            x, z1 = x[:, :, None], z1[:, :, None]
            log_p_y = log_p_y.diagonal(dim1=-2, dim2=-1)
        else:
            log_p_y = log_p_y.gather(-1, y[..., None]).squeeze(-1)
        return {
            "p_x": bernoulli_log_prob(logits, x),
            "p_z1": _log_normal(z1, mean, variance),
            "p_y": log_p_y,
            "p_z2": _log_standard_normal(z2),
            "q_z2": _log_normal(z2, z2_mean, z2_variance),
        }

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """The negative of the unlabelled bound; ``warm_up`` weighs every log p - log q of a latent variable."""
        s, (_, B, _) = self.settings, x.shape
        x = self.binarise(x, noise)
        mean, variance = _gaussian(self.q_z1(self.q_z1.project(x=x)))
        z1 = _draw(mean, variance, noise.normal(B, s.z1_dim))
        log_q_z1 = _log_normal(z1, mean, variance)
        log_q_y = self.q_y(self.q_y.project(x=x, z1=z1))["logits"].log_softmax(-1)
        log = self.joint(x, z1, noise.normal(B, s.n_clusters, s.z2_dim), log_q_y)
        q_y = log_q_y.exp()

        def expected(each: Float[Tensor, "R B K"]) -> Float[Tensor, "R B"]:
            return (q_y * each).sum(-1)

        terms = {
            "reconstruction": -expected(log["p_x"]),
            "kl_z1": log_q_z1 - expected(log["p_z1"]),
            "kl_y": expected(log_q_y - log["p_y"]),
            "kl_z2": expected(log["q_z2"] - log["p_z2"]),
        }
        latent = terms["kl_z1"] + terms["kl_y"] + terms["kl_z2"]
        objective = terms["reconstruction"] + scheduled["warm_up"] * latent
        return Terms(objective.mean(-1), terms)

    def infer(self, x: Float[Tensor, "R B D"]) -> dict[str, Tensor]:
        """q(z1|x), and what x says to the networks that also see z1."""
        mean, variance = _gaussian(self.q_z1(self.q_z1.project(x=x)))
        return {
            "mean": mean,
            "variance": variance,
            "q_y": self.q_y.project(x=x),
            "q_z2": self.q_z2.project(x=x),
        }

    def log_weights(
        self, x: Float[Tensor, "R B D"], inferred: Mapping[str, Tensor], n: int, noise: Noise, enumerate_y: bool = False
    ) -> Float[Tensor, "n R B"]:
        """log w of n samples, in nats, of bits x; y drawn from q(y|z1, x), or summed out within each weight.

        Both are unbiased for p(x); summing out costs K times as much and has the smaller variance.
        """
        s, (R, B, _) = self.settings, x.shape

        def repeated(t: Tensor) -> Tensor:  # the n samples of an image lie side by side
            return t[:, None].expand(-1, n, *t.shape[1:]).flatten(1, 2)

        mean, variance = repeated(inferred["mean"]), repeated(inferred["variance"])
        z1 = _draw(mean, variance, noise.normal(n, B, s.z1_dim).flatten(1, 2))
        log_q_z1 = _log_normal(z1, mean, variance)
        log_q_y = self.q_y(repeated(inferred["q_y"]) + self.q_y.project(z1=z1))["logits"].log_softmax(-1)
        common = {"x": repeated(x), "z1": z1, "projected_x": repeated(inferred["q_z2"])}
        if enumerate_y:
            draws = noise.normal(n, B, s.n_clusters, s.z2_dim).flatten(1, 2)
            log = self.joint(noise=draws, log_q_y=log_q_y, **common)
            log_w = (log["p_x"] + log["p_z1"] + log["p_y"] + log["p_z2"] - log["q_z2"]).logsumexp(-1)
        else:
            gumbel = -noise.uniform(n, B, s.n_clusters).clamp_min(1e-20).log().neg().log().flatten(1, 2)
            y = (log_q_y + gumbel).argmax(-1)
            log = self.joint(noise=noise.normal(n, B, s.z2_dim).flatten(1, 2), y=y, **common)
            log_w = log["p_x"] + log["p_z1"] + log["p_y"] + log["p_z2"] - log["q_z2"]
            log_w = log_w - log_q_y.gather(-1, y[..., None]).squeeze(-1)
        return (log_w - log_q_z1).view(R, n, B).transpose(0, 1)

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """log q(y|z1, x) at the mean of q(z1|x)."""
        mean, _ = _gaussian(self.q_z1(self.q_z1.project(x=x)))
        return self.q_y(self.q_y.project(x=x, z1=mean))["logits"].log_softmax(-1)

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """The mean of q(z1|x), and that of q(z2|x, y, z1) at it, averaged over q(y|z1, x)."""
        z1, _ = _gaussian(self.q_z1(self.q_z1.project(x=x)))
        q_y = self.q_y(self.q_y.project(x=x, z1=z1))["logits"].softmax(-1)
        z2, _ = _gaussian(self.q_z2(self.q_z2.project(x=x, z1=z1), q_y=q_y))
        return {"z1_mean": z1, "z2_mean": (q_y[..., None] * z2).sum(2)}
