r"""VAE and VaDE with exactly the architecture and objective of the peers they are timed against.

They keep the library's contract, :meth:`loss` on replicated layers. Every other model that is timed is the library's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from genclust import kernels
from genclust.models.base import Model, Terms
from genclust.models.layers import ClassBias, Linear, initialise
from genclust.models.networks import rows
from genclust.streams import Noise


class Timed(Model):
    """Base of the models that are trained only to be timed."""

    def initialise(self, generators: Sequence[Generator]) -> None:
        initialise(self, generators, "pytorch")

    def cluster_posterior(self, x: Tensor) -> Tensor:
        raise NotImplementedError("a model to be timed is never scored")

    def embed(self, x: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError("a model to be timed is never scored")


def _layers(replicas: int, sizes: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(*(m for i, o in pairwise(sizes) for m in (Linear(replicas, i, o), activation())))


class VAE(Timed):
    r"""VAE with the default networks of pythae: D-H-Z-H-D with ReLU, Bernoulli likelihood.

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
            z = mean + (0.5 * log_var).exp() * noise.normal(*mean.shape[1:])
            log_p_x = kernels.bernoulli_log_prob(self.decoder(z), x)
            kl = kernels.gaussian_kl(mean, log_var)
            return Terms((kl - log_p_x).mean(-1), {"reconstruction": -log_p_x, "kl": kl})
        bound = kernels.log_mean_exp(self.log_weights(x, (mean, log_var), self.samples, noise))
        return Terms(-bound.mean(-1), {"bound": bound})

    infer = encode

    def log_weights(
        self, x: Float[Tensor, "R B D"], inferred: tuple[Tensor, Tensor], n: int, noise: Noise
    ) -> Float[Tensor, "n R B"]:
        """Log-weights log p(x, z) - log q(z|x) of n samples, see `genclust.evaluation.likelihood`."""
        mean, log_var = (t[:, None] for t in inferred)
        eps = noise.normal(n, *mean.shape[2:])
        z = mean + (0.5 * log_var).exp() * eps
        log_p_over_q = 0.5 * (eps.square() + log_var - z.square()).sum(-1)
        return (kernels.bernoulli_log_prob(rows(self.decoder, z), x[:, None]) + log_p_over_q).transpose(0, 1)


class VaDE(Timed):
    r"""VaDE as ClustPy trains it: 784-500-500-2000-10 with leaky ReLU, and a mixture of K diagonal Gaussians.

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
        z = mean + (0.5 * log_var).exp() * noise.normal(*mean.shape[1:])
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
