"""Applying a model to any number of rows in chunks, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def as_float(x: Tensor) -> Tensor:
    """uint8 grey values 0 … 255 as float32 in [0, 1]; other data unchanged."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x


@torch.no_grad()
def in_chunks(
    function: Callable[[Tensor], Tensor | dict[str, Tensor]], x: Tensor, replicas: int, size: int = 2000
) -> Any:
    """Outputs ``[R, N, ...]`` of ``function`` for all rows of ``x`` ``[N, D]`` and every replica, on the CPU."""

    def broadcast(rows: Tensor) -> Float[Tensor, "R B D"]:
        return as_float(rows).expand(replicas, *rows.shape)

    outputs = [function(broadcast(rows)) for rows in x.split(size)]
    if isinstance(outputs[0], dict):
        return {name: torch.cat([o[name].cpu() for o in outputs], 1) for name in outputs[0]}  # type: ignore[index]
    return torch.cat([o.cpu() for o in outputs], 1)  # type: ignore[union-attr]
