"""Divergences that no fused operation computes, in nats."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor


def categorical_kl(logits: Float[Tensor, "*B K"]) -> Float[Tensor, "*B"]:
    r""":math:`\mathrm{KL}(\mathrm{Cat}(\pi)\,\|\,\mathrm{Cat}(1/K))` with :math:`\pi` the softmax of ``logits``."""
    log_pi = logits.log_softmax(-1)
    return (log_pi.exp() * log_pi).sum(-1) + math.log(logits.shape[-1])
