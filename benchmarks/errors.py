"""Relative errors of every fused operation against its plain form in float64, on fresh random inputs.

Without a GPU the Triton kernels run in Triton's interpreter, which has to be chosen before Triton is imported: hence
a process of its own, ``python -m benchmarks.errors``, which prints JSON.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.kernel_cases import Case, cases
from benchmarks.runs import Setup
from genclust.kernels import HAS_TRITON, implementation

DRAWS = 5


def errors(setup: Setup) -> dict[str, Any]:
    """Largest relative errors ‖found - truth‖ / ‖truth‖ of values and gradients, by operation and implementation."""
    command = [sys.executable, "-m", "benchmarks.errors", setup.device, str(setup.pick(DRAWS))]
    interpreted = {"TRITON_INTERPRET": "1"} if setup.device == "cpu" else {}
    done = subprocess.run(command, env=os.environ | interpreted, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)


def results(case: Case, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs of a fused operation, and the gradients of a fixed random combination of them."""
    given = [_as(t, dtype if t.requires_grad or dtype == torch.float64 else t.dtype) for t in case.tensors]
    outputs = case.outputs(case.call(*given))
    generator = torch.Generator(outputs[0].device).manual_seed(1)
    total = torch.zeros((), dtype=torch.float64, device=outputs[0].device)
    for output in (o for o in outputs if o.requires_grad):
        weights = torch.randn(output.shape, generator=generator, dtype=torch.float64, device=output.device)
        total = total + (output.double() * weights).sum()
    leaves = [g for g in given if g.requires_grad]
    return [o.detach() for o in outputs], list(torch.autograd.grad(total, leaves))


def _as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Leaf tensor in another floating-point type; integers stay as they are."""
    if not tensor.is_floating_point():
        return tensor
    return tensor.detach().to(dtype).requires_grad_(tensor.requires_grad)


def _relative(computed: list[Tensor], truth: list[Tensor]) -> float:
    errors = [float((f.double() - t.double()).norm() / t.double().norm()) for f, t in zip(computed, truth, strict=True)]
    if not all(map(math.isfinite, errors)):  # a NaN would lose every comparison and look like no error at all
        raise RuntimeError(f"an implementation gave values that are not finite: errors {errors}")
    return max(errors)


def measure(device: str, draws: int) -> dict[str, Any]:
    """Largest relative errors of all fused operations on small inputs; bfloat16 inputs are rounded beforehand."""
    largest: dict[str, Any] = {}
    for draw in range(draws):
        for case in cases(device, smoke=True, draw=draw):
            for name in ("triton", "reference") if HAS_TRITON else ("reference",):
                for dtype in (torch.float32, torch.bfloat16):
                    rounded = [_as(_as(t, dtype), torch.float32) if t.requires_grad else t for t in case.tensors]
                    inputs = replace(case, tensors=rounded)
                    with implementation("reference"):
                        truth = results(inputs, torch.float64)
                    with implementation(name):
                        values, gradients = results(inputs, dtype)
                    entry = largest.setdefault(case.name, {}).setdefault(f"{name}, {str(dtype).split('.')[-1]}", [0, 0])
                    entry[0] = max(entry[0], _relative(values, truth[0]))
                    entry[1] = max(entry[1], _relative(gradients, truth[1]))
    return largest


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
