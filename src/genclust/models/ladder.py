r"""The ladder variational autoencoder (LVAE).

Sønderby, Raiko, Maaløe, Sønderby, Winther, "Ladder Variational Autoencoders", NIPS 2016, arXiv 1602.02282.
The generative model is that of any deep VAE; the inference model corrects, from the top layer down, a
Gaussian t by what a deterministic pass upwards made of x:

.. math::

    p(x, z) &= p_\theta(x|z_1)\, p_\theta(z_1|z_2) \cdots p_\theta(z_{L-1}|z_L)\, p(z_L), \qquad p(z_L) = N(0, I) \\
    d_1 &= \mathrm{MLP}(x), \quad d_l = \mathrm{MLP}(\hat\mu_{l-1}), \quad
    \hat\mu_l = \mathrm{Linear}(d_l), \quad \hat\sigma^2_l = \mathrm{Softplus}(\mathrm{Linear}(d_l)) \\
    q(z|x) &= q_\phi(z_L|x) \prod_{l<L} q_\phi(z_l|z_{l+1}, x), \qquad
    q_\phi(z_L|x) = N(\hat\mu_L, \hat\sigma_L^2), \quad q_\phi(z_l|z_{l+1}, x) = N(\mu_l, \sigma_l^2) \\
    \sigma_l^2 &= \frac{1}{\hat\sigma_l^{-2} + \sigma_{t,l}^{-2}}, \qquad
    \mu_l = \frac{\hat\mu_l \hat\sigma_l^{-2} + \mu_{t,l}\, \sigma_{t,l}^{-2}}{\hat\sigma_l^{-2} + \sigma_{t,l}^{-2}},
    \qquad t_l = N(\mu_{t,l}(z_{l+1}), \sigma_{t,l}^2(z_{l+1}))

Paper and code of the authors differ in two places, where this module follows the code:

* the paper's :math:`d_l` is a function of :math:`d_{l-1}`; in the code only the mean is passed upwards;
* in the paper :math:`t_l` is :math:`p_\theta(z_l|z_{l+1})` itself; in the code it has a network of its own, as
  wide as layer l + 1 where that of p is as wide as layer l.  The bound holds for any q, so either is one.

The code adds its least variance to the merged variance, within log-densities only; here it is part of every
variance that a network gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genclust.kernels import bernoulli_log_prob
from genclust.models.continuous import LayeredModel
from genclust.models.distributions import Gaussian, standard_normal_log_prob
from genclust.models.networks import (
    ClassConditionalMLP,
    NetworkSettings,
    check_layers,
    gaussian,
    gaussian_heads,
)
from genclust.settings import within


@dataclass(frozen=True)
class LVAESettings(NetworkSettings):
    """Hyper-parameters of :class:`LVAE`; the defaults are the five layers of the authors.

    Attributes:
        z_dims: dimensions of the stochastic layers, from the data upwards.
        hidden: for each stochastic layer, width of the two deterministic layers that belong to it.
    """

    z_dims: tuple[int, ...] = within(1, 10_000, default=(64, 32, 16, 8, 4))
    hidden: tuple[int, ...] = within(1, 100_000, default=(512, 256, 128, 64, 32))


class GaussianNetwork(nn.Module):
    """Network of one input that gives the mean and the variance of a Gaussian."""

    def __init__(self, replicas: int, d_in: int, hidden: int, d_out: int, momentum: float | None) -> None:
        super().__init__()
        self.network = ClassConditionalMLP(replicas, {"h": d_in}, gaussian_heads(d_out), hidden, momentum)

    def forward(self, h: Float[Tensor, "R B d"]) -> Gaussian:
        return gaussian(self.network.of(h=h))


class LVAE(LayeredModel):
    """Ladder VAE: layers of Gaussian latent variables under Bernoulli pixels, inferred from the top layer down.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data: grey values in [0, 1], binarised at random anew in every training step.
        settings: hyper-parameters.

    Raises:
        SettingError: if there is no layer, or if ``hidden`` does not have one width per layer.

    Example:
        >>> from genclust.streams import Noise
        >>> model = LVAE(2, 784, LVAESettings())  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().sample(3, Noise([0, 1], "an example")).shape
        torch.Size([2, 3, 784])
    """

    schedules = ("warm_up",)

    def __init__(self, replicas: int, x_dim: int, settings: LVAESettings) -> None:
        super().__init__()
        self.replicas, self.settings = replicas, settings
        s, momentum = settings, settings.momentum
        check_layers(s.z_dims, s.hidden)

        def layers(d_in: tuple[int, ...], widths: tuple[int, ...], d_out: tuple[int, ...]) -> nn.ModuleList:
            sizes = zip(d_in, widths, d_out, strict=True)
            return nn.ModuleList(GaussianNetwork(replicas, *size, momentum) for size in sizes)

        self.q_hat = layers((x_dim, *s.z_dims[:-1]), s.hidden, s.z_dims)
        self.t = layers(s.z_dims[1:], s.hidden[1:], s.z_dims[:-1])
        self.p = layers(s.z_dims[1:], s.hidden[:-1], s.z_dims[:-1])
        self.p_x = ClassConditionalMLP(replicas, {"z1": s.z_dims[0]}, {"logits": x_dim}, s.hidden[0], momentum)

    def infer(self, x: Float[Tensor, "R B D"]) -> list[Gaussian]:
        """Gaussians of the deterministic upward pass, one per layer, from the lowest layer to the top."""
        inferred, below = [], x
        for layer in self.q_hat:
            inferred.append(layer(below))
            below = inferred[-1].mean
        return inferred

    def descend(
        self, inferred: Sequence[Gaussian], noises: Sequence[Float[Tensor, "R B Z"]]
    ) -> tuple[list[Float[Tensor, "R B Z"]], list[Gaussian]]:
        """Samples z of all layers, drawn from the top down, and the posterior q of each layer; lowest layer first."""
        q = [inferred[-1]]
        z = [q[0].draw(noises[-1])]
        for upward, t, noise in reversed(list(zip(inferred[:-1], self.t, noises[:-1], strict=True))):
            q.insert(0, upward.product(t(z[0])))
            z.insert(0, q[0].draw(noise))
        return z, q

    def logits(self, z1: Float[Tensor, "R B Z"]) -> Float[Tensor, "R B D"]:
        """Bernoulli logits of p(x|z1)."""
        return self.p_x.of(z1=z1)["logits"]

    def terms(
        self, x: Float[Tensor, "R B D"], inferred: Sequence[Gaussian], noises: Sequence[Float[Tensor, "R B Z"]]
    ) -> dict[str, Float[Tensor, "R B"]]:
        z, q = self.descend(inferred, noises)
        log_p = [p(above).log_prob(below) for p, (below, above) in zip(self.p, pairwise(z), strict=True)]
        log_p.append(standard_normal_log_prob(z[-1]))
        terms = {"reconstruction": -bernoulli_log_prob(self.logits(z[0]), x)}
        for layer in range(len(z)):
            terms[f"kl_z{layer + 1}"] = q[layer].log_prob(z[layer]) - log_p[layer]
        return terms

    def means(self, x: Float[Tensor, "R B D"]) -> list[Float[Tensor, "R B Z"]]:
        """Posterior means of all layers, each given the mean of the layer above; lowest layer first."""
        inferred = self.infer(x)
        return self.descend(inferred, [torch.zeros_like(q.mean) for q in inferred])[0]

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Posterior means of all layers by name, each given the mean of the layer above."""
        return {f"z{i}_mean": mean for i, mean in enumerate(self.means(x), start=1)}

    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        return self.logits(self.means(x)[0]).sigmoid()
