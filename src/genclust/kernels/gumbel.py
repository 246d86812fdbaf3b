r"""Gumbel-softmax samples, and the KL divergence of their categorical distribution from the uniform one.

.. math::
    s = \mathrm{softmax}\Bigl(\frac{l + g}{\tau}\Bigr), \quad g = -\log(-\log u), \qquad
    \mathrm{KL} = \sum_k \pi_k \log \pi_k + \log K, \quad \pi = \mathrm{softmax}(l)

with the derivatives

.. math::
    \frac{\partial}{\partial l_k} \sum_j a_j s_j = \frac{s_k}{\tau} \Bigl(a_k - \sum_j a_j s_j\Bigr), \qquad
    \frac{\partial\, \mathrm{KL}}{\partial l_k} = \pi_k \Bigl(\log \pi_k - \sum_j \pi_j \log \pi_j\Bigr).

A program holds whole rows, so each input is read once, and the backward kernel recomputes from the
inputs: nothing else is saved.

Source: Jang, Gu, Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from genclust.kernels.dispatch import cdiv, launch, precise, row_blocks, runs_triton, tl, triton

# u = 0 has probability 2^-24 per draw and would give an infinite Gumbel value.
TINY = torch.finfo(torch.float32).tiny
#: Number of elements that a program processes at a time; rows wider than ``WIDEST`` would not fit its registers.
BLOCK, WIDEST = 512, 2048


def _relaxed(logits: Tensor, uniform: Tensor, temperature: float | Tensor) -> Tensor:
    gumbel = -torch.log(-torch.log(uniform.clamp_min(TINY)))
    return ((logits + gumbel) / temperature).softmax(-1)


def reference(
    logits: Float[Tensor, "*B K"], uniform: Float[Tensor, "*B K"], temperature: float | Tensor, hard: bool = False
) -> tuple[Float[Tensor, "*B K"], Float[Tensor, "*B"]]:
    """Gumbel-softmax and divergence in plain PyTorch, differentiable by autograd; the fastest form on a CPU.

    It is the sequence of operations that published numbers rest on.
    """
    logits, uniform = precise(logits), precise(uniform)
    log_pi = logits.log_softmax(-1)
    kl = (log_pi.exp() * log_pi).sum(-1) + math.log(logits.shape[-1])
    relaxed = _relaxed(logits, uniform, temperature)
    if not hard:
        return relaxed, kl
    one_hot = F.one_hot(relaxed.argmax(-1), relaxed.shape[-1]).to(relaxed.dtype)
    return one_hot + relaxed - relaxed.detach(), kl


@triton.jit
def _rows(
    logits, uniform, temperature, n_rows, width,
    tiny: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """Relaxed sample, π and log π of a tile of whole rows, its memory offsets, and the mask of valid entries."""
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)[:, None]
    column = tl.arange(0, block_columns)[None, :]
    mask = (row < n_rows) & (column < width)
    at = row * width + column
    l = tl.load(logits + at, mask=mask, other=0.0).to(tl.float32)
    u = tl.load(uniform + at, mask=mask, other=0.5).to(tl.float32)
    u = tl.where(u < tiny, tiny, u)  # where and not maximum: NaN stays NaN
    l = tl.where(column < width, l, float("-inf"))
    y = (l - tl.log(-tl.log(u))) / tl.load(temperature).to(tl.float32)
    s = tl.exp(y - tl.max(y, 1)[:, None])
    s = s / tl.sum(s, 1)[:, None]
    l = l - tl.max(l, 1)[:, None]
    t = tl.exp(l)
    total = tl.sum(t, 1)[:, None]
    # Beyond the row log π is -inf, and π log π is to be 0.
    log_pi = tl.where(column < width, l - tl.log(total), 0.0)
    return s, t / total, log_pi, at, mask


@triton.jit
def _forward_kernel(
    sample, kl, logits, uniform, temperature, n_rows, width, log_width,
    hard: tl.constexpr, tiny: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    s, pi, log_pi, at, mask = _rows(logits, uniform, temperature, n_rows, width, tiny, block_rows, block_columns)
    if hard:
        largest = tl.argmax(s, 1)[:, None] == tl.arange(0, block_columns)[None, :]
        s = tl.where(s == s, largest.to(tl.float32), s)  # NaN stays NaN
    tl.store(sample + at, s, mask=mask)
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    tl.store(kl + row, tl.sum(pi * log_pi, 1) + log_width, mask=row < n_rows)


@triton.jit
def _backward_kernel(
    grad_logits, grad_sample, grad_kl, logits, uniform, temperature, n_rows, width,
    tiny: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    s, pi, log_pi, at, mask = _rows(logits, uniform, temperature, n_rows, width, tiny, block_rows, block_columns)
    g = tl.load(grad_sample + at, mask=mask, other=0.0)
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    g_kl = tl.load(grad_kl + row, mask=row < n_rows, other=0.0)[:, None]
    grad = s * (g - tl.sum(g * s, 1)[:, None]) / tl.load(temperature).to(tl.float32)
    grad += g_kl * pi * (log_pi - tl.sum(pi * log_pi, 1)[:, None])
    tl.store(grad_logits + at, grad.to(grad_logits.dtype.element_ty), mask=mask)


def _block(width: int) -> tuple[int, int]:
    """Size (rows, columns) of a tile of whole rows, both powers of two."""
    columns = row_blocks(width)[1]
    return max(1, BLOCK // columns), columns


@torch.library.custom_op("genclust::gumbel_softmax", mutates_args=())
def _gumbel_softmax(logits: Tensor, uniform: Tensor, temperature: Tensor, hard: bool) -> tuple[Tensor, Tensor]:
    if not runs_triton(logits, uniform):
        return reference(logits, uniform, temperature, hard)
    sample, kl = _buffers(logits, uniform, temperature, hard)
    if sample.numel():
        width, block = logits.shape[-1], _block(logits.shape[-1])
        launch(_forward_kernel, cdiv(kl.numel(), block[0]))(
            sample, kl, logits.contiguous(), uniform.contiguous(), temperature, kl.numel(), width, math.log(width),
            hard, TINY, *block,
        )  # fmt: skip
    return sample, kl


@_gumbel_softmax.register_fake
def _buffers(logits: Tensor, uniform: Tensor, temperature: Tensor, hard: bool) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(torch.promote_types(logits.dtype, uniform.dtype), torch.float32)
    sample = torch.empty(logits.shape, dtype=dtype, device=logits.device)
    return sample, precise(logits.new_empty(logits.shape[:-1]))


@torch.library.custom_op("genclust::gumbel_softmax_backward", mutates_args=())
def _backward(grad_sample: Tensor, grad_kl: Tensor, logits: Tensor, uniform: Tensor, temperature: Tensor) -> Tensor:
    if not runs_triton(logits, uniform):
        l = precise(logits)
        s, log_pi = _relaxed(l, precise(uniform), temperature), l.log_softmax(-1)
        pi = log_pi.exp()
        grad = s * (grad_sample - (grad_sample * s).sum(-1, keepdim=True)) / temperature
        grad = grad + grad_kl.unsqueeze(-1) * pi * (log_pi - (pi * log_pi).sum(-1, keepdim=True))
        return grad.to(logits.dtype)
    out = torch.empty_like(logits, memory_format=torch.contiguous_format)
    if out.numel():
        width, block = logits.shape[-1], _block(logits.shape[-1])
        launch(_backward_kernel, cdiv(grad_kl.numel(), block[0]))(
            out, grad_sample.contiguous(), grad_kl.contiguous(), logits.contiguous(), uniform.contiguous(),
            temperature, grad_kl.numel(), width, TINY, *block,
        )  # fmt: skip
    return out


@_backward.register_fake
def _(grad_sample: Tensor, grad_kl: Tensor, logits: Tensor, uniform: Tensor, temperature: Tensor) -> Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple, output: tuple) -> None:
    logits, uniform, temperature, _ = inputs
    ctx.save_for_backward(logits, uniform, temperature)


def _gradient(ctx: Any, grad_sample: Tensor, grad_kl: Tensor) -> tuple:
    return _backward(grad_sample, grad_kl, *ctx.saved_tensors), None, None, None


_gumbel_softmax.register_autograd(_gradient, setup_context=_setup)


def gumbel_softmax(
    logits: Float[Tensor, "*B K"], uniform: Float[Tensor, "*B K"], temperature: float | Tensor, hard: bool = False
) -> tuple[Float[Tensor, "*B K"], Float[Tensor, "*B"]]:
    """Gumbel-softmax sample, and KL(Cat(softmax of logits) || uniform) in nats, in float32 or better.

    Rows of more than ``WIDEST`` classes go to the plain form.

    Args:
        logits: float of any precision; their gradient has the same.
        uniform: draws from U[0, 1) in the shape of the logits.  No gradient flows to it.
        temperature: positive; a tensor without axes on the device of the logits lets a captured graph
            change it, and its sign is not checked.  No gradient flows to it.
        hard: the sample is the one-hot vector of its largest entry, and the gradient that of the
            relaxed sample (the straight-through estimator).

    Raises:
        ValueError: if shapes, the device or the sign of the temperature do not fit, or uniform or the
            temperature asks for a gradient.
    """
    if uniform.shape != logits.shape:
        raise ValueError(f"uniform {list(uniform.shape)} needs the shape of the logits, {list(logits.shape)}.")
    if uniform.requires_grad or (isinstance(temperature, Tensor) and temperature.requires_grad):
        raise ValueError("No gradient flows to uniform or to the temperature; detach them.")
    if isinstance(temperature, Tensor):
        if temperature.ndim or temperature.device != logits.device:
            raise ValueError(
                f"A temperature tensor needs no axes and the logits' device, {logits.device}, "
                f"not {list(temperature.shape)} on {temperature.device}."
            )
    elif not temperature > 0:
        raise ValueError(f"The temperature is positive, not {temperature}.")
    if not runs_triton(logits, uniform) or logits.shape[-1] > WIDEST:
        return reference(logits, uniform, temperature, hard)
    if not isinstance(temperature, Tensor):
        temperature = torch.full((), temperature, device=logits.device)
    return _gumbel_softmax(logits, uniform, temperature, hard)
