"""Properties of the machine that runs the benchmarks, and its rates of copying and of matrix products."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]


def facts(device: str, threads: int) -> dict[str, Any]:
    """Processor, cores, threads, versions, date and source revision; no names of hosts, users or folders."""
    about: dict[str, Any] = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bf16": fast_bf16(device),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version_of(name) for name in ("torch", "triton", "numpy")},
        "date": datetime.now(UTC).date().isoformat(),
        "revision": _revision(),
        "load": round(load(), 2),
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        about["gpu"] = properties.name
        about["gpu_memory_gib"] = round(properties.total_memory / 2**30)
        about["cuda"] = torch.version.cuda
    return about


def load() -> float:
    """Load average of the last minute; comparisons on a busy machine mean little."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def version_of(package: str) -> str | None:
    """Installed version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def fast_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulated it is slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _revision() -> str:
    """Commit of the working tree, with a + appended if it has uncommitted changes."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # the results themselves differ while they are measured
        changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results", ":!notebooks")
        return git("rev-parse", "--short=12", "HEAD") + "+" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def quiet(message: str) -> None:
    """Print progress to the error stream, so that it can be told from results."""
    print(message, file=sys.stderr, flush=True)


def copier(device: str, n_bytes: int) -> tuple[Callable[[], object], int]:
    """Function that copies and so moves about ``n_bytes``, half read and half written; and the exact number."""
    source = torch.ones(max(1, n_bytes // 8), device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source), 2 * source.nbytes


def multiplier(device: str, n: int, dtype: torch.dtype) -> tuple[Callable[[], object], float]:
    """Function that multiplies two n×n matrices, and its number of floating-point operations."""
    a, b = torch.randn(2, n, n, device=device).to(dtype).unbind()
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out), 2.0 * n**3
