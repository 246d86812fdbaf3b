"""Divergences that no fused operation computes, in nats, and draws."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def categorical_kl(logits: Float[Tensor, "*B K"]) -> Float[Tensor, "*B"]:
    r""":math:`\mathrm{KL}(\mathrm{Cat}(\pi)\,\|\,\mathrm{Cat}(1/K))` with :math:`\pi` the softmax of ``logits``."""
    log_pi = logits.log_softmax(-1)
    return (log_pi.exp() * log_pi).sum(-1) + math.log(logits.shape[-1])


@torch.no_grad()
def categorical(log_probs: Float[Tensor, "R *B K"], uniform: Float[Tensor, "R *B K"]) -> Int[Tensor, R * B]:
    """Draws from Cat(exp log_probs), by the Gumbel-max trick."""
    return (log_probs - uniform.clamp_min(1e-20).log().neg().log()).argmax(-1)
