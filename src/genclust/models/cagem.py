r"""The cluster-aware generative model (CaGeM): two latent layers and a cluster, trained with or without labels.

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
:math:`\log q(y|z_1, x)`; the poster does not print it.  It has two classifiers:

.. math::

    q(y|x) &= E_{q(z_1|x)}[q(y|z_1, x)] \\
    p(y|x) &\approx E_{q(z_1|x)}\Big[\sum_{\tilde y} q(\tilde y|z_1, x)\,
        E_{q(z_2|x, \tilde y, z_1)}[p(y|z_2)]\Big]

and does not say how labels enter the objective.  Here that is a setting: the cross-entropies of one
classifier or both are added to the loss, the negative unlabelled bound of all points, the labelled ones
among them; with or without the negative bound of the labelled points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genclust.kernels import bernoulli_log_prob
from genclust.models.base import Labelled, Terms
from genclust.models.classes import ClassSummingModel, class_sum
from genclust.models.distributions import categorical, standard_normal_log_prob
from genclust.models.layers import running_statistics_kept
from genclust.models.networks import (
    ClassConditionalMLP,
    NetworkSettings,
    gaussian,
    gaussian_heads,
    repeat_rows,
)
from genclust.settings import later, within
from genclust.streams import Noise

#: Terms that labels add to the loss.  ``ce_q`` and ``ce_pq`` are cross-entropies of the classifier q or of p and q;
#: ``elbo_l`` is the negative labelled bound.
LabelObjective = Literal["ce_pq", "ce_q", "elbo_l+ce_q", "elbo_l+ce_pq"]


#: Number of prior samples of z2 from which one is chosen by p(y|z2), to sample from p(z2|y).
CANDIDATES = 100


@dataclass(frozen=True)
class CaGeMSettings(NetworkSettings):
    """Hyper-parameters of :class:`CaGeM`; the poster states none except K.

    Attributes:
        n_clusters: number of clusters K.
        z1_dim: dimension of the lower latent layer.
        z2_dim: dimension of the upper latent layer.
        hidden: width of the two hidden layers of every network.
        label_objective: terms that labels add to the loss, if there are any.
        alpha: weight of the mean cross-entropy of the labelled points, in units of N / N_l.
        classes: number of the most probable classes over which a training step sums exactly, while one of the others
            is drawn at random (see :mod:`genclust.models.classes`); 0, or K - 1 and more, sums over all of them.
    """

    n_clusters: int = within(1, 10_000)
    z1_dim: int = within(1, 10_000, default=64)
    z2_dim: int = within(1, 10_000, default=32)
    hidden: int = within(1, 100_000, default=1024)
    label_objective: LabelObjective = "ce_pq"
    alpha: float = within(0, 1e6, default=0.1)
    classes: int = later(0, 0, 10_000)


class CaGeM(ClassSummingModel):
    """Cluster-aware generative model: latent layers z1 and z2 with a discrete cluster y between them.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data: grey values in [0, 1], binarised at random anew in every training step.
        settings: hyper-parameters.

    Example:
        >>> model = CaGeM(2, 784, CaGeMSettings(n_clusters=10, hidden=64))  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().cluster_posterior(torch.rand(2, 5, 784)).shape
        torch.Size([2, 5, 10])
    """

    schedules = ("warm_up",)
    learns_from_labels = True

    def __init__(self, replicas: int, x_dim: int, settings: CaGeMSettings) -> None:
        super().__init__()
        self.replicas, self.settings = replicas, settings
        s, K = settings, settings.n_clusters
        z1, z2 = gaussian_heads(s.z1_dim), gaussian_heads(s.z2_dim)
        network = partial(ClassConditionalMLP, replicas, hidden=s.hidden, momentum=s.momentum)
        self.q_z1 = network({"x": x_dim}, z1)
        self.q_y = network({"x": x_dim, "z1": s.z1_dim}, {"logits": K})
        self.q_z2 = network({"x": x_dim, "z1": s.z1_dim}, z2, classes=K)
        self.p_y = network({"z2": s.z2_dim}, {"logits": K})
        self.p_z1 = network({"z2": s.z2_dim}, z1, classes=K)
        self.p_x = network({"z1": s.z1_dim}, {"logits": x_dim}, classes=K)

    def joint(
        self,
        x: Float[Tensor, "R B D"],
        z1: Float[Tensor, "R B Z1"],
        noise: Float[Tensor, "R B *S Z2"],
        y: Int[Tensor, "R B *S"] | None = None,
        weights: Float[Tensor, "R B S"] | None = None,
        projected_x: Float[Tensor, "R B H"] | None = None,
    ) -> dict[str, Float[Tensor, "R B *S"]]:
        """Log-densities in nats of all factors that depend on y, at one sample of z2 for each cluster.

        Args:
            x, z1: binary images, and samples of the lower latent layer.
            noise: standard normal noise from which z2 is drawn.
            y: one class or S classes per example; None for all K.
            weights: weights of the classes in batch statistics, if there are several per example.
            projected_x: projection of x in the network of q(z2|x, y, z1), if it is known already.

        Returns:
            ``p_x``, ``p_z1``, ``p_y``, ``p_z2`` and ``q_z2``, each in the shape of y, or ``[R, B, K]`` if y is None.
        """
        if projected_x is None:
            projected_x = self.q_z2.project(x=x)
        if noise.ndim == 4:  # classes have an axis of their own
            x, z1, projected_x = x[:, :, None], z1[:, :, None], projected_x[:, :, None]
        q_z2 = gaussian(self.q_z2(projected_x + self.q_z2.project(z1=z1), y, weights))
        z2 = q_z2.draw(noise)
        log_p_y = self.p_y.of(z2=z2, q_y=weights)["logits"].log_softmax(-1)
        p_z1 = gaussian(self.p_z1.of(z2=z2, y=y, q_y=weights))
        logits = self.p_x.of(z1=z1, y=y, q_y=weights)["logits"]
        log_p_y = log_p_y.diagonal(dim1=-2, dim2=-1) if y is None else log_p_y.gather(-1, y[..., None]).squeeze(-1)
        return {
            "p_x": bernoulli_log_prob(logits, x),
            "p_z1": p_z1.log_prob(z1),
            "p_y": log_p_y,
            "p_z2": standard_normal_log_prob(z2),
            "q_z2": q_z2.log_prob(z2),
        }

    def loss(
        self,
        x: Float[Tensor, "R B D"],
        scheduled: Mapping[str, float | Tensor],
        noise: Noise,
        labelled: Labelled | None = None,
    ) -> Terms:
        """Training objective in nats: the negative unlabelled bound of x plus, for labelled examples, the label loss.

        ``warm_up`` multiplies every log p - log q of a latent variable.  In a training step whose sum over y is limited
        by ``classes``, the terms are unbiased estimates (with batch normalisation: given the batch statistics).
        """
        s, (_, B, _) = self.settings, x.shape
        x = self.binarise(x, noise)
        q_z1 = gaussian(self.q_z1.of(x=x))
        z1 = q_z1.draw(noise.normal(B, s.z1_dim))
        log_q_y = self.q_y.of(x=x, z1=z1)["logits"].log_softmax(-1)
        over_y = class_sum(log_q_y, s.classes, noise, self.training)
        log = self.joint(x, z1, noise.normal(B, over_y.visited, s.z2_dim), over_y.y, over_y.weights)
        terms = {
            "reconstruction": -over_y.mean(log["p_x"]),
            "kl_z1": q_z1.log_prob(z1) - over_y.mean(log["p_z1"]),
            "kl_y": over_y.mean(-log["p_y"], log_q_y),
            "kl_z2": over_y.mean(log["q_z2"] - log["p_z2"]),
        }
        latent = terms["kl_z1"] + terms["kl_y"] + terms["kl_z2"]
        objective = (terms["reconstruction"] + scheduled["warm_up"] * latent).mean(-1)
        if labelled is not None:
            with running_statistics_kept(self):
                objective = objective + self.label_loss(labelled, scheduled["warm_up"], noise)
        return Terms(objective, terms)

    def label_loss(self, labelled: Labelled, warm_up: float | Tensor, noise: Noise) -> Float[Tensor, " R"]:
        """Terms that ``label_objective`` adds to the loss, in nats, averaged over the labelled examples."""
        s, L = self.settings, labelled.y.shape[1]
        x, y = self.binarise(labelled.x, noise), labelled.y
        q_z1 = gaussian(self.q_z1.of(x=x))
        z1 = q_z1.draw(noise.normal(L, s.z1_dim))
        q_x, q_z2_x = self.q_y.project(x=x), self.q_z2.project(x=x)
        log_q_y = self.q_y(q_x + self.q_y.project(z1=z1))["logits"].log_softmax(-1)
        cross_entropy = -log_q_y.gather(-1, y[..., None]).squeeze(-1)
        if s.label_objective.endswith("pq"):
            log_p_y = self.p_classifier(q_z2_x, z1, log_q_y, noise.normal(L, s.n_clusters, s.z2_dim))
            cross_entropy = cross_entropy - log_p_y.gather(-1, y[..., None]).squeeze(-1)
        added = s.alpha * labelled.stands_for * cross_entropy
        if s.label_objective.startswith("elbo_l"):
            log = self.joint(x, z1, noise.normal(L, s.z2_dim), y=y, projected_x=q_z2_x)
            latent = q_z1.log_prob(z1) - log["p_z1"] - log["p_y"] + log["q_z2"] - log["p_z2"]
            added = added - log["p_x"] + warm_up * latent
        return added.mean(-1)

    def p_classifier(
        self,
        projected_x: Float[Tensor, "R B H"],
        z1: Float[Tensor, "R B Z1"],
        log_q_y: Float[Tensor, "R B K"],
        noise: Float[Tensor, "R B K Z2"],
    ) -> Float[Tensor, "R B K"]:
        """log p(y|x) of the second classifier at one z1: the inferred class is summed out, each with its own z2."""
        q_y = log_q_y.exp()
        z2 = gaussian(self.q_z2(projected_x + self.q_z2.project(z1=z1), q_y=q_y)).draw(noise)
        log_p_y = self.p_y.of(z2=z2, q_y=q_y)["logits"].log_softmax(-1)
        return (log_q_y[..., None] + log_p_y).logsumexp(-2)

    def infer(self, x: Float[Tensor, "R B D"]) -> dict[str, Any]:
        """q(z1|x), and the projections of x in the networks that also have z1 as an input."""
        return {
            "q_z1": gaussian(self.q_z1.of(x=x)),
            "q_y": self.q_y.project(x=x),
            "q_z2": self.q_z2.project(x=x),
        }

    def log_weights(
        self, x: Float[Tensor, "R B D"], inferred: Mapping[str, Any], n: int, noise: Noise, enumerate_y: bool = False
    ) -> Float[Tensor, "n R B"]:
        """Log importance weights in nats, n per binary image; y is drawn from q(y|z1, x), or summed out in each weight.

        Both weights are unbiased for p(x); summing out costs up to K times as much and has the smaller variance.
        """
        s, (R, B, _) = self.settings, x.shape
        q_z1 = repeat_rows(n, inferred["q_z1"])
        z1 = q_z1.draw(noise.normal(n, B, s.z1_dim).flatten(1, 2))
        log_q_y = self.q_y(repeat_rows(n, inferred["q_y"]) + self.q_y.project(z1=z1))["logits"].log_softmax(-1)
        common = {"x": repeat_rows(n, x), "z1": z1, "projected_x": repeat_rows(n, inferred["q_z2"])}
        if enumerate_y:
            draws = noise.normal(n, B, s.n_clusters, s.z2_dim).flatten(1, 2)
            log = self.joint(noise=draws, weights=log_q_y.exp(), **common)
            log_w = (log["p_x"] + log["p_z1"] + log["p_y"] + log["p_z2"] - log["q_z2"]).logsumexp(-1)
        else:
            y = categorical(log_q_y, noise.uniform(n, B, s.n_clusters).flatten(1, 2))
            log = self.joint(noise=noise.normal(n, B, s.z2_dim).flatten(1, 2), y=y, **common)
            log_w = log["p_x"] + log["p_z1"] + log["p_y"] + log["p_z2"] - log["q_z2"]
            log_w = log_w - log_q_y.gather(-1, y[..., None]).squeeze(-1)
        return (log_w - q_z1.log_prob(z1)).view(R, n, B).transpose(0, 1)

    def classifiers(self, x: Float[Tensor, "R B D"], n: int, noise: Noise) -> dict[str, Float[Tensor, "R B K"]]:
        """log q(y|x) and log p(y|x) of binary images x, the probabilities being averaged over n samples."""
        s, (R, B, _) = self.settings, x.shape
        inferred = repeat_rows(n, self.infer(x))
        z1 = inferred["q_z1"].draw(noise.normal(n, B, s.z1_dim).flatten(1, 2))
        log_q_y = self.q_y(inferred["q_y"] + self.q_y.project(z1=z1))["logits"].log_softmax(-1)
        draws = noise.normal(n, B, s.n_clusters, s.z2_dim).flatten(1, 2)
        log_p_y = self.p_classifier(inferred["q_z2"], z1, log_q_y, draws)
        samples = {"q": log_q_y, "p": log_p_y}
        return {name: log_p.view(R, n, B, -1).logsumexp(1).log_softmax(-1) for name, log_p in samples.items()}

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """Cluster log-probabilities log q(y|z1, x) at the mean of q(z1|x)."""
        z1 = gaussian(self.q_z1.of(x=x)).mean
        return self.q_y.of(x=x, z1=z1)["logits"].log_softmax(-1)

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Mean of q(z1|x), and mean of q(z2|x, y, z1) at this z1, averaged over the clusters under q(y|z1, x)."""
        z1 = gaussian(self.q_z1.of(x=x)).mean
        q_y = self.q_y.of(x=x, z1=z1)["logits"].softmax(-1)
        z2 = gaussian(self.q_z2.of(x=x, z1=z1, q_y=q_y)).mean
        return {"z1_mean": z1, "z2_mean": (q_y[..., None] * z2).sum(2)}

    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Reconstructions: means of p(x|y, z1) at the mean of q(z1|x), averaged over the clusters under q(y|z1, x)."""
        z1 = gaussian(self.q_z1.of(x=x)).mean
        q_y = self.q_y.of(x=x, z1=z1)["logits"].softmax(-1)
        return (q_y[..., None] * self.p_x.of(z1=z1, q_y=q_y)["logits"].sigmoid()).sum(2)

    def sample_given(
        self, z2: Float[Tensor, "R B Z2"], y: Int[Tensor, "R B"] | None, noise: Noise
    ) -> Float[Tensor, "R B D"]:
        """Means of p(x|y, z1) at one sample of p(z1|y, z2); y is given or, if None, drawn from p(y|z2)."""
        B, s = z2.shape[1], self.settings
        if y is None:
            log_p_y = self.p_y.of(z2=z2)["logits"].log_softmax(-1)
            y = categorical(log_p_y, noise.uniform(B, s.n_clusters))
        z1 = gaussian(self.p_z1.of(z2=z2, y=y)).draw(noise.normal(B, s.z1_dim))
        return self.p_x.of(z1=z1, y=y)["logits"].sigmoid()

    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(x|y, z1) for n samples of z2, y and z1 from the prior."""
        return self.sample_given(noise.normal(n, self.settings.z2_dim), None, noise)

    def sample_clusters(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Means of p(x|y, z1) for ``n`` samples of z2 and z1 from p(z2, z1|y) of every cluster y.

        z2 is one of :data:`CANDIDATES` draws from its prior, chosen with probability p(y|z2).
        """
        s, K = self.settings, self.settings.n_clusters
        z2 = noise.normal(n, CANDIDATES, s.z2_dim)
        log_p_y = self.p_y.of(z2=z2.flatten(1, 2))["logits"].log_softmax(-1)
        log_p_y = log_p_y.unflatten(1, (n, CANDIDATES)).movedim(-1, 1).flatten(1, 2)  # [R, K n, CANDIDATES]
        chosen = categorical(log_p_y, noise.uniform(K * n, CANDIDATES))
        z2 = z2.repeat(1, K, 1, 1).gather(2, chosen[..., None, None].expand(-1, -1, 1, s.z2_dim)).squeeze(2)
        y = torch.arange(K, device=z2.device).repeat_interleave(n).expand(self.replicas, -1)
        return self.sample_given(z2, y, noise).unflatten(1, (K, n))

    def sample_cluster(self, n: int, noise: Noise, cluster: int) -> Float[Tensor, "R n D"]:
        """Means of p(x|y, z1) for ``n`` samples of z2 and z1 from p(z2, z1|y) of one cluster y, as of all of them."""
        s = self.settings
        z2 = noise.normal(n, CANDIDATES, s.z2_dim)
        log_p_y = [  # some at a time, as there are a hundred times as many candidates as samples
            self.p_y.of(z2=rows)["logits"].log_softmax(-1)[..., cluster] for rows in z2.flatten(1, 2).split(2000, 1)
        ]
        chosen = categorical(torch.cat(log_p_y, 1).unflatten(1, (n, CANDIDATES)), noise.uniform(n, CANDIDATES))
        z2 = z2.gather(2, chosen[..., None, None].expand(-1, -1, 1, s.z2_dim)).squeeze(2)
        return self.sample_given(z2, torch.full_like(chosen, cluster), noise)

    def two_dimensional_map(
        self, x: Float[Tensor, "R B D"], side: int, span: tuple[float, float], noise: Noise
    ) -> dict[str, Float[Tensor, "R ..."]]:
        """Map of a two-dimensional z2 (Figure 2): means of q(z2|x), and images decoded on a grid over them.

        Args:
            x: binary images.
            side: number of points on a side of the grid, whose rows go from the top of the map to its bottom.
            span: quantiles of the means between which the grid lies, in each direction.
            noise: random numbers from which y and z1 are drawn.

        Returns:
            ``map_z2`` ``[R, B, 2]``, ``map_grid`` ``[R, side², 2]``, and images with y from p(y|z2), ``map_any``
            ``[R, side², D]``, and with each y, ``map_of_class`` ``[R, K, side², D]``.
        """
        z2, K = self.embed(x)["z2_mean"], self.settings.n_clusters
        low, high = torch.quantile(z2, z2.new_tensor(span), dim=1)[..., None]
        axes = low + (high - low) * torch.linspace(0, 1, side, device=z2.device)  # [R, 2, side]
        grid = torch.stack([axes[:, 0].repeat(1, side), axes[:, 1].flip(-1).repeat_interleave(side, -1)], -1)
        of_any_class = self.sample_given(grid, None, noise)
        y = torch.arange(K, device=z2.device).repeat(self.replicas, side**2)
        of_class = self.sample_given(grid.repeat_interleave(K, 1), y, noise.at(1))
        return {
            "map_z2": z2,
            "map_grid": grid,
            "map_any": of_any_class,
            "map_of_class": of_class.unflatten(1, (side**2, K)).transpose(1, 2),
        }
