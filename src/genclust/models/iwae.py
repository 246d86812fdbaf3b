r"""Variational and importance-weighted autoencoders with one or more stochastic layers.

Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, arXiv 1509.00519:

.. math::

    p(x, h) &= p(h^L)\, p_\theta(h^{L-1}|h^L) \cdots p_\theta(x|h^1), \quad
    q(h|x) = q_\phi(h^1|x)\, q_\phi(h^2|h^1) \cdots q_\phi(h^L|h^{L-1}) \\
    \mathcal L_k^{\mathrm{IWAE}} &= E\Big[\log\frac1k\sum_{i=1}^k w_i\Big] \quad (8), \qquad
    \mathcal L_k^{\mathrm{VAE}} = E\Big[\frac1k\sum_{i=1}^k \log w_i\Big], \quad
    w_i = \frac{p(x, h_i)}{q(h_i|x)}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genclust.kernels import bernoulli_log_prob, log_mean_exp
from genclust.kernels.dispatch import precise
from genclust.models.base import BernoulliSettings
from genclust.models.continuous import LayeredModel
from genclust.models.distributions import Gaussian, standard_normal_log_prob
from genclust.models.layers import Linear
from genclust.models.networks import check_layers
from genclust.settings import within


@dataclass(frozen=True)
class IWAESettings(BernoulliSettings):
    """Hyper-parameters of :class:`IWAE`; the defaults are the paper's single layer on MNIST.

    Attributes:
        objective: ``vae`` averages the logarithms of k weights, ``iwae`` takes the logarithm of their average.
        samples: number of samples k per example.
        z_dims: dimensions of the stochastic layers, from the data upwards.
        hidden: for each stochastic layer, width of the two deterministic layers below it.
    """

    objective: Literal["vae", "iwae"] = "iwae"
    samples: int = within(1, 100_000, default=1)
    z_dims: tuple[int, ...] = within(1, 10_000, default=(50,))
    hidden: tuple[int, ...] = within(1, 100_000, default=(200,))


class TanhGaussian(nn.Module):
    """Network of two tanh layers that gives the mean and the log standard deviation of a Gaussian."""

    def __init__(self, replicas: int, d_in: int, hidden: int, d_out: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            Linear(replicas, d_in, hidden), nn.Tanh(), Linear(replicas, hidden, hidden), nn.Tanh()
        )
        self.mean, self.log_sd = Linear(replicas, hidden, d_out), Linear(replicas, hidden, d_out)

    def forward(self, x: Float[Tensor, "R B D"]) -> Gaussian:
        h = self.hidden(x)
        return Gaussian(precise(self.mean(h)), (2 * precise(self.log_sd(h))).exp())


class IWAE(LayeredModel):
    """Autoencoder with layers of Gaussian latent variables and Bernoulli pixels, trained on the VAE or IWAE bound.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data: grey values in [0, 1], binarised at random anew in every training step.
        settings: hyper-parameters.

    Raises:
        SettingError: if there is no layer, or if ``hidden`` does not have one width per layer.

    Example:
        >>> from genclust.streams import Noise
        >>> model = IWAE(2, 784, IWAESettings())  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().sample(3, Noise([0, 1], "an example")).shape
        torch.Size([2, 3, 784])
    """

    def __init__(self, replicas: int, x_dim: int, settings: IWAESettings) -> None:
        super().__init__()
        self.replicas, self.settings = replicas, settings
        s = settings
        check_layers(s.z_dims, s.hidden)
        dims = list(zip(pairwise((x_dim, *s.z_dims)), s.hidden, strict=True))
        self.q = nn.ModuleList(TanhGaussian(replicas, below, width, above) for (below, above), width in dims)
        self.p = nn.ModuleList(TanhGaussian(replicas, above, width, below) for (below, above), width in dims[1:])
        width = s.hidden[0]
        self.p_x_hidden = nn.Sequential(
            Linear(replicas, s.z_dims[0], width), nn.Tanh(), Linear(replicas, width, width), nn.Tanh()
        )
        self.p_x_logits = Linear(replicas, width, x_dim)

    @torch.no_grad()
    def initialise_from_data(self, x: Float[Tensor, "N D"]) -> None:
        """Data-dependent initialisation: output bias = logit of the pixel means, as in the paper's code."""
        mean = (x.mean(0) * (255 / self.settings.divisor)).clamp(0.001, 0.999)
        self.p_x_logits.bias.copy_(mean.logit().expand_as(self.p_x_logits.bias))

    def logits(self, z1: Float[Tensor, "R B Z"]) -> Float[Tensor, "R B D"]:
        """Bernoulli logits of p(x|h1); the paper's h1 is the lowest layer, which other models call z1."""
        return precise(self.p_x_logits(self.p_x_hidden(z1)))

    @property
    def training_samples(self) -> int:
        return self.settings.samples

    def terms(
        self, x: Float[Tensor, "R B D"], inferred: Gaussian, noises: Sequence[Float[Tensor, "R B Z"]]
    ) -> dict[str, Float[Tensor, "R B"]]:
        h, log_q, q = [], [], inferred
        for layer, noise in enumerate(noises):
            h.append(q.draw(noise))
            log_q.append(q.log_prob(h[layer]))
            if layer + 1 < len(noises):
                q = self.q[layer + 1](h[layer])
        log_p = [p(above).log_prob(below) for p, (below, above) in zip(self.p, pairwise(h), strict=True)]
        log_p.append(standard_normal_log_prob(h[-1]))
        terms = {"reconstruction": -bernoulli_log_prob(self.logits(h[0]), x)}
        return terms | {f"kl_z{i}": q - p for i, (q, p) in enumerate(zip(log_q, log_p, strict=True), start=1)}

    def negative_bound(self, negative_log_w: Float[Tensor, "R k B"]) -> Float[Tensor, "R B"]:
        """Negative VAE or IWAE bound in nats, as set by ``objective``."""
        if self.settings.objective == "vae":
            return negative_log_w.mean(1)
        return -log_mean_exp(-negative_log_w.transpose(0, 1))

    def infer(self, x: Float[Tensor, "R B D"]) -> Gaussian:
        """Posterior q(h1|x) of the lowest stochastic layer."""
        return self.q[0](x)

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Posterior means of all layers by name, each given the mean of the layer below."""
        means, h = {}, x
        for i, q in enumerate(self.q, start=1):
            h = means[f"z{i}_mean"] = q(h).mean
        return means

    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Reconstructions: means of p(x|h1) at the mean of q(h1|x)."""
        return self.logits(self.q[0](x).mean).sigmoid()
