r"""IMSAT: "Learning Discrete Representations via Information Maximizing Self-Augmented Training".

Hu, Miyato, Tokui, Matsumoto and Sugiyama, ICML, 2017.  A classifier :math:`q(y|x)` without labels: it maximises the
mutual information of input and cluster, and keeps its answer within a small distance of every point.  There is no
generative model.

.. math::

    \min\; R_{\mathrm{SAT}} - \lambda\,[\mu\,H(Y) - H(Y|X)], \qquad
    R_{\mathrm{SAT}} = E_x\, \mathrm{KL}(q(y|x)\,\|\,q(y|x + r(x)))

where :math:`r(x)` points where the divergence grows fastest: virtual adversarial training.  Its length is a share of
the distance from x to its tenth nearest neighbour.  No gradient flows through the first argument of the divergence, nor
through :math:`r`.  What the paper leaves open is as in the authors' code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import normalize

from genclust.kernels.dispatch import precise
from genclust.models.base import Model, Terms
from genclust.models.layers import MLP, Linear, running_statistics_kept
from genclust.models.neighbours import squared_distances, tenths
from genclust.models.networks import check_hidden
from genclust.settings import within
from genclust.streams import Noise

#: Standard deviations of the initial weights, times the square root of the inputs: of hidden layers and of the output,
#: so small that all clusters begin equally probable. Those of the authors' code.
HIDDEN_SCALE, OUTPUT_SCALE = 0.1, 1e-4


@dataclass(frozen=True)
class IMSATSettings:
    """Hyper-parameters of :class:`IMSAT`, by default those of the paper for all its data sets.

    Attributes:
        n_clusters: number of clusters K.
        hidden: widths of the hidden layers.
        information_weight: weight λ of the mutual information (first formula of this module).
        mu: weight μ of the entropy H(Y) in it; the larger it is, the more even are the clusters' sizes.
        alpha: length of the adversarial r(x), as a share of the distance from x to its tenth nearest neighbour.
        bn_momentum: weight of the newest batch in the running statistics of batch normalisation.
    """

    n_clusters: int = within(1, 10_000)
    hidden: tuple[int, ...] = within(1, 100_000, default=(1200, 1200))
    information_weight: float = within(0, 1e6, default=0.1)
    mu: float = within(0, 1e6, default=4.0)
    alpha: float = within(0, 1e6, default=0.25)
    bn_momentum: float = within(0, 1, default=0.1)


class IMSAT(Model):
    """Clustering by mutual information, with virtual adversarial training.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data.
        settings: hyper-parameters.

    Raises:
        SettingError: if there is no hidden layer.

    Example:
        >>> model = IMSAT(2, 784, IMSATSettings(n_clusters=10, hidden=(64, 64)))  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().cluster_posterior(torch.rand(2, 5, 784)).shape
        torch.Size([2, 5, 10])
    """

    #: All terms: there is no generative model, and so no evidence lower bound.
    penalties = ("divergence", "conditional_entropy", "marginal")
    references: Tensor

    def __init__(self, replicas: int, x_dim: int, settings: IMSATSettings) -> None:
        super().__init__()
        self.replicas, self.x_dim, self.settings = replicas, x_dim, settings
        check_hidden(settings.hidden)
        self.encoder = MLP(replicas, (x_dim, *settings.hidden), settings.bn_momentum)
        self.category = Linear(replicas, settings.hidden[-1], settings.n_clusters)
        # Recomputed from the training split, so neither a weight nor part of a checkpoint.
        self.register_buffer("references", torch.zeros(0, x_dim), persistent=False)

    def initialise(self, generators: Sequence[Generator]) -> None:
        for layer in (*self.encoder, self.category):
            if isinstance(layer, Linear):
                scale = OUTPUT_SCALE if layer is self.category else HIDDEN_SCALE
                for weight, generator in zip(layer.weight.data, generators, strict=True):
                    weight.normal_(0, scale / math.sqrt(len(weight)), generator=generator)
                layer.bias.data.zero_()

    def initialise_from_data(self, x: Float[Tensor, "N D"]) -> None:
        """Keep every tenth row of the training split, to measure distances to."""
        self.references = tenths(x)[0]

    def distance_to_neighbour(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B 1"]:
        """Estimated distance of every row to its tenth nearest neighbour in the training split."""
        return squared_distances(x.flatten(0, 1), self.references).amin(1).sqrt().view(*x.shape[:2], 1)

    def q_y(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """Logarithms of q(y|x), in float32."""
        return precise(self.category(self.encoder(x))).log_softmax(-1)

    def adversarial_divergence(
        self, x: Float[Tensor, "R B D"], log_q: Float[Tensor, "R B K"], noise: Noise
    ) -> Float[Tensor, "R B"]:
        """KL(q(y|x) || q(y|x + r)) in nats, with r from one step of the power iteration.

        The step that looks for the direction is as long as the distance to the neighbour.  The authors step by 10
        where pixels lie between -1 and 1, which is about that distance on MNIST.
        """
        log_q, radius = log_q.detach(), self.distance_to_neighbour(x)

        def divergence(r: Tensor) -> Float[Tensor, "R B"]:
            return (log_q.exp() * (log_q - self.q_y(x + r))).sum(-1)

        with running_statistics_kept(self):
            with torch.enable_grad():
                r = (radius * normalize(noise.normal(*x.shape[1:]), dim=-1)).requires_grad_()
                (gradient,) = torch.autograd.grad(divergence(r).sum(), r)
            return divergence(self.settings.alpha * radius * normalize(gradient, dim=-1))

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """Training objective in nats, and the divergence, H(Y|X) and -H(Y) that it consists of."""
        s = self.settings
        log_q = self.q_y(x)
        q = log_q.exp()
        divergence = self.adversarial_divergence(x, log_q, noise)
        conditional_entropy = -(q * log_q).sum(-1)
        # Of each example, E_q(y|x) log q(y): the mean over the batch is -H(Y).
        marginal = (q * q.mean(1, keepdim=True).clamp_min(1e-8).log()).sum(-1)
        objective = (divergence + s.information_weight * (s.mu * marginal + conditional_entropy)).mean(-1)
        return Terms(
            objective, {"divergence": divergence, "conditional_entropy": conditional_entropy, "marginal": marginal}
        )

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        return self.q_y(x)

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Units of the last hidden layer."""
        return {"hidden": precise(self.encoder(x))}
