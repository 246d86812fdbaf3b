r"""Bernoulli log-likelihood of images from logits, summed over pixels.

.. math:: \log p(x|l) = \sum_d x_d \log\sigma(l_d) + (1 - x_d) \log\sigma(-l_d)

The kernels read each logit once, forwards and backwards, and write nothing of its size except the
gradient.  x is broadcast over samples and classes by indexing.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from genclust.kernels.dispatch import (
    broadcast_rows,
    cdiv,
    launch,
    log1p_exp_neg_abs,
    precise,
    row_blocks,
    runs_triton,
    sigmoid,
    tl,
    triton,
)


def reference(logits: Float[Tensor, "*L D"], x: Float[Tensor, "*X D"]) -> Float[Tensor, "*L"]:
    """Bernoulli log-likelihood in plain PyTorch, differentiable by autograd; the fastest form measured on a CPU."""
    logits = precise(logits)
    x = x.to(logits.dtype).expand_as(logits)
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


@triton.jit
def _tile(
    logits, x, start, n_rows, width, repeat, inner, block_rows: tl.constexpr, block_columns: tl.constexpr
):  # fmt: skip
    """Logits and pixel values of a tile, its memory offsets, and the mask of valid entries."""
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)[:, None]
    column = start + tl.arange(0, block_columns)[None, :]
    mask = (row < n_rows) & (column < width)
    l = tl.load(logits + row * width + column, mask=mask, other=0.0).to(tl.float32)
    x_row = (row // (repeat * inner)) * inner + row % inner
    value = tl.load(x + x_row * width + column, mask=mask, other=0.0).to(tl.float32)
    return l, value, row * width + column, mask


@triton.jit
def _forward_kernel(
    out, logits, x, n_rows, width, repeat, inner, block_rows: tl.constexpr, block_columns: tl.constexpr
):  # fmt: skip
    total = tl.zeros((block_rows,), tl.float32)
    for start in range(0, width, block_columns):
        l, value, _, mask = _tile(logits, x, start, n_rows, width, repeat, inner, block_rows, block_columns)
        # x l - max(l, 0) is exactly 0 where a pixel is well predicted, which leaves the small term its digits.
        log_prob = value * l - tl.where(l > 0, l, 0.0) - log1p_exp_neg_abs(l)
        total += tl.sum(tl.where(mask, log_prob, 0.0), 1)
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    tl.store(out + row, total, mask=row < n_rows)


@triton.jit
def _backward_kernel(
    grad_logits, grad, logits, x, n_rows, width, repeat, inner,
    block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    g = tl.load(grad + row, mask=row < n_rows, other=0.0)[:, None]
    for start in range(0, width, block_columns):
        l, value, at, mask = _tile(logits, x, start, n_rows, width, repeat, inner, block_rows, block_columns)
        tl.store(grad_logits + at, (g * (value - sigmoid(l))).to(grad_logits.dtype.element_ty), mask=mask)


def _launch(kernel: Any, target: Tensor, first: list[Tensor], logits: Tensor, x: Tensor) -> Tensor:
    """Launch a kernel over all rows; the leading axes of x broadcast to those of the logits."""
    width = logits.shape[-1]
    rows = broadcast_rows(logits.shape[:-1], x.shape[:-1], "x")
    if rows is None:  # repeated along axes that are not adjacent
        x = x.expand_as(logits)
        rows = (logits.shape[:-1].numel(), 1, 1)
    outer, repeat, inner = rows
    n_rows = outer * repeat * inner
    if n_rows:
        block = row_blocks(width)
        launch(kernel, cdiv(n_rows, block[0]))(
            target, *first, logits.contiguous(), x.contiguous(), n_rows, width, repeat, inner, *block
        )
    return target


@torch.library.custom_op("genclust::bernoulli_log_prob", mutates_args=())
def _log_prob(logits: Tensor, x: Tensor) -> Tensor:
    if not runs_triton(logits):
        return reference(logits, x)
    return _launch(_forward_kernel, torch.empty(logits.shape[:-1], device=logits.device), [], logits, x)


@_log_prob.register_fake
def _(logits: Tensor, x: Tensor) -> Tensor:
    return precise(logits.new_empty(logits.shape[:-1]))


@torch.library.custom_op("genclust::bernoulli_log_prob_backward", mutates_args=())
def _log_prob_backward(grad: Tensor, logits: Tensor, x: Tensor) -> Tensor:
    if not runs_triton(logits):
        return (grad.unsqueeze(-1) * (x - precise(logits).sigmoid())).to(logits.dtype)
    out = torch.empty_like(logits, memory_format=torch.contiguous_format)
    return _launch(_backward_kernel, out, [grad.contiguous()], logits, x)


@_log_prob_backward.register_fake
def _(grad: Tensor, logits: Tensor, x: Tensor) -> Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradient(ctx: Any, grad: Tensor) -> tuple:
    return _log_prob_backward(grad, *ctx.saved_tensors), None


_log_prob.register_autograd(_gradient, setup_context=_setup)


def bernoulli_log_prob(logits: Float[Tensor, "*L D"], x: Float[Tensor, "*X D"]) -> Float[Tensor, "*L"]:
    """Bernoulli log-likelihood log p(x|logits) in nats, summed over the last axis, in float32 or better.

    For grey values this is the negative cross-entropy that the papers call "binary cross entropy";
    it is a log-likelihood only for bits.

    Args:
        logits: float of any precision; their gradient has the same.
        x: bits or grey values in [0, 1], as float, ``[*X, D]`` with ``*X`` broadcastable to ``*L``.
            Observed: no gradient flows to it, and its range is not checked.

    Raises:
        ValueError: if the shapes do not fit, logits or x are not floats, or x asks for a gradient.
    """
    if not logits.is_floating_point() or not x.is_floating_point() or logits.ndim == 0 or x.ndim == 0:
        raise ValueError(
            f"Logits and x are floats with a last axis of pixels; not {logits.dtype} {list(logits.shape)} and "
            f"{x.dtype} {list(x.shape)}."
        )
    if x.requires_grad:
        raise ValueError("x is observed, so no gradient flows to it; detach it.")
    if x.shape[-1] != logits.shape[-1]:
        raise ValueError(f"x has {x.shape[-1]} pixels, the logits {logits.shape[-1]}.")
    broadcast_rows(logits.shape[:-1], x.shape[:-1], "x")
    if not runs_triton(logits):
        return reference(logits, x)
    return _log_prob(logits, x)
