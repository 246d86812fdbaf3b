"""Comparing an operation's implementations with its plain form in float64, values and gradients."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from genclust.kernels import HAS_TRITON, implementation

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")

Function = Callable[..., Tensor | Sequence[Tensor]]


def relative_error(value: Tensor, truth: Tensor) -> float:
    """‖value − truth‖ / ‖truth‖ in float64; infinite where one is NaN and the other is not."""
    value, truth = value.double().cpu(), truth.double().cpu()
    assert value.shape == truth.shape
    if not torch.equal(value.isnan(), truth.isnan()):
        return float("inf")
    value, truth = value.nan_to_num(), truth.nan_to_num()
    return float((value - truth).norm() / truth.norm().clamp_min(1e-30))


def values_and_gradients(function: Function, inputs: Sequence[object], dtype: torch.dtype) -> list[Tensor]:
    """Outputs, then the gradients of all float inputs that require one, for fixed random cotangents."""
    given: list[object] = []
    for value in inputs:
        if isinstance(value, Tensor) and value.is_floating_point():
            given.append(value.detach().to(DEVICE, dtype).requires_grad_(value.requires_grad))
        else:
            given.append(value.to(DEVICE) if isinstance(value, Tensor) else value)
    outputs = function(*given)
    outputs = [outputs] if isinstance(outputs, Tensor) else [o for o in outputs if o is not None]
    leaves = [g for g in given if isinstance(g, Tensor) and g.requires_grad]
    generator = torch.Generator().manual_seed(0)
    total = sum(
        (o.double() * torch.randn(o.shape, generator=generator, dtype=torch.float64).to(DEVICE)).sum()
        for o in outputs
        if o.requires_grad
    )
    gradients = torch.autograd.grad(total, leaves) if leaves and isinstance(total, Tensor) else []
    return [*(o.detach() for o in outputs), *gradients]


def largest_error(function: Function, inputs: Sequence[object], name: str, dtype: torch.dtype = torch.float32) -> float:
    """Of all outputs and gradients, the largest relative error of implementation ``name`` in ``dtype``.

    Inputs are rounded to ``dtype`` first, so that only the computation is judged.
    """
    rounded = [
        v.detach().to(dtype).double().requires_grad_(v.requires_grad)
        if isinstance(v, Tensor) and v.is_floating_point()
        else v
        for v in inputs
    ]
    with implementation("reference"):
        truth = values_and_gradients(function, rounded, torch.float64)
    with implementation(name):
        found = values_and_gradients(function, rounded, dtype)
    return max(relative_error(f, t) for f, t in zip(found, truth, strict=True))
