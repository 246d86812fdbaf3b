r"""Deep generative models with an auxiliary variable: AVAE (two latent layers) and ADGM (a class, one layer).

Maaløe, Sønderby, Sønderby, Winther, "Auxiliary Deep Generative Models", ICML 2016, arXiv 1602.05473.
The auxiliary variable a leaves p(x) as it is, for p(a|·) integrates to one, and makes q(z|x) a mixture:

.. math::

    p(x) = \int p(x, z)\, p(a|x, z)\, da\, dz, \qquad q(z|x) = \int q(z|a, x)\, q(a|x)\, da

So an importance weight with a in it, :math:`p(x, z)\,p(a|x, z) / q(a, z|x)`, is unbiased for p(x).

:class:`AVAE` has two layers of z and no classes, :class:`ADGM` one layer and a class y:

.. math::

    \text{AVAE:}\quad p(x, a, z_1, z_2) &= p_\theta(x|z_1)\, p_\theta(z_1|z_2)\, p(z_2)\, p_\theta(a|x, z_1, z_2) \\
    q(a, z_1, z_2|x) &= q_\phi(a|x)\, q_\phi(z_1|a, x)\, q_\phi(z_2|a, x, z_1) \\
    \text{ADGM:}\quad p(x, y, a, z) &= p_\theta(x|y, z)\, p(z)\, p(y)\, p_\theta(a|x, y, z), \quad p(y) = 1/K \\
    q(y, a, z|x) &= q_\phi(a|x)\, q_\phi(y|a, x)\, q_\phi(z|a, y, x)

ADGM is trained on bounds for labelled and for unlabelled points, in the second of which y is summed out:

.. math::

    \mathcal L(x, y) &= E_{q(a|x)\,q(z|a, y, x)}\Big[\log\frac{p(x, y, a, z)}{q(a|x)\, q(z|a, y, x)}\Big] \\
    \mathcal U(x) &= E_{q(a|x)}\Big[\sum_y q(y|a, x)\, E_{q(z|a, y, x)}\Big[
        \log\frac{p(x, y, a, z)}{q(y, a, z|x)}\Big]\Big] \\
    \mathcal J &= \frac1N\sum_{\text{all}} \mathcal U(x) + \frac1{N_l} \sum_{\text{labelled}} \Big[
        \mathcal L(x, y) + \alpha \frac N{N_l}\, E_{q(a|x)}[\log q(y|a, x)]\Big]

:math:`\mathcal J` and a prior on the weights is what the authors' code maximises, labelled points being unlabelled
ones as well; its model is the variant with skip connections, :math:`p(x|a, y, z)\,p(a|y, z)`.

How the paper's AVAE with two layers distributes its auxiliary variables is not known here: one a, seen by every
network of q, is the simplest that has the idea.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from genclust.kernels import bernoulli_log_prob
from genclust.models.base import Labelled, Terms
from genclust.models.classes import ClassSummingModel, class_sum
from genclust.models.continuous import ContinuousModel
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


@dataclass(frozen=True)
class AVAESettings(NetworkSettings):
    """Hyper-parameters of :class:`AVAE`; the paper's are not known, so the defaults are those of CaGeM.

    Attributes:
        a_dim: dimension of the auxiliary variable.
        z1_dim: dimension of the lower latent layer.
        z2_dim: dimension of the upper latent layer.
        hidden: width of the two hidden layers of every network.
    """

    a_dim: int = within(1, 10_000, default=64)
    z1_dim: int = within(1, 10_000, default=64)
    z2_dim: int = within(1, 10_000, default=32)
    hidden: int = within(1, 100_000, default=1024)


class AVAE(ContinuousModel):
    """Auxiliary variational autoencoder: two layers of latent variables z1, z2 and one auxiliary variable a.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data: grey values in [0, 1], binarised at random anew in every training step.
        settings: hyper-parameters.

    Example:
        >>> model = AVAE(2, 784, AVAESettings(hidden=64))  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().sample(3, Noise([0, 1], "an example")).shape
        torch.Size([2, 3, 784])
    """

    schedules = ("warm_up",)

    def __init__(self, replicas: int, x_dim: int, settings: AVAESettings) -> None:
        super().__init__()
        self.replicas, self.settings = replicas, settings
        s = settings
        a, z1, z2 = {"a": s.a_dim}, {"z1": s.z1_dim}, {"z2": s.z2_dim}
        network = partial(ClassConditionalMLP, replicas, hidden=s.hidden, momentum=s.momentum)
        self.q_a = network({"x": x_dim}, gaussian_heads(s.a_dim))
        self.q_z1 = network({"x": x_dim, **a}, gaussian_heads(s.z1_dim))
        self.q_z2 = network({"x": x_dim, **a, **z1}, gaussian_heads(s.z2_dim))
        self.p_z1 = network(z2, gaussian_heads(s.z1_dim))
        self.p_x = network(z1, {"logits": x_dim})
        self.p_a = network({"x": x_dim, **z1, **z2}, gaussian_heads(s.a_dim))

    @property
    def latent_dims(self) -> tuple[int, int, int]:
        return self.settings.a_dim, self.settings.z1_dim, self.settings.z2_dim

    def infer(self, x: Float[Tensor, "R B D"]) -> dict[str, Any]:
        """q(a|x), and the projections of x in the networks that also have latent variables as inputs."""
        q_a = gaussian(self.q_a.of(x=x))
        projections = {"q_z1": self.q_z1.project(x=x), "q_z2": self.q_z2.project(x=x), "p_a": self.p_a.project(x=x)}
        return {"q_a": q_a, **projections}

    def terms(
        self,
        x: Float[Tensor, "R B D"],
        inferred: Mapping[str, Any],
        noises: Sequence[Float[Tensor, "R B F"]],
    ) -> dict[str, Float[Tensor, "R B"]]:
        of_a, of_z1, of_z2 = noises
        q_a = inferred["q_a"]
        a = q_a.draw(of_a)
        q_z1 = gaussian(self.q_z1(inferred["q_z1"] + self.q_z1.project(a=a)))
        z1 = q_z1.draw(of_z1)
        q_z2 = gaussian(self.q_z2(inferred["q_z2"] + self.q_z2.project(a=a, z1=z1)))
        z2 = q_z2.draw(of_z2)
        p_a = gaussian(self.p_a(inferred["p_a"] + self.p_a.project(z1=z1, z2=z2)))
        p_z1 = gaussian(self.p_z1.of(z2=z2))
        return {
            "reconstruction": -bernoulli_log_prob(self.logits(z1), x),
            "kl_a": q_a.log_prob(a) - p_a.log_prob(a),
            "kl_z1": q_z1.log_prob(z1) - p_z1.log_prob(z1),
            "kl_z2": q_z2.log_prob(z2) - standard_normal_log_prob(z2),
        }

    def logits(self, z1: Float[Tensor, "R B Z1"]) -> Float[Tensor, "R B D"]:
        """Bernoulli logits of p(x|z1)."""
        return self.p_x.of(z1=z1)["logits"]

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Means of q(a|x), q(z1|a, x) and q(z2|a, x, z1), with every conditioning variable at its own mean."""
        a = gaussian(self.q_a.of(x=x)).mean
        z1 = gaussian(self.q_z1.of(x=x, a=a)).mean
        z2 = gaussian(self.q_z2.of(x=x, a=a, z1=z1)).mean
        return {"a_mean": a, "z1_mean": z1, "z2_mean": z2}

    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        return self.logits(self.embed(x)["z1_mean"]).sigmoid()

    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        z2 = noise.normal(n, self.settings.z2_dim)
        z1 = gaussian(self.p_z1.of(z2=z2)).draw(noise.normal(n, self.settings.z1_dim))
        return self.logits(z1).sigmoid()


@dataclass(frozen=True)
class ADGMSettings(NetworkSettings):
    """Hyper-parameters of :class:`ADGM`; the defaults are those of the authors' code for MNIST.

    Attributes:
        n_clusters: number of classes K.
        a_dim: dimension of the auxiliary variable.
        z_dim: dimension of z.
        hidden: width of the two hidden layers of every network.
        batch_norm: whether hidden layers, means and variances are batch-normalised.
        alpha: weight of the mean cross-entropy of the labelled points, in units of N / N_l.
        classes: number of the most probable classes over which a training step sums exactly, while one of the others
            is drawn at random (see :mod:`genclust.models.classes`); 0, or K - 1 and more, sums over all of them.
    """

    n_clusters: int = within(1, 10_000)
    a_dim: int = within(1, 10_000, default=100)
    z_dim: int = within(1, 10_000, default=100)
    hidden: int = within(1, 100_000, default=500)
    batch_norm: bool = field(default=False, kw_only=True)
    alpha: float = within(0, 1e6, default=0.1)
    classes: int = later(0, 0, 10_000)


class ADGM(ClassSummingModel):
    """Auxiliary deep generative model: a class y, one layer of latent variables z and an auxiliary variable a.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data: grey values in [0, 1], binarised at random anew in every training step.
        settings: hyper-parameters.

    Example:
        >>> model = ADGM(2, 784, ADGMSettings(n_clusters=10, hidden=64))  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().cluster_posterior(torch.rand(2, 5, 784)).shape
        torch.Size([2, 5, 10])
    """

    schedules = ("warm_up",)
    learns_from_labels = True

    def __init__(self, replicas: int, x_dim: int, settings: ADGMSettings) -> None:
        super().__init__()
        self.replicas, self.settings = replicas, settings
        s, K = settings, settings.n_clusters
        network = partial(ClassConditionalMLP, replicas, hidden=s.hidden, momentum=s.momentum)
        self.q_a = network({"x": x_dim}, gaussian_heads(s.a_dim))
        self.q_y = network({"x": x_dim, "a": s.a_dim}, {"logits": K})
        self.q_z = network({"x": x_dim, "a": s.a_dim}, gaussian_heads(s.z_dim), classes=K)
        self.p_x = network({"z": s.z_dim}, {"logits": x_dim}, classes=K)
        self.p_a = network({"x": x_dim, "z": s.z_dim}, gaussian_heads(s.a_dim), classes=K)

    def infer(self, x: Float[Tensor, "R B D"]) -> dict[str, Any]:
        """q(a|x), and the projections of x in the networks that also have latent variables as inputs."""
        q_a = gaussian(self.q_a.of(x=x))
        projections = {"q_y": self.q_y.project(x=x), "q_z": self.q_z.project(x=x), "p_a": self.p_a.project(x=x)}
        return {"q_a": q_a, **projections}

    def classify(
        self, inferred: Mapping[str, Any], noise: Float[Tensor, "R B A"]
    ) -> tuple[Float[Tensor, "R B A"], Float[Tensor, "R B K"]]:
        """One sample a ~ q(a|x) per example, and the class log-probabilities log q(y|a, x) at it, in nats."""
        a = inferred["q_a"].draw(noise)
        return a, self.q_y(inferred["q_y"] + self.q_y.project(a=a))["logits"].log_softmax(-1)

    def joint(
        self,
        x: Float[Tensor, "R B D"],
        inferred: Mapping[str, Any],
        a: Float[Tensor, "R B A"],
        noise: Float[Tensor, "R B *S Z"],
        y: Int[Tensor, "R B *S"] | None = None,
        weights: Float[Tensor, "R B S"] | None = None,
    ) -> dict[str, Float[Tensor, "R B *S"]]:
        """Log-densities in nats of all factors that depend on y, at one sample of z for each class.

        Args:
            x, inferred, a: binary images, the result of :meth:`infer` for them, and samples of the auxiliary variable.
            noise: standard normal noise from which z is drawn.
            y: one class or S classes per example; None for all K.
            weights: weights of the classes in batch statistics, if there are several per example.

        Returns:
            ``p_x``, ``p_a``, ``p_z`` and ``q_z``, each in the shape of y, or ``[R, B, K]`` if y is None.
        """
        of_q, of_p = inferred["q_z"] + self.q_z.project(a=a), inferred["p_a"]
        if noise.ndim == 4:  # classes have an axis of their own
            x, a, of_q, of_p = x[:, :, None], a[:, :, None], of_q[:, :, None], of_p[:, :, None]
        q_z = gaussian(self.q_z(of_q, y, weights))
        z = q_z.draw(noise)
        logits = self.p_x.of(z=z, y=y, q_y=weights)["logits"]
        return {
            "p_x": bernoulli_log_prob(logits, x),
            "p_a": gaussian(self.p_a(of_p + self.p_a.project(z=z), y, weights)).log_prob(a),
            "p_z": standard_normal_log_prob(z),
            "q_z": q_z.log_prob(z),
        }

    def loss(
        self,
        x: Float[Tensor, "R B D"],
        scheduled: Mapping[str, float | Tensor],
        noise: Noise,
        labelled: Labelled | None = None,
    ) -> Terms:
        """Training objective in nats: the negative unlabelled bound of x plus, for labelled examples, the label loss.

        ``warm_up`` multiplies every log q - log p of a latent variable.  In a training step whose sum over y is limited
        by ``classes``, the terms are unbiased estimates (with batch normalisation: given the batch statistics).
        """
        s, (_, B, _) = self.settings, x.shape
        x = self.binarise(x, noise)
        inferred = self.infer(x)
        a, log_q_y = self.classify(inferred, noise.normal(B, s.a_dim))
        over_y = class_sum(log_q_y, s.classes, noise, self.training)
        log = self.joint(x, inferred, a, noise.normal(B, over_y.visited, s.z_dim), over_y.y, over_y.weights)
        terms = {
            "reconstruction": -over_y.mean(log["p_x"]),
            "kl_a": inferred["q_a"].log_prob(a) - over_y.mean(log["p_a"]),
            "kl_y": (over_y.q * log_q_y).sum(-1) + math.log(s.n_clusters),
            "kl_z": over_y.mean(log["q_z"] - log["p_z"]),
        }
        latent = terms["kl_a"] + terms["kl_y"] + terms["kl_z"]
        objective = (terms["reconstruction"] + scheduled["warm_up"] * latent).mean(-1)
        if labelled is not None:
            with running_statistics_kept(self):
                objective = objective + self.label_loss(labelled, scheduled["warm_up"], noise)
        return Terms(objective, terms)

    def label_loss(self, labelled: Labelled, warm_up: float | Tensor, noise: Noise) -> Float[Tensor, " R"]:
        """Negative labelled bound plus weighted cross-entropy of q(y|a, x), in nats, mean over labelled examples."""
        s, L = self.settings, labelled.y.shape[1]
        x, y = self.binarise(labelled.x, noise), labelled.y
        inferred = self.infer(x)
        a, log_q_y = self.classify(inferred, noise.normal(L, s.a_dim))
        cross_entropy = -log_q_y.gather(-1, y[..., None]).squeeze(-1)
        log = self.joint(x, inferred, a, noise.normal(L, s.z_dim), y=y)
        latent = inferred["q_a"].log_prob(a) - log["p_a"] + log["q_z"] - log["p_z"]
        bound = log["p_x"] - warm_up * (latent + math.log(s.n_clusters))
        return (s.alpha * labelled.stands_for * cross_entropy - bound).mean(-1)

    def log_weights(
        self, x: Float[Tensor, "R B D"], inferred: Mapping[str, Any], n: int, noise: Noise, enumerate_y: bool = False
    ) -> Float[Tensor, "n R B"]:
        """Log importance weights in nats, n per binary image; y is drawn from q(y|a, x), or summed out in each weight.

        Both weights are unbiased for p(x); summing out costs up to K times as much and has the smaller variance.
        """
        s, (R, B, _) = self.settings, x.shape
        x, inferred = repeat_rows(n, x), repeat_rows(n, inferred)
        a, log_q_y = self.classify(inferred, noise.normal(n, B, s.a_dim).flatten(1, 2))
        if enumerate_y:
            draws = noise.normal(n, B, s.n_clusters, s.z_dim).flatten(1, 2)
            log = self.joint(x, inferred, a, draws, weights=log_q_y.exp())
            log_w = (log["p_x"] + log["p_a"] + log["p_z"] - log["q_z"]).logsumexp(-1)
        else:
            y = categorical(log_q_y, noise.uniform(n, B, s.n_clusters).flatten(1, 2))
            log = self.joint(x, inferred, a, noise.normal(n, B, s.z_dim).flatten(1, 2), y=y)
            log_w = log["p_x"] + log["p_a"] + log["p_z"] - log["q_z"] - log_q_y.gather(-1, y[..., None]).squeeze(-1)
        log_w = log_w - math.log(s.n_clusters) - inferred["q_a"].log_prob(a)
        return log_w.view(R, n, B).transpose(0, 1)

    def classifiers(self, x: Float[Tensor, "R B D"], n: int, noise: Noise) -> dict[str, Float[Tensor, "R B K"]]:
        """log q(y|x) of binary images x, the classifier's probabilities being averaged over n samples of a."""
        R, B, _ = x.shape
        inferred = repeat_rows(n, self.infer(x))
        _, log_q_y = self.classify(inferred, noise.normal(n, B, self.settings.a_dim).flatten(1, 2))
        return {"q": log_q_y.view(R, n, B, -1).logsumexp(1).log_softmax(-1)}

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """Class log-probabilities log q(y|a, x) at the mean of q(a|x)."""
        a = gaussian(self.q_a.of(x=x)).mean
        return self.q_y.of(x=x, a=a)["logits"].log_softmax(-1)

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Mean of q(a|x), and mean of q(z|a, y, x) at this a, averaged over the classes under q(y|a, x)."""
        a, q_y, z = self._means(x)
        return {"a_mean": a, "z_mean": (q_y[..., None] * z).sum(2)}

    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Reconstructions: means of p(x|y, z) at the mean of q(z|a, y, x) for each y, averaged over q(y|a, x)."""
        _, q_y, z = self._means(x)
        return (q_y[..., None] * self.p_x.of(z=z, q_y=q_y)["logits"].sigmoid()).sum(2)

    def _means(
        self, x: Float[Tensor, "R B D"]
    ) -> tuple[Float[Tensor, "R B A"], Float[Tensor, "R B K"], Float[Tensor, "R B K Z"]]:
        """Mean of q(a|x) and, at this a, the probabilities q(y|a, x) and the mean of q(z|a, y, x) for each y."""
        a = gaussian(self.q_a.of(x=x)).mean
        q_y = self.q_y.of(x=x, a=a)["logits"].softmax(-1)
        z = gaussian(self.q_z.of(x=x, a=a, q_y=q_y)).mean
        return a, q_y, z

    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(x|y, z) for n samples of y and z from the prior."""
        s, z = self.settings, noise.normal(n, self.settings.z_dim)
        y = (noise.uniform(n) * s.n_clusters).long()
        return self.p_x.of(z=z, y=y)["logits"].sigmoid()
