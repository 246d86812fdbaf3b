r"""Bernoulli log-likelihood from logits, summed over pixels.

.. math:: \log p(x|l) = \sum_d x_d \log\sigma(l_d) + (1 - x_d) \log\sigma(-l_d)

The kernels read each logit once, forwards and backwards, and write nothing of its size but the
gradient.  x is broadcast over samples and classes by indexing; as bytes it is read as grey values,
from which bits can be drawn on the spot, so that the binarised image never touches memory.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from genclust.kernels.dispatch import (
    broadcast_rows,
    cdiv,
    log1p_exp_neg_abs,
    precise,
    row_blocks,
    runs_triton,
    sigmoid,
    tl,
    triton,
)
from genclust.kernels.random import binarise, check_grey, draw_bit


def reference(logits: Float[Tensor, "*L D"], x: Tensor) -> Float[Tensor, "*L"]:
    """Plain PyTorch, differentiable by autograd; on a CPU also the fastest form that was measured."""
    logits = precise(logits)
    x = x.to(logits.dtype).div(255) if x.dtype == torch.uint8 else x.to(logits.dtype)
    return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)


@triton.jit
def _tile(
    logits, x, seed, offset, start, n_rows, width, repeat, inner, rows_per_seed,
    divisor: tl.constexpr, drawn: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """Logits and pixel values of a tile, its places in memory, and which of them exist."""
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)[:, None]
    column = start + tl.arange(0, block_columns)[None, :]
    mask = (row < n_rows) & (column < width)
    l = tl.load(logits + row * width + column, mask=mask, other=0.0).to(tl.float32)
    x_row = (row // (repeat * inner)) * inner + row % inner
    pixel = tl.load(x + x_row * width + column, mask=mask, other=0)
    if drawn:
        key = tl.load(seed + x_row // rows_per_seed, mask=row < n_rows, other=0)
        value = draw_bit(pixel, key, tl.load(offset), (x_row % rows_per_seed) * width + column, divisor)
    else:
        value = pixel.to(tl.float32) / divisor
    return l, value, row * width + column, mask


@triton.jit
def _forward_kernel(
    out, logits, x, seed, offset, n_rows, width, repeat, inner, rows_per_seed,
    divisor: tl.constexpr, drawn: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    total = tl.zeros((block_rows,), tl.float32)
    for start in range(0, width, block_columns):
        l, value, _, mask = _tile(
            logits, x, seed, offset, start, n_rows, width, repeat, inner, rows_per_seed,
            divisor, drawn, block_rows, block_columns,
        )  # fmt: skip
        # x l - max(l, 0) is exactly 0 where a pixel is well predicted, which leaves the small term its digits.
        log_prob = value * l - tl.where(l > 0, l, 0.0) - log1p_exp_neg_abs(l)
        total += tl.sum(tl.where(mask, log_prob, 0.0), 1)
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    tl.store(out + row, total, mask=row < n_rows)


@triton.jit
def _backward_kernel(
    grad_logits, grad, logits, x, seed, offset, n_rows, width, repeat, inner, rows_per_seed,
    divisor: tl.constexpr, drawn: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    g = tl.load(grad + row, mask=row < n_rows, other=0.0)[:, None]
    for start in range(0, width, block_columns):
        l, value, at, mask = _tile(
            logits, x, seed, offset, start, n_rows, width, repeat, inner, rows_per_seed,
            divisor, drawn, block_rows, block_columns,
        )  # fmt: skip
        tl.store(grad_logits + at, (g * (value - sigmoid(l))).to(grad_logits.dtype.element_ty), mask=mask)


def _launch(
    backward: bool,
    target: Tensor,
    first: list[Tensor],
    logits: Tensor,
    x: Tensor,
    seed: Tensor | None,
    offset: Tensor | None,
    divisor: int,
) -> Tensor:
    """Run a kernel over all rows; x has the logits' leading axes up to repetition."""
    width = logits.shape[-1]
    rows = broadcast_rows(logits.shape[:-1], x.shape[:-1], "x")
    if rows is None:  # repeated along axes that are not adjacent
        x = x.expand_as(logits)
        rows = (logits.shape[:-1].numel(), 1, 1)
    outer, repeat, inner = rows
    n_rows = outer * repeat * inner
    if n_rows:
        block = row_blocks(width)
        drawn = seed is not None
        rows_per_seed = outer * inner // len(seed) if seed is not None else 1
        kernel = _backward_kernel if backward else _forward_kernel
        kernel[(cdiv(n_rows, block[0]),)](
            target, *first, logits, x.contiguous(), seed if drawn else x, offset if drawn else x, n_rows, width,
            repeat, inner, rows_per_seed, divisor, drawn, *block,
        )  # fmt: skip
    return target


def _bits(x: Tensor, seed: Tensor | None, offset: Tensor | None, divisor: int) -> Tensor:
    return x if seed is None or offset is None else binarise(x, seed, offset, divisor).float()


@torch.library.custom_op("genclust::bernoulli_log_prob", mutates_args=())
def _log_prob(logits: Tensor, x: Tensor, seed: Tensor | None, offset: Tensor | None, divisor: int) -> Tensor:
    if not runs_triton(logits):
        return reference(logits, _bits(x, seed, offset, divisor))
    out = torch.empty(logits.shape[:-1], device=logits.device)
    return _launch(False, out, [], logits.contiguous(), x, seed, offset, divisor)


@_log_prob.register_fake
def _(logits: Tensor, x: Tensor, seed: Tensor | None, offset: Tensor | None, divisor: int) -> Tensor:
    return precise(logits.new_empty(logits.shape[:-1]))


@torch.library.custom_op("genclust::bernoulli_log_prob_backward", mutates_args=())
def _log_prob_backward(
    grad: Tensor, logits: Tensor, x: Tensor, seed: Tensor | None, offset: Tensor | None, divisor: int
) -> Tensor:
    if not runs_triton(logits):
        x = _bits(x, seed, offset, divisor)
        x = x.div(255) if x.dtype == torch.uint8 else x
        return (grad.unsqueeze(-1) * (x - precise(logits).sigmoid())).to(logits.dtype)
    out = torch.empty_like(logits, memory_format=torch.contiguous_format)
    return _launch(True, out, [grad.contiguous()], logits.contiguous(), x, seed, offset, divisor)


@_log_prob_backward.register_fake
def _(grad: Tensor, logits: Tensor, *rest: object) -> Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    logits, x, seed, offset, ctx.divisor = inputs
    ctx.save_for_backward(logits, x, seed, offset)


def _gradient(ctx: Any, grad: Tensor) -> tuple:
    logits, x, seed, offset = ctx.saved_tensors
    return _log_prob_backward(grad, logits, x, seed, offset, ctx.divisor), None, None, None, None


_log_prob.register_autograd(_gradient, setup_context=_setup)


def bernoulli_log_prob(logits: Float[Tensor, "*L D"], x: Tensor) -> Float[Tensor, "*L"]:
    """log p(x|logits) in nats, summed over the last axis, in float32 or better.

    For grey values this is the negative cross-entropy that the papers call "binary cross entropy";
    it is a log-likelihood only for bits.

    Args:
        logits: float of any precision; their gradient has the same.
        x: bits or grey values in [0, 1] as float, ``[*X, D]`` with ``*X`` broadcastable to ``*L``.  uint8 is
            always read as 0 … 255, so make bits float.  Observed: no gradient flows to it, and
            its range is not looked at.

    Raises:
        ValueError: if the shapes do not fit, or x asks for a gradient.
    """
    _check(logits, x)
    if not runs_triton(logits):
        return reference(logits, x)
    return _log_prob(logits, x, None, None, 255 if x.dtype == torch.uint8 else 1)


def binarised_log_prob(
    logits: Float[Tensor, "R *L D"],
    grey: Int[Tensor, "R *X D"],
    seed: Int[Tensor, " R"],
    offset: Int[Tensor, ""],
    divisor: int = 255,
) -> Float[Tensor, "R *L"]:
    """log p of the bits that :func:`~genclust.kernels.random.binarise` draws, in nats.

    Args:
        logits: float of any precision.
        grey: uint8; its axes after the first broadcast to those of the logits.
        seed: one a replica; equal seeds and offsets give equal bits, here and elsewhere.
        offset: which draw, a tensor so that a captured graph can move it on.
        divisor: 255 or 256.

    Raises:
        ValueError: if shapes, types or the divisor do not fit.
    """
    check_grey(grey, seed, offset, divisor)
    _check(logits, grey)
    if grey.ndim != logits.ndim or len(grey) != len(logits):
        raise ValueError(
            f"Grey values {list(grey.shape)} need the axes of the logits {list(logits.shape)}, each 1 or as long."
        )
    if not runs_triton(logits) or broadcast_rows(logits.shape[:-1], grey.shape[:-1], "grey") is None:
        return bernoulli_log_prob(logits, binarise(grey, seed, offset, divisor).float())
    return _log_prob(logits, grey, seed, offset, divisor)


def _check(logits: Tensor, x: Tensor) -> None:
    if not logits.is_floating_point() or logits.ndim == 0 or x.ndim == 0:
        raise ValueError(
            f"Logits are floats with a last axis of pixels, and x has one too; not {logits.dtype}, {x.ndim}-d x."
        )
    if x.requires_grad:
        raise ValueError("x is observed, so no gradient flows to it; detach it.")
    if x.shape[-1] != logits.shape[-1]:
        raise ValueError(f"x has {x.shape[-1]} pixels, the logits {logits.shape[-1]}.")
    broadcast_rows(logits.shape[:-1], x.shape[:-1], "x")
