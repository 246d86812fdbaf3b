"""Choice between Triton kernels and plain PyTorch for fused operations, and functions that Triton kernels share.

Every operation has a plain PyTorch form, which runs on any device in any precision, and Triton
kernels for CUDA.  ``auto`` takes the kernels for CUDA tensors in float32 or less, and the plain
form otherwise; ``implementation`` overrides that for debugging:

Example:
    >>> from genclust import kernels
    >>> with kernels.implementation("reference"):
    ...     _ = kernels.gaussian_kl(torch.zeros(3, 2), torch.zeros(3, 2))

Triton's interpreter (``TRITON_INTERPRET=1`` before the first import) runs the same kernels on
CPU tensors, slowly, which is how they are tested without a GPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from genclust.settings import SettingError, nearest

try:
    import triton
    import triton.language as tl
except ImportError:  # a CPU-only installation, or a system that Triton does not support

    class _NoTriton:
        """Stand-in for Triton where it is not installed: kernels can be defined with it, but not launched."""

        constexpr = Any

        @staticmethod
        def jit(function: Any) -> Any:
            return function

    triton = tl = _NoTriton()

#: Whether Triton is installed, so that its kernels can run.
HAS_TRITON = hasattr(triton, "__version__")

Implementation = Literal["auto", "reference", "triton"]
_chosen: Implementation = "auto"  # a plain global, which torch.compile can follow

#: Number of elements that a program of a row-wise kernel processes at a time.
TILE = 2048


@contextmanager
def implementation(name: Implementation) -> Iterator[None]:
    """Context manager that sets the implementation of all fused operations, in all threads.

    Args:
        name: ``auto``, ``reference`` (plain PyTorch) or ``triton``.

    Raises:
        SettingError: for another name, or for ``triton`` where it is not installed.
    """
    if name not in get_args(Implementation):
        raise SettingError(nearest(name, get_args(Implementation), "implementation"))
    if name == "triton" and not HAS_TRITON:
        raise SettingError("Triton is not installed; `pip install triton` on Linux, or take another implementation.")
    global _chosen
    before, _chosen = _chosen, name
    try:
        yield
    finally:
        _chosen = before


def runs_triton(*tensors: Tensor) -> bool:
    """Whether the Triton kernels are used for these tensors; ``auto`` uses them on CUDA, except for float64."""
    if _chosen == "auto":
        return HAS_TRITON and tensors[0].is_cuda and all(t.dtype != torch.float64 for t in tensors)
    return _chosen == "triton"


def launch(kernel: Any, programs: int) -> Callable[..., None]:
    """A function that runs that many programs of a kernel on the GPU of its first argument.

    Triton by itself takes the current GPU, which need not be the one that holds the tensors.
    """

    def run(out: Tensor, *arguments: Any, **options: Any) -> None:
        with torch.cuda.device_of(out):
            kernel[(programs,)](out, *arguments, **options)

    return run


def precise(x: Tensor) -> Tensor:
    """The tensor in float32 if it is in half precision, else unchanged: nothing is summed in 16 bits."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def row_blocks(width: int) -> tuple[int, int]:
    """Size (rows, columns) of a tile of about ``TILE`` elements for rows of ``width``, both powers of two."""
    columns = min(1 << max(width - 1, 0).bit_length(), TILE)
    return max(1, TILE // columns), columns


def cdiv(a: int, b: int) -> int:
    """Quotient a / b of two integers, rounded up."""
    return -(-a // b)


def broadcast_rows(large: tuple[int, ...], small: tuple[int, ...], what: str) -> tuple[int, int, int] | None:
    """How rows of leading shape ``small`` repeat when broadcast to ``large``, as (outer, repeat, inner).

    Row ``(o * repeat + s) * inner + i`` of the large tensor belongs to row ``o * inner + i`` of the
    small one.  Both arguments are leading shapes (without the feature axis).  None where the
    repeated axes are not adjacent; the caller then materialises the small tensor.

    Raises:
        ValueError: if ``small`` does not broadcast to ``large``.
    """
    padded = (1,) * (len(large) - len(small)) + tuple(small)
    if len(padded) != len(large) or any(s not in (1, n) for s, n in zip(padded, large, strict=True)):
        raise ValueError(f"{what} of leading shape {tuple(small)} does not broadcast to {tuple(large)}.")
    outer = repeat = inner = 1
    for n, s in zip(large, padded, strict=True):
        if s == n:  # axes of length 1 included: they belong anywhere
            if repeat == 1:
                outer *= n
            else:
                inner *= n
        elif inner == 1:
            repeat *= n
        else:
            return None
    return outer, repeat, inner


@triton.jit
def log1p_exp_neg_abs(x):
    """log(1 + exp(-|x|)) to float32 rounding; NaN stays NaN."""
    t = tl.exp(-tl.abs(x))
    u = 1.0 + t
    # log(u) t / (u - 1) undoes the rounding of 1 + t; where t is lost altogether, log(1 + t) is t.
    return tl.where(u == 1.0, t, tl.log(u) * (t / tl.where(u == 1.0, 1.0, u - 1.0)))


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x)) without overflow; NaN stays NaN."""
    t = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, t) / (1.0 + t)
