"""Diagonal Gaussians, and divergence and sampling of categorical distributions; everything in nats."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genclust.kernels import gaussian_kl

LOG_2PI = math.log(2 * math.pi)


class Gaussian:
    """Diagonal Gaussian N(mean, diag(variance)), given by its variance or by its log-variance.

    The other one is computed on demand, so that no value goes through a logarithm and back.

    Args:
        mean: mean vectors, ``[*B, Z]``.
        variance: variances, in the shape of the mean.
        log_var: logarithm of the variances, if these are not given.

    Example:
        >>> q = Gaussian(torch.zeros(3, 2), torch.ones(3, 2))
        >>> q.kl()  # from N(0, I)
        tensor([0., 0., 0.])
    """

    def __init__(
        self,
        mean: Float[Tensor, "*B Z"],
        variance: Float[Tensor, "*B Z"] | None = None,
        *,
        log_var: Float[Tensor, "*B Z"] | None = None,
    ) -> None:
        if (variance is None) == (log_var is None):
            raise ValueError("A Gaussian has a variance or its logarithm, and not both.")
        self.mean, self._variance, self._log_var = mean, variance, log_var

    @property
    def variance(self) -> Float[Tensor, "*B Z"]:
        return self.log_var.exp() if self._variance is None else self._variance

    @property
    def log_var(self) -> Float[Tensor, "*B Z"]:
        return self.variance.log() if self._log_var is None else self._log_var

    @property
    def sd(self) -> Float[Tensor, "*B Z"]:
        """Standard deviations, ``[*B, Z]``."""
        return torch.exp(0.5 * self.log_var) if self._variance is None else self._variance.sqrt()

    def draw(self, noise: Float[Tensor, "*S Z"]) -> Float[Tensor, "*S Z"]:
        """A reparameterised sample: mean + sd · noise, with noise from N(0, I)."""
        return self.mean + self.sd * noise

    def log_prob(self, z: Float[Tensor, "*S Z"]) -> Float[Tensor, "*S"]:
        """Log-density log N(z; mean, diag(variance)) in nats, summed over the last axis."""
        squares = (z - self.mean).square()
        scaled = squares * torch.exp(-self.log_var) if self._variance is None else squares / self._variance
        return -0.5 * (scaled + self.log_var + LOG_2PI).sum(-1)

    def kl(self, prior: Gaussian | None = None) -> Float[Tensor, "*B"]:
        """Divergence KL(self || prior) in nats, summed over the last axis; the prior is N(0, I) if None."""
        of_prior = () if prior is None else (prior.mean, prior.log_var)
        return gaussian_kl(self.mean, self.log_var, *of_prior)

    def product(self, other: Gaussian) -> Gaussian:
        """Normalised product of both densities: precisions add up, and means are weighted by precisions."""
        variance = 1 / (1 / self.variance + 1 / other.variance)
        return Gaussian((self.mean / self.variance + other.mean / other.variance) * variance, variance)

    def map(self, function: Callable[[Tensor], Tensor]) -> Gaussian:
        """Gaussian with ``function`` applied to its parameters, for example to repeat rows."""
        if self._variance is None:
            return Gaussian(function(self.mean), log_var=function(self.log_var))
        return Gaussian(function(self.mean), function(self._variance))


def standard_normal_log_prob(z: Float[Tensor, "*S Z"]) -> Float[Tensor, "*S"]:
    """Log-density log N(z; 0, I) in nats, summed over the last axis."""
    return -0.5 * (z.square() + LOG_2PI).sum(-1)


def categorical_kl(logits: Float[Tensor, "*B K"]) -> Float[Tensor, "*B"]:
    r""":math:`\mathrm{KL}(\mathrm{Cat}(\pi)\,\|\,\mathrm{Cat}(1/K))` with :math:`\pi` the softmax of ``logits``."""
    log_pi = logits.log_softmax(-1)
    return (log_pi.exp() * log_pi).sum(-1) + math.log(logits.shape[-1])


@torch.no_grad()
def categorical(log_probs: Float[Tensor, "R *B K"], uniform: Float[Tensor, "R *B K"]) -> Int[Tensor, R * B]:
    """Samples of the categorical distribution with probabilities exp(log_probs), by the Gumbel-max trick."""
    return (log_probs - uniform.clamp_min(1e-20).log().neg().log()).argmax(-1)
