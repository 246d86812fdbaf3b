r"""Reparameterised Gaussian samples with their log-densities, and the analytic divergence.

.. math::
    z = \mu + \sigma \varepsilon, \quad
    \log q(z) = -\tfrac12 \sum_d (\varepsilon_d^2 + \log \sigma_d^2 + \log 2\pi), \quad
    \log p(z) = -\tfrac12 \sum_d (\delta_d^2 + \log \tau_d^2 + \log 2\pi), \quad
    \delta = \frac{(\mu - m) + \sigma \varepsilon}{\tau}

for q = N(μ, diag σ²) and p = N(m, diag τ²), by default N(0, I).  Written in the noise, log q needs
no division by a small σ and has the derivatives 0 with respect to μ and -1/2 to log σ²; with μ - m
taken first, log p keeps its digits where σ is lost in the rounding of z.  For

.. math:: \mathrm{KL}(q \| p) = \tfrac12 \sum_d \frac{(\mu_d - m_d)^2}{\tau_d^2} + (e^{r_d} - 1 - r_d), \quad
    r = \log\sigma^2 - \log\tau^2

the kernels take e^r - 1 - r from its series near 0, so that the divergence of near-equal Gaussians
keeps its digits.

The forward kernels read each input and write each output once; the backward kernels recompute from
the inputs.  A mean is broadcast over samples and classes by indexing, and a program owns it for all
of them, so its gradient is a sum in a fixed order.
"""

import math
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from genclust.kernels.dispatch import broadcast_rows, cdiv, precise, row_blocks, runs_triton, tl, triton

LOG_2PI = math.log(2 * math.pi)
#: Elements a program works on at a time: up to seven tensors of a tile are in registers.
BLOCK = 1024


def reference(
    mean: Float[Tensor, "*B Z"], log_var: Float[Tensor, "*B Z"], noise: Float[Tensor, "*S Z"], *prior: Tensor
) -> tuple[Float[Tensor, "*S Z"], Float[Tensor, "*S"], Float[Tensor, "*S"]]:
    """Plain PyTorch, differentiable by autograd; on a CPU also the fastest form that was measured."""
    mean, log_var, noise = precise(mean), precise(log_var), precise(noise)
    deviation = torch.exp(0.5 * log_var) * noise
    z = mean + deviation
    constant = noise.shape[-1] * LOG_2PI
    log_q = -0.5 * (noise.square().sum(-1) + log_var.sum(-1) + constant)
    if not prior:
        return z, log_q, -0.5 * (z.square().sum(-1) + constant)
    prior_mean, prior_log_var = map(precise, prior)
    distance = (mean - prior_mean + deviation) * torch.exp(-0.5 * prior_log_var)
    return z, log_q, -0.5 * (distance.square().sum(-1) + prior_log_var.sum(-1) + constant)


def _gradients(
    grad_z: Tensor, grad_log_q: Tensor, grad_log_p: Tensor, mean: Tensor, log_var: Tensor, noise: Tensor, *prior: Tensor
) -> list[Tensor]:
    """What the backward kernel computes, in plain PyTorch."""
    grad_log_q, grad_log_p = grad_log_q.unsqueeze(-1), grad_log_p.unsqueeze(-1)
    deviation = torch.exp(0.5 * precise(log_var)) * precise(noise)
    distance = precise(mean) + deviation
    pull = grad_log_p * distance
    of_prior = []
    if prior:
        prior_mean, prior_log_var = map(precise, prior)
        inverse_std = torch.exp(-0.5 * prior_log_var)
        distance = (precise(mean) - prior_mean + deviation) * inverse_std
        pull = grad_log_p * distance * inverse_std
        of_prior = [pull, 0.5 * grad_log_p * (distance.square() - 1)]
    grad = grad_z - pull
    gradients = [grad, 0.5 * (grad * deviation - grad_log_q), *of_prior]
    return [g.sum_to_size(t.shape).to(t.dtype) for g, t in zip(gradients, (mean, log_var, *prior), strict=True)]


def kl_reference(
    mean: Float[Tensor, "*B Z"], log_var: Float[Tensor, "*B Z"], *prior: Float[Tensor, "*B Z"]
) -> Float[Tensor, "*B"]:
    """Plain PyTorch, differentiable by autograd; on a CPU also the fastest form that was measured.

    Against N(0, I) it is the sequence of operations that published numbers rest on.
    """
    mean, log_var = precise(mean), precise(log_var)
    if not prior:
        return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
    prior_mean, prior_log_var = map(precise, prior)
    ratio = log_var - prior_log_var
    distance = (mean - prior_mean) * torch.exp(-0.5 * prior_log_var)
    return 0.5 * (distance.square() + (torch.expm1(ratio) - ratio)).sum(-1)


def _kl_gradients(grad: Tensor, mean: Tensor, log_var: Tensor, *prior: Tensor) -> list[Tensor]:
    """What the backward kernel computes, in plain PyTorch."""
    grad, distance, ratio = grad.unsqueeze(-1), precise(mean), precise(log_var)
    if not prior:
        return [(grad * distance).to(mean.dtype), (0.5 * grad * torch.expm1(ratio)).to(log_var.dtype)]
    prior_mean, prior_log_var = map(precise, prior)
    inverse_std = torch.exp(-0.5 * prior_log_var)
    distance = (distance - prior_mean) * inverse_std
    pull, excess = grad * distance * inverse_std, torch.expm1(ratio - prior_log_var)
    gradients = [pull, 0.5 * grad * excess, -pull, -0.5 * grad * (distance.square() + excess)]
    return [g.to(t.dtype) for g, t in zip(gradients, (mean, log_var, *prior), strict=True)]


@triton.jit
def _sample_kernel(
    z, log_q, log_p, mean, log_var, noise, prior_mean, prior_log_var, n_rows, width, repeat, inner,
    has_prior: tl.constexpr, prior_repeats: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)[:, None]
    small = (row // (repeat * inner)) * inner + row % inner
    total_q = tl.zeros((block_rows,), tl.float32)
    total_p = tl.zeros((block_rows,), tl.float32)
    for start in range(0, width, block_columns):
        column = start + tl.arange(0, block_columns)[None, :]
        mask = (row < n_rows) & (column < width)
        at = row * width + column
        mu = tl.load(mean + small * width + column, mask=mask, other=0.0).to(tl.float32)
        l = tl.load(log_var + small * width + column, mask=mask, other=0.0).to(tl.float32)
        e = tl.load(noise + at, mask=mask, other=0.0).to(tl.float32)
        deviation = tl.exp(0.5 * l) * e
        tl.store(z + at, mu + deviation, mask=mask)
        if has_prior:
            p_at = small * width + column if prior_repeats else at
            m = tl.load(prior_mean + p_at, mask=mask, other=0.0).to(tl.float32)
            p_l = tl.load(prior_log_var + p_at, mask=mask, other=0.0).to(tl.float32)
            distance = (mu - m + deviation) * tl.exp(-0.5 * p_l)
            total_p += tl.sum(distance * distance + p_l, 1)
        else:
            total_p += tl.sum((mu + deviation) * (mu + deviation), 1)
        total_q += tl.sum(e * e + l, 1)
    constant = width * 1.8378770664093453  # log 2π
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    tl.store(log_q + row, -0.5 * (total_q + constant), mask=row < n_rows)
    tl.store(log_p + row, -0.5 * (total_p + constant), mask=row < n_rows)


@triton.jit
def _sample_backward_kernel(
    grad_mean, grad_log_var, grad_prior_mean, grad_prior_log_var, grad_z, grad_log_q, grad_log_p,
    mean, log_var, noise, prior_mean, prior_log_var, n_small, width, repeat, inner,
    has_prior: tl.constexpr, prior_repeats: tl.constexpr,
    block_rows: tl.constexpr, block_repeats: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """A program owns rows of the mean and goes through all their repeats, on tiles [rows, repeats, columns]."""
    column_blocks = tl.cdiv(width, block_columns)
    small = (tl.program_id(0) // column_blocks).to(tl.int64) * block_rows + tl.arange(0, block_rows)[:, None, None]
    column = (tl.program_id(0) % column_blocks) * block_columns + tl.arange(0, block_columns)[None, None, :]
    mask = (small < n_small) & (column < width)
    first = (small // inner) * (repeat * inner) + small % inner
    small_at = small * width + column
    mu = tl.load(mean + small_at, mask=mask, other=0.0).to(tl.float32)
    std = tl.exp(0.5 * tl.load(log_var + small_at, mask=mask, other=0.0).to(tl.float32))
    if has_prior and prior_repeats:
        m = tl.load(prior_mean + small_at, mask=mask, other=0.0).to(tl.float32)
        inverse_std = tl.exp(-0.5 * tl.load(prior_log_var + small_at, mask=mask, other=0.0).to(tl.float32))
    total_mean = tl.zeros((block_rows, block_repeats, block_columns), tl.float32)
    total_log_var = total_mean
    total_prior_mean = total_mean
    total_prior_log_var = total_mean
    for start in range(0, repeat, block_repeats):
        s = start + tl.arange(0, block_repeats)[None, :, None]
        row = first + s * inner
        row_mask = (small < n_small) & (s < repeat)
        there = mask & (s < repeat)
        at = row * width + column
        g_q = tl.load(grad_log_q + row, mask=row_mask, other=0.0)
        g_p = tl.load(grad_log_p + row, mask=row_mask, other=0.0)
        g = tl.load(grad_z + at, mask=there, other=0.0)
        deviation = std * tl.load(noise + at, mask=there, other=0.0).to(tl.float32)
        if has_prior:
            if not prior_repeats:
                m = tl.load(prior_mean + at, mask=there, other=0.0).to(tl.float32)
                inverse_std = tl.exp(-0.5 * tl.load(prior_log_var + at, mask=there, other=0.0).to(tl.float32))
            distance = (mu - m + deviation) * inverse_std
            pull = g_p * distance * inverse_std
            spread = 0.5 * g_p * (distance * distance - 1.0)
            if prior_repeats:
                total_prior_mean += tl.where(there, pull, 0.0)
                total_prior_log_var += tl.where(there, spread, 0.0)
            else:
                tl.store(grad_prior_mean + at, pull.to(grad_prior_mean.dtype.element_ty), mask=there)
                tl.store(grad_prior_log_var + at, spread.to(grad_prior_log_var.dtype.element_ty), mask=there)
        else:
            pull = g_p * (mu + deviation)
        g -= pull
        total_mean += tl.where(there, g, 0.0)
        total_log_var += tl.where(there, 0.5 * (g * deviation - g_q), 0.0)
    small = (tl.program_id(0) // column_blocks).to(tl.int64) * block_rows + tl.arange(0, block_rows)[:, None]
    column = (tl.program_id(0) % column_blocks) * block_columns + tl.arange(0, block_columns)[None, :]
    mask = (small < n_small) & (column < width)
    at = small * width + column
    tl.store(grad_mean + at, tl.sum(total_mean, 1).to(grad_mean.dtype.element_ty), mask=mask)
    tl.store(grad_log_var + at, tl.sum(total_log_var, 1).to(grad_log_var.dtype.element_ty), mask=mask)
    if has_prior and prior_repeats:
        value = tl.sum(total_prior_mean, 1)
        tl.store(grad_prior_mean + at, value.to(grad_prior_mean.dtype.element_ty), mask=mask)
        value = tl.sum(total_prior_log_var, 1)
        tl.store(grad_prior_log_var + at, value.to(grad_prior_log_var.dtype.element_ty), mask=mask)


@triton.jit
def exp_minus_tangent(x):
    """e^x - 1 - x to some float32 roundings of itself; NaN stays NaN."""
    # The series to x^11 / 11!: the next term is below 1e-8 of the value for |x| < 1.
    series = 1.0 / 39916800
    series = series * x + 1.0 / 3628800
    series = series * x + 1.0 / 362880
    series = series * x + 1.0 / 40320
    series = series * x + 1.0 / 5040
    series = series * x + 1.0 / 720
    series = series * x + 1.0 / 120
    series = series * x + 1.0 / 24
    series = series * x + 1.0 / 6
    series = series * x + 0.5
    return tl.where(tl.abs(x) < 1, series * x * x, tl.exp(x) - 1.0 - x)


@triton.jit
def _kl_kernel(
    out, mean, log_var, prior_mean, prior_log_var, n_rows, width,
    has_prior: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)[:, None]
    total = tl.zeros((block_rows,), tl.float32)
    for start in range(0, width, block_columns):
        column = start + tl.arange(0, block_columns)[None, :]
        mask = (row < n_rows) & (column < width)
        at = row * width + column
        distance = tl.load(mean + at, mask=mask, other=0.0).to(tl.float32)
        ratio = tl.load(log_var + at, mask=mask, other=0.0).to(tl.float32)
        if has_prior:
            p_l = tl.load(prior_log_var + at, mask=mask, other=0.0).to(tl.float32)
            distance -= tl.load(prior_mean + at, mask=mask, other=0.0).to(tl.float32)
            distance *= tl.exp(-0.5 * p_l)
            ratio -= p_l
        total += tl.sum(distance * distance + exp_minus_tangent(ratio), 1)
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    tl.store(out + row, 0.5 * total, mask=row < n_rows)


@triton.jit
def _kl_backward_kernel(
    grad_mean, grad_log_var, grad_prior_mean, grad_prior_log_var, grad,
    mean, log_var, prior_mean, prior_log_var, n_rows, width,
    has_prior: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)[:, None]
    g = tl.load(grad + row, mask=row < n_rows, other=0.0)
    for start in range(0, width, block_columns):
        column = start + tl.arange(0, block_columns)[None, :]
        mask = (row < n_rows) & (column < width)
        at = row * width + column
        distance = tl.load(mean + at, mask=mask, other=0.0).to(tl.float32)
        ratio = tl.load(log_var + at, mask=mask, other=0.0).to(tl.float32)
        pull = g * distance
        if has_prior:
            p_l = tl.load(prior_log_var + at, mask=mask, other=0.0).to(tl.float32)
            inverse_std = tl.exp(-0.5 * p_l)
            distance = (distance - tl.load(prior_mean + at, mask=mask, other=0.0).to(tl.float32)) * inverse_std
            ratio -= p_l
            pull = g * distance * inverse_std
        excess = exp_minus_tangent(ratio) + ratio  # e^r - 1
        tl.store(grad_mean + at, pull.to(grad_mean.dtype.element_ty), mask=mask)
        tl.store(grad_log_var + at, (0.5 * g * excess).to(grad_log_var.dtype.element_ty), mask=mask)
        if has_prior:
            spread = -0.5 * g * (distance * distance + excess)
            tl.store(grad_prior_mean + at, (-pull).to(grad_prior_mean.dtype.element_ty), mask=mask)
            tl.store(grad_prior_log_var + at, spread.to(grad_prior_log_var.dtype.element_ty), mask=mask)


def _dtype(*inputs: Tensor) -> torch.dtype:
    """That of the results: float32, or float64 where an input has it."""
    return reduce(torch.promote_types, (t.dtype for t in inputs), torch.float32)


def _contiguous(*tensors: Tensor) -> list[Tensor]:
    return [t.contiguous() for t in tensors]


def _buffers(*inputs: Tensor) -> list[Tensor]:
    """For their gradients."""
    return [torch.empty_like(t, memory_format=torch.contiguous_format) for t in inputs]


def _blocks(width: int, repeat: int = 1) -> tuple[int, int, int]:
    """(rows, repeats, columns) of a tile of ``BLOCK`` elements, powers of two."""
    columns = min(row_blocks(width)[1], BLOCK)
    repeats = min(row_blocks(repeat)[1], BLOCK // columns, 16)
    return BLOCK // (columns * repeats), repeats, columns


def _repeats(noise: Tensor, mean: Tensor) -> tuple[int, int, int]:
    rows = broadcast_rows(noise.shape[:-1], mean.shape[:-1], "mean")
    assert rows is not None  # gaussian_sample expands what is repeated along axes that are not adjacent
    return rows


# ``prior`` is [mean, log_var] or empty; in place of the missing ones the kernels get tensors that they do not touch.


@torch.library.custom_op("genclust::gaussian_sample", mutates_args=())
def _sample(mean: Tensor, log_var: Tensor, noise: Tensor, prior: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    inputs = [mean, log_var, noise, *prior]
    if not runs_triton(*inputs):
        return reference(*inputs)
    out = _sample_buffers(mean, log_var, noise, prior)
    outer, repeat, inner = _repeats(noise, mean)
    width, n_rows = noise.shape[-1], outer * repeat * inner
    if n_rows:
        rows, _, columns = _blocks(width)
        _sample_kernel[(cdiv(n_rows, rows),)](
            *out, *_contiguous(*inputs), *([] if prior else [mean, mean]), n_rows, width, repeat, inner,
            bool(prior), bool(prior) and prior[0].shape == mean.shape, rows, columns,
        )  # fmt: skip
    return out


@_sample.register_fake
def _sample_buffers(mean: Tensor, log_var: Tensor, noise: Tensor, prior: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    z = torch.empty(noise.shape, dtype=_dtype(mean, log_var, noise, *prior), device=noise.device)
    return z, z.new_empty(noise.shape[:-1]), z.new_empty(noise.shape[:-1])


@torch.library.custom_op("genclust::gaussian_sample_backward", mutates_args=())
def _sample_backward(
    grad_z: Tensor, grad_log_q: Tensor, grad_log_p: Tensor, mean: Tensor, log_var: Tensor, noise: Tensor,
    prior: list[Tensor],
) -> list[Tensor]:  # fmt: skip
    inputs = [grad_z, grad_log_q, grad_log_p, mean, log_var, noise, *prior]
    if not runs_triton(*inputs):
        return _gradients(*inputs)
    out = _buffers(mean, log_var, *prior)
    outer, repeat, inner = _repeats(noise, mean)
    width, n_small = noise.shape[-1], outer * inner
    if mean.numel():
        rows, repeats, columns = _blocks(width, repeat)
        _sample_backward_kernel[(cdiv(n_small, rows) * cdiv(width, columns),)](
            *out, *([] if prior else out), *_contiguous(*inputs), *([] if prior else [mean, mean]),
            n_small, width, repeat, inner,
            bool(prior), bool(prior) and prior[0].shape == mean.shape, rows, repeats, columns,
        )  # fmt: skip
    return out


@_sample_backward.register_fake
def _(
    grad_z: Tensor, grad_log_q: Tensor, grad_log_p: Tensor, mean: Tensor, log_var: Tensor, noise: Tensor,
    prior: list[Tensor],
) -> list[Tensor]:  # fmt: skip
    return _buffers(mean, log_var, *prior)


@torch.library.custom_op("genclust::gaussian_kl", mutates_args=())
def _kl(mean: Tensor, log_var: Tensor, prior: list[Tensor]) -> Tensor:
    inputs = [mean, log_var, *prior]
    if not runs_triton(*inputs):
        return kl_reference(*inputs)
    out = _kl_buffer(mean, log_var, prior)
    if out.numel():
        width, n_rows = mean.shape[-1], out.numel()
        rows, _, columns = _blocks(width)
        _kl_kernel[(cdiv(n_rows, rows),)](
            out, *_contiguous(*inputs), *([] if prior else [mean, mean]), n_rows, width, bool(prior), rows, columns
        )
    return out


@_kl.register_fake
def _kl_buffer(mean: Tensor, log_var: Tensor, prior: list[Tensor]) -> Tensor:
    return torch.empty(mean.shape[:-1], dtype=_dtype(mean, log_var, *prior), device=mean.device)


@torch.library.custom_op("genclust::gaussian_kl_backward", mutates_args=())
def _kl_backward(grad: Tensor, mean: Tensor, log_var: Tensor, prior: list[Tensor]) -> list[Tensor]:
    inputs = [grad, mean, log_var, *prior]
    if not runs_triton(*inputs):
        return _kl_gradients(*inputs)
    out = _buffers(mean, log_var, *prior)
    if mean.numel():
        width, n_rows = mean.shape[-1], grad.numel()
        rows, _, columns = _blocks(width)
        _kl_backward_kernel[(cdiv(n_rows, rows),)](
            *out, *([] if prior else out), *_contiguous(*inputs), *([] if prior else [mean, mean]),
            n_rows, width, bool(prior), rows, columns,
        )  # fmt: skip
    return out


@_kl_backward.register_fake
def _(grad: Tensor, mean: Tensor, log_var: Tensor, prior: list[Tensor]) -> list[Tensor]:
    return _buffers(mean, log_var, *prior)


def _setup(ctx: Any, inputs: tuple, output: object) -> None:
    *parameters, prior = inputs
    ctx.save_for_backward(*parameters, *prior)


def _sample_gradient(ctx: Any, *grads: Tensor) -> tuple:
    mean, log_var, noise, *prior = ctx.saved_tensors
    gradients = _sample_backward(*grads, mean, log_var, noise, prior)
    return *gradients[:2], None, gradients[2:]


def _kl_gradient(ctx: Any, grad: Tensor) -> tuple:
    mean, log_var, *prior = ctx.saved_tensors
    gradients = _kl_backward(grad, mean, log_var, prior)
    return *gradients[:2], gradients[2:]


_sample.register_autograd(_sample_gradient, setup_context=_setup)
_kl.register_autograd(_kl_gradient, setup_context=_setup)


def gaussian_sample(
    mean: Float[Tensor, "*B Z"],
    log_var: Float[Tensor, "*B Z"],
    noise: Float[Tensor, "*S Z"],
    prior_mean: Tensor | None = None,
    prior_log_var: Tensor | None = None,
) -> tuple[Float[Tensor, "*S Z"], Float[Tensor, "*S"], Float[Tensor, "*S"]]:
    """(z, log q(z), log p(z)) in nats, summed over the last axis, in float32 or better.

    All three depend on the parameters through z = mean + exp(log_var / 2) · noise, and gradients flow
    to both Gaussians.

    Args:
        mean, log_var: of q, float of any precision; their gradients have the same.
        noise: draws from N(0, I) in the shape of z; ``*B`` broadcasts to ``*S`` over samples and
            classes.  No gradient flows to it.
        prior_mean, prior_log_var: of p, both in the shape of z or both in that of ``mean``; N(0, I)
            where they are missing.

    Raises:
        ValueError: if the shapes do not fit, half of a prior is missing, or noise asks for a gradient.
    """
    if noise.requires_grad:
        raise ValueError("noise is drawn from N(0, I), so no gradient flows to it; detach it.")
    prior = _prior(mean, log_var, prior_mean, prior_log_var, noise.shape)
    if noise.shape[-1] != mean.shape[-1]:
        raise ValueError(f"noise has {noise.shape[-1]} dimensions, mean {mean.shape[-1]}.")
    rows = broadcast_rows(noise.shape[:-1], mean.shape[:-1], "mean")
    if not runs_triton(mean, log_var, noise, *prior):
        return reference(mean, log_var, noise, *prior)
    if rows is None:  # repeated along axes that are not adjacent
        mean, log_var, *prior = (t.expand_as(noise) for t in (mean, log_var, *prior))
    return _sample(mean, log_var, noise, prior)


def gaussian_kl(
    mean: Float[Tensor, "*B Z"],
    log_var: Float[Tensor, "*B Z"],
    prior_mean: Float[Tensor, "*B Z"] | None = None,
    prior_log_var: Float[Tensor, "*B Z"] | None = None,
) -> Float[Tensor, "*B"]:
    """KL(q || p) of diagonal Gaussians in nats, summed over the last axis, in float32 or better.

    For near-equal Gaussians the kernels are within 1e-6 of the value, the plain form within 2e-7 nat
    a dimension.

    Args:
        mean, log_var: of q, float of any precision; their gradients have the same.
        prior_mean, prior_log_var: of p, in the same shape; N(0, I) where they are missing.

    Raises:
        ValueError: if the shapes do not fit or half of a prior is missing.
    """
    prior = _prior(mean, log_var, prior_mean, prior_log_var, mean.shape)
    if not runs_triton(mean, log_var, *prior):
        return kl_reference(mean, log_var, *prior)
    return _kl(mean, log_var, prior)


def _prior(
    mean: Tensor, log_var: Tensor, prior_mean: Tensor | None, prior_log_var: Tensor | None, z_shape: torch.Size
) -> list[Tensor]:
    """Refuse parameters that do not fit."""
    if log_var.shape != mean.shape:
        raise ValueError(f"log_var {list(log_var.shape)} needs the shape of mean, {list(mean.shape)}.")
    if prior_mean is None and prior_log_var is None:
        return []
    if prior_mean is None or prior_log_var is None:
        raise ValueError("A prior needs both prior_mean and prior_log_var.")
    if prior_mean.shape != prior_log_var.shape or prior_mean.shape not in (mean.shape, z_shape):
        raise ValueError(
            f"prior_mean {list(prior_mean.shape)} and prior_log_var {list(prior_log_var.shape)} need one shape: "
            f"that of z, {list(z_shape)}, or of mean, {list(mean.shape)}."
        )
    return [prior_mean, prior_log_var]
