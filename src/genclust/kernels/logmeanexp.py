r"""Log-mean-exp of importance weights, at once or as a stream of chunks.

.. math:: L = \log \frac{1}{S} \sum_{s=1}^S e^{w_s}, \qquad
          \frac{\partial L}{\partial w_s} = \frac{e^{w_s}}{\sum_t e^{w_t}}

The kernels read each weight once, forwards with a maximum that rises as they go, and keep only
log Σ exp(w) for the gradient.  It comes with that number's rounding, as weights in float32 come with
theirs: :math:`2^{-24} |w|`.

With the unit roundoff :math:`u = 2^{-24}`, the error of L from up to 5,000 weights is below
:math:`2u\,(|L| + 16)`; a stream of C chunks rounds its state once per chunk, so its error is below
:math:`u\,(C + 1)(\max |\text{state}| + 16)`.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from genclust.kernels.dispatch import TILE, cdiv, launch, precise, runs_triton, tl, triton


def reference(log_weights: Float[Tensor, "S *B"]) -> Float[Tensor, "*B"]:
    """Log-mean-exp in plain PyTorch, differentiable by autograd; CPUs use this form."""
    return precise(log_weights).logsumexp(0) - math.log(len(log_weights))


def _result(log_weights: Tensor) -> Tensor:
    """Uninitialised tensor for the result, in float32 or better."""
    return log_weights.new_empty(log_weights.shape[1:], dtype=torch.promote_types(log_weights.dtype, torch.float32))


def _block(samples: int) -> tuple[int, int]:
    """Size (samples, columns) of a tile of ``TILE`` elements; at least 32 adjacent weights are read at once."""
    block_samples = min(1 << (samples - 1).bit_length(), TILE // 32)
    return block_samples, TILE // block_samples


@triton.jit
def _fraction(w, top):
    """exp(w - top) for w ≤ top, 1 where both are the same infinity; NaN stays NaN."""
    return tl.exp(tl.where(w == top, 0.0, w - top))


@triton.jit
def _forward_kernel(
    out, log_weights, before, samples, width,
    has_before: tl.constexpr, block_samples: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * block_columns + tl.arange(0, block_columns)[None, :]
    top = tl.full((block_samples, block_columns), float("-inf"), tl.float32)
    total = tl.zeros((block_samples, block_columns), tl.float32)
    for start in range(0, samples, block_samples):
        sample = start + tl.arange(0, block_samples)[:, None].to(tl.int64)
        mask = (sample < samples) & (column < width)
        w = tl.load(log_weights + sample * width + column, mask=mask, other=float("-inf")).to(tl.float32)
        # One exponential does: either the sum shrinks to the new maximum or the weight to the old one.
        higher = w > top
        fraction = _fraction(tl.where(higher, top, w), tl.where(higher, w, top))
        total = tl.where(higher, total * fraction + 1.0, total + fraction)
        top = tl.where(higher, w, top)
    highest = tl.max(top, 0, keep_dims=True)
    if has_before:
        state = tl.load(before + column, mask=column < width, other=float("-inf"))
        highest = tl.where(state > highest, state, highest)
    summed = tl.sum(total * _fraction(top, highest), 0, keep_dims=True)
    if has_before:
        summed += _fraction(state, highest)
    tl.store(out + column, highest + tl.log(summed), mask=column < width)


@triton.jit
def _backward_kernel(
    grad_log_weights, grad, log_weights, out, samples, width,
    block_samples: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    programs = tl.cdiv(width, block_columns)
    column = (tl.program_id(0) % programs).to(tl.int64) * block_columns + tl.arange(0, block_columns)[None, :]
    sample = (tl.program_id(0) // programs).to(tl.int64) * block_samples + tl.arange(0, block_samples)[:, None]
    mask = (sample < samples) & (column < width)
    at = sample * width + column
    g = tl.load(grad + column, mask=column < width, other=0.0)
    total = tl.load(out + column, mask=column < width, other=0.0)
    w = tl.load(log_weights + at, mask=mask, other=float("-inf")).to(tl.float32)
    tl.store(grad_log_weights + at, (g * tl.exp(w - total)).to(grad_log_weights.dtype.element_ty), mask=mask)


@torch.library.custom_op("genclust::log_sum_exp", mutates_args=())
def _log_sum_exp(log_weights: Tensor, before: Tensor | None) -> Tensor:
    """log(Σ exp(w) + exp(before)), differentiable in w."""
    if not runs_triton(log_weights):
        total = precise(log_weights).logsumexp(0)
        return total if before is None else torch.logaddexp(before, total)
    out, samples, width = _result(log_weights), len(log_weights), log_weights.shape[1:].numel()
    if width:
        block = _block(samples)
        launch(_forward_kernel, cdiv(width, block[1]))(
            out, log_weights.contiguous(), out if before is None else before, samples, width, before is not None, *block
        )
    return out


@_log_sum_exp.register_fake
def _(log_weights: Tensor, before: Tensor | None) -> Tensor:
    return _result(log_weights)


@torch.library.custom_op("genclust::log_sum_exp_backward", mutates_args=())
def _log_sum_exp_backward(grad: Tensor, log_weights: Tensor, out: Tensor) -> Tensor:
    if not runs_triton(log_weights):
        return (grad * (precise(log_weights) - out).exp()).to(log_weights.dtype)
    samples, width = len(log_weights), grad.numel()
    of_weights = torch.empty_like(log_weights, memory_format=torch.contiguous_format)
    if width:
        block = _block(samples)
        launch(_backward_kernel, cdiv(samples, block[0]) * cdiv(width, block[1]))(
            of_weights, grad.contiguous(), log_weights.contiguous(), out, samples, width, *block
        )
    return of_weights


@_log_sum_exp_backward.register_fake
def _(grad: Tensor, log_weights: Tensor, out: Tensor) -> Tensor:
    return torch.empty_like(log_weights, memory_format=torch.contiguous_format)


def _setup(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], output)


def _gradient(ctx, grad: Tensor) -> tuple:
    return _log_sum_exp_backward(grad, *ctx.saved_tensors), None


_log_sum_exp.register_autograd(_gradient, setup_context=_setup)


def _check(log_weights: Tensor) -> None:
    if not log_weights.is_floating_point() or not log_weights.ndim or not len(log_weights):
        raise ValueError(
            f"Log-weights are floats [S, ...] of at least one sample, not {log_weights.dtype} "
            f"{list(log_weights.shape)}."
        )


def log_mean_exp(log_weights: Float[Tensor, "S *B"]) -> Float[Tensor, "*B"]:
    """Log-mean-exp log(1/S Σ exp(log_weights)) over the first axis, in float32 or better.

    A column of -inf gives -inf, one with +inf gives +inf, one with NaN gives NaN; in the first two
    the gradient, a softmax of infinities, is NaN.

    Raises:
        ValueError: if there is no sample, or the weights are not floats.
    """
    _check(log_weights)
    if not runs_triton(log_weights):
        return reference(log_weights)
    return _log_sum_exp(log_weights, None) - math.log(len(log_weights))


class LogMeanExp:
    """Running log-mean-exp of importance weights that come in chunks; it needs the memory of one result.

    Any partition of the samples, in any order, gives the same result to rounding.  Gradients are
    not tracked.

    Example:
        >>> stream = LogMeanExp()
        >>> for chunk in torch.zeros(6, 3).split(4):
        ...     stream.update(chunk)
        >>> stream.result()
        tensor([0., 0., 0.])
    """

    def __init__(self) -> None:
        self.count = 0
        self._state: Tensor | None = None  # log Σ exp(w) of the samples so far
        self._dtype: torch.dtype | None = None

    @torch.no_grad()
    def update(self, chunk: Float[Tensor, "S *B"]) -> None:
        """Add a chunk of log-weights, with any number of samples.

        Raises:
            ValueError: if the chunk is empty, or has another shape behind the samples or another
                dtype than the first; the state is then what it was.
        """
        _check(chunk)
        before = self._state
        if before is not None and (chunk.shape[1:] != before.shape or chunk.dtype != self._dtype):
            raise ValueError(
                f"The stream holds {self._dtype} log-weights [S, {str(list(before.shape))[1:]}, "
                f"not {chunk.dtype} {list(chunk.shape)}."
            )
        self._state = _log_sum_exp(chunk, before)
        self._dtype = chunk.dtype
        self.count += len(chunk)

    def result(self) -> Float[Tensor, "*B"]:
        """Log-mean-exp of all samples so far, in float32 or better.

        Raises:
            ValueError: before the first sample.
        """
        if self._state is None:
            raise ValueError("No samples yet: a mean needs at least one update.")
        return self._state - math.log(self.count)
