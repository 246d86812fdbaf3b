r"""The models that are timed, on the library's contract: :meth:`loss` on replicated layers.

Three have exactly the architecture and objective of a peer; CaGeM and GMVAE are compact forms of the unlabelled
bounds of their papers, without batch normalisation, to time a step of that size. None is meant to be a replication.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from genclust import kernels
from genclust.models.base import Model, Terms
from genclust.models.layers import Linear, initialise
from genclust.streams import Noise


class ClassBias(nn.Module):
    """One bias for each of K classes, ``[R, K, H]``: the part of a layer that sees the one-hot y."""

    def __init__(self, replicas: int, classes: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(replicas, classes, features))


class Timed(Model):
    """A model that is trained only to be timed."""

    def initialise(self, generators: Sequence[Generator]) -> None:
        initialise(self, generators, "pytorch")
        for layer in self.modules():
            if isinstance(layer, ClassBias):
                for weight, generator in zip(layer.weight.data, generators, strict=True):
                    weight.uniform_(-0.1, 0.1, generator=generator)

    def cluster_posterior(self, x: Tensor) -> Tensor:
        raise NotImplementedError("a model to be timed is never scored")

    def embed(self, x: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError("a model to be timed is never scored")


def _layers(replicas: int, sizes: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(*(m for i, o in pairwise(sizes) for m in (Linear(replicas, i, o), activation())))


def _rows(layer: nn.Module, h: Float[Tensor, "R *B H"]) -> Float[Tensor, "R *B F"]:
    """A replicated layer on any number of axes between replica and features."""
    return layer(h.flatten(1, -2)).unflatten(1, h.shape[1:-1])


def _gaussian(mean: Tensor, log_var: Tensor, z: Tensor) -> Tensor:
    """log N(z; mean, exp(log_var)), summed over the last axis."""
    return -0.5 * (math.log(2 * math.pi) + log_var + (z - mean).square() * (-log_var).exp()).sum(-1)


class VAE(Timed):
    r"""D-H-Z-H-D with ReLU: the default networks of pythae, Bernoulli likelihood.

    With one sample the bound of Kingma and Welling with its analytic divergence, as in pythae's VAE; with more
    the importance-weighted bound :math:`\log \frac 1 S \sum_s p(x, z_s) / q(z_s|x)`, as in its IWAE.
    """

    def __init__(self, replicas: int, x_dim: int = 784, hidden: int = 512, z_dim: int = 16, samples: int = 1) -> None:
        super().__init__()
        self.replicas, self.z_dim, self.samples = replicas, z_dim, samples
        self.encoder = _layers(replicas, (x_dim, hidden), nn.ReLU)
        self.mean, self.log_var = (Linear(replicas, hidden, z_dim) for _ in range(2))
        self.decoder = nn.Sequential(_layers(replicas, (z_dim, hidden), nn.ReLU), Linear(replicas, hidden, x_dim))

    def encode(self, x: Float[Tensor, "R B D"]) -> tuple[Float[Tensor, "R B Z"], Float[Tensor, "R B Z"]]:
        """Mean and log-variance of q(z|x), in float32."""
        h = self.encoder(x)
        return self.mean(h).float(), self.log_var(h).float()

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        mean, log_var = self.encode(x)
        if self.samples == 1:
            z, _, _ = kernels.gaussian_sample(mean, log_var, noise.normal(*mean.shape[1:]))
            log_p_x = kernels.bernoulli_log_prob(self.decoder(z), x)
            kl = kernels.gaussian_kl(mean, log_var)
            return Terms((kl - log_p_x).mean(-1), {"reconstruction": -log_p_x, "kl": kl})
        bound = kernels.log_mean_exp(self.log_weights(x, (mean, log_var), self.samples, noise))
        return Terms(-bound.mean(-1), {"bound": bound})

    infer = encode

    def log_weights(
        self, x: Float[Tensor, "R B D"], inferred: tuple[Tensor, Tensor], n: int, noise: Noise
    ) -> Float[Tensor, "n R B"]:
        """log p(x, z) - log q(z|x) of n samples, see `genclust.evaluation.likelihood`."""
        mean, log_var = (t[:, None] for t in inferred)
        z, log_q, log_p = kernels.gaussian_sample(mean, log_var, noise.normal(n, *mean.shape[2:]))
        return (kernels.bernoulli_log_prob(_rows(self.decoder, z), x[:, None]) + log_p - log_q).transpose(0, 1)


class VaDE(Timed):
    r"""784-500-500-2000-10 with leaky ReLU and a mixture of K diagonal Gaussians, as ClustPy trains it.

    .. math::

        -\log p(x|z) + \sum_k \gamma_k \Big(\mathrm{KL}(q(z|x)\,\|\,p(z|k)) + \log\frac{\gamma_k}{\pi_k}\Big),
        \quad \gamma_k \propto \pi_k\, p(z|k)

    The reconstruction is summed over the batch where the rest is averaged, and the log-variances count twice in
    :math:`\gamma`, both as in ClustPy 0.0.3; neither costs or saves time.
    """

    def __init__(
        self,
        replicas: int,
        x_dim: int = 784,
        hidden: Sequence[int] = (500, 500, 2000),
        z_dim: int = 10,
        n_clusters: int = 10,
    ) -> None:
        super().__init__()
        self.replicas = replicas
        self.encoder = _layers(replicas, (x_dim, *hidden), nn.LeakyReLU)
        self.mean, self.log_var = (Linear(replicas, hidden[-1], z_dim) for _ in range(2))
        self.decoder = nn.Sequential(
            _layers(replicas, (z_dim, *reversed(hidden)), nn.LeakyReLU), Linear(replicas, hidden[0], x_dim)
        )
        self.pi = nn.Parameter(torch.zeros(replicas, n_clusters))
        self.means = ClassBias(replicas, n_clusters, z_dim)
        self.log_vars = ClassBias(replicas, n_clusters, z_dim)

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        h = self.encoder(x)
        mean, log_var = self.mean(h).float(), self.log_var(h).float()
        z, _, _ = kernels.gaussian_sample(mean, log_var, noise.normal(*mean.shape[1:]))
        log_p_x = kernels.bernoulli_log_prob(self.decoder(z), x)

        log_pi = self.pi.log_softmax(-1)[:, None]
        means, log_vars = self.means.weight[:, None], self.log_vars.weight[:, None]
        doubled = log_pi - 0.5 * log_vars.sum(-1)
        log_gamma = kernels.mixture(z, doubled, means, log_vars).log_responsibilities
        gamma = log_gamma.exp()
        kl = kernels.mixture(z, doubled, means, log_vars, q_mean=mean, q_log_var=log_var, q_z=gamma).kl
        assert kl is not None
        rest = kl + (gamma * (log_gamma - log_pi)).sum(-1)
        return Terms(rest.mean(-1) - log_p_x.sum(-1), {"reconstruction": -log_p_x, "rest": rest})


class CaGeM(Timed):
    r"""The unlabelled bound of CaGeM, y enumerated, two hidden layers everywhere.

    .. math::

        E_{q(z_1|x)} \sum_y q(y|z_1,x)\, E_{q(z_2|x,y,z_1)} \big[
        \log p(x|y,z_1) + \log p(z_1|y,z_2) + \log p(y|z_2) + \log p(z_2)
        - \log q(z_1|x) - \log q(y|z_1,x) - \log q(z_2|x,y,z_1) \big]

    What y shares, x and z_1, is projected once and the classes are added to it as biases; only what lies behind
    that is computed K times.
    """

    def __init__(
        self,
        replicas: int,
        x_dim: int = 784,
        hidden: int = 1024,
        z1_dim: int = 64,
        z2_dim: int = 32,
        n_clusters: int = 10,
    ) -> None:
        super().__init__()
        self.replicas, self.n_clusters = replicas, n_clusters
        R, D, H, Z1, Z2, K = replicas, x_dim, hidden, z1_dim, z2_dim, n_clusters

        def head(*sizes: int) -> nn.ModuleList:
            return nn.ModuleList([Linear(R, H, size) for size in sizes])

        self.q_z1 = _layers(R, (D, H, H), nn.LeakyReLU)
        self.q_z1_head = head(Z1, Z1)
        # q(y|z1, x) and q(z2|x, y, z1): a projection of each input, added
        self.q_y_x, self.q_y_z1 = Linear(R, D, H), Linear(R, Z1, H)
        self.q_y = nn.Sequential(_layers(R, (H, H), nn.LeakyReLU), Linear(R, H, K))
        self.q_z2_x, self.q_z2_z1, self.q_z2_y = Linear(R, D, H), Linear(R, Z1, H), ClassBias(R, K, H)
        self.q_z2 = _layers(R, (H, H), nn.LeakyReLU)
        self.q_z2_head = head(Z2, Z2)
        self.p_y = nn.Sequential(_layers(R, (Z2, H, H), nn.LeakyReLU), Linear(R, H, K))
        self.p_z1_z2, self.p_z1_y = Linear(R, Z2, H), ClassBias(R, K, H)
        self.p_z1 = _layers(R, (H, H), nn.LeakyReLU)
        self.p_z1_head = head(Z1, Z1)
        self.p_x_z1, self.p_x_y = Linear(R, Z1, H), ClassBias(R, K, H)
        self.p_x = nn.Sequential(_layers(R, (H, H), nn.LeakyReLU), Linear(R, H, D))

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        B, K = x.shape[1], self.n_clusters

        def with_classes(h: Float[Tensor, "R B H"], bias: ClassBias) -> Float[Tensor, "R B K H"]:
            return kernels.class_bias_act(h, bias.weight.to(h.dtype), "leaky_relu")

        def heads(layers: nn.ModuleList, h: Tensor) -> list[Tensor]:
            return [_rows(layer, h).float() for layer in layers]

        mean, log_var = heads(self.q_z1_head, self.q_z1(x))
        z1, log_q_z1, _ = kernels.gaussian_sample(mean, log_var, noise.normal(*mean.shape[1:]))
        log_q_y = self.q_y(nn.functional.leaky_relu(self.q_y_x(x) + self.q_y_z1(z1))).float().log_softmax(-1)

        h = _rows(self.q_z2, with_classes(self.q_z2_x(x) + self.q_z2_z1(z1), self.q_z2_y))
        mean, log_var = heads(self.q_z2_head, h)
        z2, log_q_z2, log_p_z2 = kernels.gaussian_sample(mean, log_var, noise.normal(B, K, mean.shape[-1]))

        # branch y asks for its own class only
        log_p_y = _rows(self.p_y, z2).float().log_softmax(-1).diagonal(dim1=-2, dim2=-1)
        h = _rows(self.p_z1_z2, z2)
        h = nn.functional.leaky_relu(h + self.p_z1_y.weight[:, None].to(h.dtype))
        mean, log_var = heads(self.p_z1_head, _rows(self.p_z1, h))
        log_p_z1 = _gaussian(mean, log_var, z1[:, :, None])
        log_p_x = kernels.bernoulli_log_prob(_rows(self.p_x, with_classes(self.p_x_z1(z1), self.p_x_y)), x[:, :, None])

        inner = log_p_x + log_p_z1 + log_p_y + log_p_z2 - log_q_y - log_q_z2
        bound = (log_q_y.exp() * inner).sum(-1) - log_q_z1
        return Terms(-bound.mean(-1), {"bound": bound})


class GMVAE(Timed):
    r"""The bound of GMVAE with fully connected networks, M samples of x and w.

    .. math::

        E_q \log p(y|x) - E_{q(w|y)} \sum_k q(z_k|y)\,\mathrm{KL}(q(x|y)\,\|\,p(x|w,z_k))
        - \mathrm{KL}(q(w|y)\,\|\,p(w)) - \mathrm{KL}(q(z|y)\,\|\,p(z)) - \alpha\, E_q H(p(z|x,w))

    Here as in the paper y is the data and x, w are latent; the components of p(x|w, z) are given by a network of
    w, so every sample has K means and variances of its own. The last term is the consistency violation.
    """

    def __init__(
        self,
        replicas: int,
        y_dim: int = 784,
        hidden: int = 500,
        x_dim: int = 200,
        w_dim: int = 150,
        n_clusters: int = 10,
        samples: int = 1,
    ) -> None:
        super().__init__()
        self.replicas, self.n_clusters, self.samples = replicas, n_clusters, samples
        R, H, K = replicas, hidden, n_clusters
        self.encoder = _layers(R, (y_dim, H, H), nn.ReLU)
        self.x_mean, self.x_log_var = Linear(R, H, x_dim), Linear(R, H, x_dim)
        self.w_mean, self.w_log_var = Linear(R, H, w_dim), Linear(R, H, w_dim)
        self.z_logits = Linear(R, H, K)
        self.prior = _layers(R, (w_dim, H), nn.Tanh)
        self.prior_mean, self.prior_log_var = Linear(R, H, K * x_dim), Linear(R, H, K * x_dim)
        self.decoder = nn.Sequential(_layers(R, (x_dim, H, H), nn.ReLU), Linear(R, H, y_dim))

    def loss(self, y: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        B, K, M = y.shape[1], self.n_clusters, self.samples
        h = self.encoder(y)
        x_mean, x_log_var = self.x_mean(h).float()[:, None], self.x_log_var(h).float()[:, None]
        w_mean, w_log_var = self.w_mean(h).float(), self.w_log_var(h).float()
        log_q_z = self.z_logits(h).float().log_softmax(-1)
        q_z = log_q_z.exp()
        x, _, _ = kernels.gaussian_sample(x_mean, x_log_var, noise.normal(M, B, x_mean.shape[-1]))
        w, _, _ = kernels.gaussian_sample(w_mean[:, None], w_log_var[:, None], noise.normal(M, B, w_mean.shape[-1]))

        reconstruction = -kernels.bernoulli_log_prob(_rows(self.decoder, x), y[:, None]).mean(1)
        h = _rows(self.prior, w)
        means = _rows(self.prior_mean, h).float().unflatten(-1, (K, -1))  # [R, M, B, K, X]
        log_vars = _rows(self.prior_log_var, h).float().unflatten(-1, (K, -1))
        uniform = torch.full((K,), -math.log(K), device=y.device)
        mixture = kernels.mixture(x, uniform, means, log_vars, q_mean=x_mean, q_log_var=x_log_var, q_z=q_z[:, None])
        assert mixture.kl is not None
        kl_x, violation = mixture.kl.mean(1), mixture.entropy.mean(1)
        kl_w = kernels.gaussian_kl(w_mean, w_log_var)
        kl_z = (q_z * log_q_z).sum(-1) + math.log(K)
        objective = (reconstruction + kl_x + kl_w + kl_z + violation).mean(-1)
        terms = {"reconstruction": reconstruction, "kl_x": kl_x, "kl_w": kl_w, "kl_z": kl_z, "violation": violation}
        return Terms(objective, terms)
