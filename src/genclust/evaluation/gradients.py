r"""Noise of a stochastic gradient, split into the part of the batch and the part of the random draws in a step.

The gradient of a step is :math:`g = \mu + b + e`: its mean, what depends on the examples of the batch, and what depends
on the draws of latent variables, classes and bits.  With n draws for each of G batches, and :math:`\bar g_i` the mean
over the draws of batch i, the traces of the two covariances and the squared norm of the mean are estimated without bias
by the analysis of variance:

.. math::

    \hat E &= \frac 1 {G (n - 1)} \sum_{i,j} \|g_{ij} - \bar g_i\|^2 \\
    \hat B &= \frac 1 {G - 1} \sum_i \|\bar g_i - \bar g\|^2 - \frac{\hat E} n \\
    \widehat{\|\mu\|^2} &= \|\bar g\|^2 - \frac{\hat B} G - \frac{\hat E}{G n}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class GradientNoise:
    """Squared mean and variance of a stochastic gradient, summed over all parameters, one number per replica.

    Attributes:
        squared_norm: squared norm of the mean gradient.
        of_draws: trace of the covariance over draws, for a given batch.
        of_batches: trace of the covariance over batches, of the mean over draws.
    """

    squared_norm: Float[Tensor, " R"]
    of_draws: Float[Tensor, " R"]
    of_batches: Float[Tensor, " R"]


def gradient_noise(gradient: Callable[[int, int], Float[Tensor, "R P"]], batches: int, draws: int) -> GradientNoise:
    """Unbiased estimates of a gradient's squared mean and variances from ``batches`` x ``draws`` gradients, in float64.

    Args:
        gradient: function of a batch number and a draw number; all draws are independent, also between batches.
        batches: number of batches G, at least 2.
        draws: number of draws n per batch, at least 2.
    """
    G, n = batches, draws
    means, within = [], []
    for batch in range(G):
        gradients = torch.stack([gradient(batch, draw).double() for draw in range(n)])
        means.append(gradients.mean(0))
        within.append((gradients - means[-1]).square().sum((0, 2)) / (n - 1))
    of_batch, of_draws = torch.stack(means), torch.stack(within).mean(0)
    mean = of_batch.mean(0)
    of_batches = (of_batch - mean).square().sum((0, 2)) / (G - 1) - of_draws / n
    return GradientNoise(mean.square().sum(1) - of_batches / G - of_draws / (G * n), of_draws, of_batches)
