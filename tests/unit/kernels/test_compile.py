"""Every Triton kernel compiles for an H100 or H200 and keeps its values in registers; no GPU is needed.

The interpreter, in which the other tests run, accepts what the compiler does not.  A process of its
own, which does not interpret, calls the public operations on CPU tensors of real shapes under a
driver that only names the GPU, and each launch compiles the kernel for exactly these arguments
instead of running it.

A new kernel needs a call in ``CALLS`` that reaches it; the test names those that have none.
"""

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch

from genclust import kernels
from genclust.kernels import (
    LogMeanExp,
    class_bias_act,
    gaussian_kl,
    gumbel_softmax,
    log_mean_exp,
    mixture,
)

TARGET = ("cuda", 90, 32)


def floats(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def pair(*shape: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and log-variances."""
    return floats(*shape, dtype=dtype), floats(*shape, dtype=dtype)


def shapes(dtype: torch.dtype, *all_of_them: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """What is loaded and stored in bfloat16 is computed in float32, and one shape shows whether that compiles."""
    return all_of_them if dtype == torch.float32 else all_of_them[:1]


def seeds(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(n), torch.tensor(0)


def stream(dtype: torch.dtype) -> list[torch.Tensor]:
    stream = LogMeanExp()
    for chunk in floats(500, 100, dtype=dtype).split(250):
        stream.update(chunk)
    return [stream.result()]


#: Calls of each operation, for each float type; what has a gradient is differentiated.
CALLS: dict[str, Callable[[torch.dtype], list]] = {
    "random": lambda _: [draw(*seeds(10), 300, 64) for draw in (kernels.uniform, kernels.normal)],
    "bernoulli": lambda dtype: [
        kernels.bernoulli_log_prob(floats(1, 100, 10, 784, dtype=dtype), torch.rand(1, 100, 1, 784)),
        kernels.bernoulli_log_prob(floats(50, 3072, dtype=dtype), torch.rand(50, 3072)),
    ],
    "gaussian_kl": lambda dtype: [
        gaussian_kl(*pair(8, 100, 50, dtype=dtype)),
        gaussian_kl(*pair(8, 100, 50, dtype=dtype), *pair(8, 100, 50, dtype=dtype)),
    ],
    "mixture": lambda dtype: [
        mixture(
            floats(R, M, B, D, dtype=dtype),
            floats(R, 1, 1, K, dtype=dtype).log_softmax(-1),
            *pair(R, *lead, K, D, dtype=dtype),
            *q,
        )
        for R, M, B, K, D in shapes(dtype, (1, 1, 100, 10, 50), (2, 10, 50, 16, 200))
        for lead in ((1, 1), (M, B))
        for q in ((), (*pair(R, 1, B, D, dtype=dtype), torch.rand(R, 1, B, K, dtype=dtype, requires_grad=True)))
    ],
    "gumbel_softmax": lambda dtype: [
        gumbel_softmax(floats(*shape, dtype=dtype), torch.rand(shape), torch.tensor(0.5), hard)
        for shape in shapes(dtype, (8, 300, 10), (8, 300, 300))
        for hard in (False, True)
    ],
    "log_mean_exp": lambda dtype: [
        log_mean_exp(floats(*shape, dtype=dtype)) for shape in shapes(dtype, (10, 8, 100), (1, 100), (500, 100))
    ],
    "LogMeanExp": stream,
    "class_bias_act": lambda dtype: [
        class_bias_act(floats(R, B, H, dtype=dtype), floats(R, K, H), activation)
        for R, B, K, H in shapes(dtype, (1, 100, 10, 1024), (8, 50, 10, 64), (3, 30, 16, 10))
        for activation in ("relu", "leaky_relu")
    ],
}


def entry_kernels() -> list[str]:
    """module.name of all kernels of the package that are launched."""
    modules = [importlib.import_module(f"{kernels.__name__}.{m.name}") for m in pkgutil.iter_modules(kernels.__path__)]
    return [
        f"{module.__name__}.{name}"
        for module in modules
        for name, value in vars(module).items()
        if name.endswith("_kernel") and value.__module__ == module.__name__
    ]


def compile_all() -> list[dict[str, object]]:
    """Name, arguments and resources of each kernel that the calls would launch."""
    import triton
    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    class Named:
        """A driver as far as compiling needs one."""

        def get_current_target(self) -> GPUTarget:
            return GPUTarget(*TARGET)

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 0

    driver.set_active(Named())
    knobs.nvidia.dump_ptxas_log = True
    compiled: dict[str, dict[str, object]] = {}
    run = triton.JITFunction.run

    def compile_only(self: triton.JITFunction, *args: object, warmup: bool, **options: object) -> None:
        with redirect_stdout(StringIO()) as log:
            kernel = run(self, *args, warmup=True, **options)
        if kernel.hash not in compiled:
            compiled[kernel.hash] = {
                "name": f"{self.fn.__module__}.{self.fn.__name__}",
                "arguments": [str(a.dtype) if isinstance(a, torch.Tensor) else a for a in args],
                **resources(log.getvalue()),
            }

    triton.JITFunction.run = compile_only
    with kernels.implementation("triton"):
        for call in CALLS.values():
            for dtype in (torch.float32, torch.bfloat16):
                for outputs in call(dtype):
                    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
                    differentiable = [o for o in outputs if o is not None and o.requires_grad]
                    torch.autograd.backward(differentiable, [torch.ones_like(o) for o in differentiable])
    return list(compiled.values())


def resources(log: str) -> dict[str, int]:
    """Registers of a thread, and the bytes for which they did not suffice, as the assembler tells them."""
    return {
        "registers": int(re.search(r"Used (\d+) registers", log)[1]),
        "spilled": sum(int(n) for n in re.findall(r"(\d+) bytes spill", log)),
    }


@pytest.mark.slow
@pytest.mark.skipif(not kernels.HAS_TRITON, reason="Triton is not installed")
def test_every_kernel_compiles_and_none_spills(tmp_path: Path):
    """With a cache of its own, since what is found in one is not compiled and leaves no log."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    process = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    assert {kernel["name"] for kernel in found["compiled"]} == set(found["kernels"])
    assert [kernel for kernel in found["compiled"] if kernel["spilled"]] == []


if __name__ == "__main__":
    print(json.dumps({"kernels": entry_kernels(), "compiled": compile_all()}))
