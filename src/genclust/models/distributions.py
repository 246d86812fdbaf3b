"""Log-densities, divergences and samplers, from unnormalised parameters, in nats."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def bernoulli_log_prob(logits: Float[Tensor, "*B D"], x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B"]:
    r"""Summed Bernoulli log-likelihood :math:`\sum_d x_d \log\sigma(l_d) + (1-x_d)\log\sigma(-l_d)`.

    For grey values in [0, 1] this is the negative cross-entropy that the papers call
    "binary cross entropy"; it is a log-likelihood only for x in {0, 1}.
    """
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


def gaussian_kl(mean: Float[Tensor, "*B D"], log_var: Float[Tensor, "*B D"]) -> Float[Tensor, "*B"]:
    r""":math:`\mathrm{KL}(N(\mu, \mathrm{diag}\,\sigma^2)\,\|\,N(0, I))`, summed over dimensions."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)


def categorical_kl(logits: Float[Tensor, "*B K"]) -> Float[Tensor, "*B"]:
    r""":math:`\mathrm{KL}(\mathrm{Cat}(\pi)\,\|\,\mathrm{Cat}(1/K))` with :math:`\pi` the softmax of ``logits``."""
    log_pi = logits.log_softmax(-1)
    return (log_pi.exp() * log_pi).sum(-1) + math.log(logits.shape[-1])


def gumbel_softmax(
    logits: Float[Tensor, "*B K"], uniform: Float[Tensor, "*B K"], temperature: float | Tensor, hard: bool = False
) -> Float[Tensor, "*B K"]:
    r"""Relaxed one-hot sample :math:`\mathrm{softmax}((l + g)/\tau)`, :math:`g = -\log(-\log u)`.

    With ``hard`` the value is the one-hot vector of the largest entry and the gradient that of
    the relaxed sample (the straight-through estimator).
    """
    # u = 0 has probability 2^-24 a draw and would give an infinite Gumbel value.
    gumbel = -torch.log(-torch.log(uniform.clamp_min(torch.finfo(uniform.dtype).tiny)))
    relaxed = ((logits + gumbel) / temperature).softmax(-1)
    if not hard:
        return relaxed
    one_hot = F.one_hot(relaxed.argmax(-1), relaxed.shape[-1]).to(relaxed.dtype)
    return one_hot + relaxed - relaxed.detach()
