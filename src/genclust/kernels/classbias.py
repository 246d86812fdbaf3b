r"""Class bias and activation of a hidden layer for all K classes at once: f(h + bias of class k) for every k.

.. math:: o_{rbkh} = f(h_{rbh} + c_{rkh}), \qquad
          \frac{\partial}{\partial h_{rbh}} = \sum_k g_{rbkh} f'_{rbkh}, \qquad
          \frac{\partial}{\partial c_{rkh}} = \sum_b g_{rbkh} f'_{rbkh}

A first layer of (h, one-hot y) is W h + c_y, so each of the K classes costs an addition instead of
a matrix product.  The kernels read h once, write o once and keep nothing else: the derivative
follows from o, for f' is 1 where o is positive and a constant elsewhere.
Backwards, o and its gradient are read once; the sum over classes is complete within a program, the
sum over rows comes in two stages, one partial sum per block of rows and then their sum, so it is the
same in every run.

``torch.compile`` must not look inside: on a CPU the loop it makes of the broadcast with relu is up
to 20 times slower.  Under it the registered operation, which it cannot open, runs.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from genclust.kernels.dispatch import TILE, cdiv, launch, precise, runs_triton, tl, triton
from genclust.settings import nearest

Activation = Literal["relu", "leaky_relu"]

_aten = torch.ops.aten
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "leaky_relu": F.leaky_relu_,
}
#: grad · f'(f⁻¹(o)), from (grad, o).
_DERIVATIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda grad, o: _aten.threshold_backward(grad, o, 0),
    "leaky_relu": lambda grad, o: _aten.leaky_relu_backward(grad, o, 0.01, True),
}


def reference(
    h: Float[Tensor, "R B H"], bias: Float[Tensor, "R K H"], activation: Activation
) -> Float[Tensor, "R B K H"]:
    """Class bias and activation in plain PyTorch, differentiable by autograd.

    With the activation in place it is the fastest form measured on a CPU (forwards and backwards,
    one thread, [1, 100, 10, 1024] and [8, 50, 10, 64]): 0.65 to 0.99 times the plain form, whose
    output and sum both stay in memory; a custom autograd function that saves the output takes 1.0 to
    1.2 times as long as this one, a registered operation 1.05 to 1.5 times.
    In 16 bits the sum is rounded as well as the result.
    """
    return _IN_PLACE[activation]((precise(h)[:, :, None] + bias[:, None]).to(h.dtype))


@triton.jit
def _activate(x, activation: tl.constexpr):
    """ReLU or leaky ReLU of x; NaN stays NaN."""
    if activation == "relu":
        return tl.where(x <= 0, 0.0, x)
    else:
        return tl.where(x > 0, x, 0.01 * x)


@triton.jit
def _derivative(o, activation: tl.constexpr):
    """Derivative of the activation, from its output o."""
    if activation == "relu":
        return tl.where(o <= 0, 0.0, 1.0)
    else:
        return tl.where(o > 0, 1.0, 0.01)


@triton.jit
def _place(n_rows, width, block_rows: tl.constexpr, block_columns: tl.constexpr):
    """Indices of a program's tile: replica, block and first row; rows and columns in it, and their mask.

    Only the first row needs 64 bits, so offsets within the block take half the registers.
    """
    column_blocks = tl.cdiv(width, block_columns)
    row_blocks = tl.cdiv(n_rows, block_rows)
    block = (tl.program_id(0) // column_blocks).to(tl.int64)
    r = block // row_blocks
    first = (block % row_blocks) * block_rows
    row = tl.arange(0, block_rows)[:, None]
    column = (tl.program_id(0) % column_blocks) * block_columns + tl.arange(0, block_columns)[None, :]
    return r, block, r * n_rows + first, row, column, (first + row < n_rows) & (column < width)


@triton.jit
def _forward_kernel(
    out, h, bias, n_rows, classes, width,
    activation: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    r, _, first, row, column, mask = _place(n_rows, width, block_rows, block_columns)
    x = tl.load(h + first * width + (row * width + column), mask=mask, other=0.0).to(tl.float32)
    at = row * classes * width + column
    for k in range(classes):
        b = tl.load(bias + (r * classes + k) * width + column, mask=column < width, other=0.0).to(tl.float32)
        o = _activate(x + b, activation).to(out.dtype.element_ty)
        tl.store(out + (first * classes + k) * width + at, o, mask=mask)


@triton.jit
def _backward_kernel(
    grad_h, partial, grad, out, n_rows, classes, width,
    activation: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    _, block, first, row, column, mask = _place(n_rows, width, block_rows, block_columns)
    total = tl.zeros((block_rows, block_columns), tl.float32)
    at = row * classes * width + column
    for k in range(classes):
        shift = (first * classes + k) * width
        g = tl.load(grad + shift + at, mask=mask, other=0.0).to(tl.float32)
        g *= _derivative(tl.load(out + shift + at, mask=mask, other=0.0).to(tl.float32), activation)
        total += g
        over_rows = tl.sum(g, 0, keep_dims=True)
        tl.store(partial + (block * classes + k) * width + column, over_rows, mask=column < width)
    tl.store(grad_h + first * width + (row * width + column), total.to(grad_h.dtype.element_ty), mask=mask)


def _block(n_rows: int, width: int) -> tuple[int, int]:
    """Size (rows, columns) of a tile: columns for contiguous reads, and many rows, so that partial sums are few."""
    columns = min(1 << max(width - 1, 0).bit_length(), 64)
    return min(1 << max(n_rows - 1, 0).bit_length(), TILE // columns), columns


@torch.library.custom_op("genclust::class_bias_act", mutates_args=())
def _class_bias_act(h: Tensor, bias: Tensor, activation: str) -> Tensor:
    if not runs_triton(h, bias):
        return reference(h, bias, activation)  # type: ignore[arg-type]
    replicas, n_rows, width = h.shape
    out = h.new_empty(replicas, n_rows, bias.shape[1], width)
    if h.numel():
        block = _block(n_rows, width)
        launch(_forward_kernel, replicas * cdiv(n_rows, block[0]) * cdiv(width, block[1]))(
            out, h.contiguous(), bias.contiguous(), n_rows, bias.shape[1], width, activation, *block
        )
    return out


@_class_bias_act.register_fake
def _(h: Tensor, bias: Tensor, activation: str) -> Tensor:
    return h.new_empty(h.shape[0], h.shape[1], bias.shape[1], h.shape[2])


def _sum_dtype(out: Tensor) -> torch.dtype:
    return torch.promote_types(out.dtype, torch.float32)


@torch.library.custom_op("genclust::class_bias_act_backward", mutates_args=())
def _class_bias_act_backward(grad: Tensor, out: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """Gradients of h, in its dtype, and of the bias, in float32 or better."""
    if not runs_triton(grad, out):
        g = _DERIVATIVES[activation](precise(grad), precise(out))
        return g.sum(2).to(out.dtype), g.sum(1)
    replicas, n_rows, classes, width = out.shape
    block = _block(n_rows, width)
    row_blocks = cdiv(n_rows, block[0])
    grad_h = out.new_empty(replicas, n_rows, width)
    partial = out.new_empty(replicas, row_blocks, classes, width, dtype=_sum_dtype(out))
    if grad_h.numel():
        launch(_backward_kernel, replicas * row_blocks * cdiv(width, block[1]))(
            grad_h, partial, grad.contiguous(), out, n_rows, classes, width, activation, *block
        )
    return grad_h, partial.sum(1)


@_class_bias_act_backward.register_fake
def _(grad: Tensor, out: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    replicas, n_rows, classes, width = out.shape
    return out.new_empty(replicas, n_rows, width), out.new_empty(replicas, classes, width, dtype=_sum_dtype(out))


def _setup(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:
    _, bias, ctx.activation = inputs  # type: ignore[attr-defined]
    ctx.bias_dtype = bias.dtype  # type: ignore[attr-defined]
    ctx.save_for_backward(output)


def _gradient(ctx, grad: Tensor) -> tuple:
    (out,) = ctx.saved_tensors
    grad_h, grad_bias = _class_bias_act_backward(grad, out, ctx.activation)
    return grad_h, grad_bias.to(ctx.bias_dtype), None


_class_bias_act.register_autograd(_gradient, setup_context=_setup)


def class_bias_act(
    h: Float[Tensor, "R B H"], bias: Float[Tensor, "R K H"], activation: Activation
) -> Float[Tensor, "R B K H"]:
    """Activation of h + bias for every class, in the dtype of h, computed in float32 or better.

    Args:
        h: pre-activations that all classes share, of any precision.
        bias: one bias vector for each class.
        activation: ``relu``, or ``leaky_relu`` with slope 0.01.

    Raises:
        ValueError: if the shapes do not fit or the activation is unknown.
    """
    if activation not in get_args(Activation):
        raise ValueError(nearest(activation, get_args(Activation), "activation"))
    if h.ndim != 3 or bias.ndim != 3 or (len(h), h.shape[2]) != (len(bias), bias.shape[2]):
        raise ValueError(f"h [R, B, H] and bias [R, K, H] do not fit: {list(h.shape)} and {list(bias.shape)}.")
    if runs_triton(h, bias) or torch.compiler.is_compiling():
        return _class_bias_act(h, bias, activation)
    return reference(h, bias, activation)
