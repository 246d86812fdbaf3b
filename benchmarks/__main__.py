"""``python -m benchmarks cpu`` and ``python -m benchmarks gpu``; ``make bench`` and ``make bench-gpu`` call them."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from sklearn.datasets import load_digits

from benchmarks import machine, peers
from benchmarks.machine import quiet
from benchmarks.measure import CPU, GPU
from benchmarks.runs import Setup
from benchmarks.timing import write

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)

Rounds = Annotated[int, typer.Option(min=1, help="Number of counted rounds; one more warms up.")]
Only = Annotated[str, typer.Option(help="Names of the benchmarks to run, separated by commas; all by default.")]
Out = Annotated[Path, typer.Option(help="Where the results go, as JSON.")]
Threads = Annotated[int, typer.Option(min=1, help="Number of threads of the process.")]
#: Default number of threads, two as on the machine that the targets are set for.
TWO = min(2, os.cpu_count() or 1)
Smoke = Annotated[bool, typer.Option("--smoke", help="Tiny sizes, to see that it runs; the numbers mean nothing.")]


def images() -> tuple[torch.Tensor, str]:
    """Training images of MNIST ``[N, 784]`` or, without them, noise of the same shape; and the name of which."""
    with suppress(ImportError):  # a bare machine may lack what reading data sets needs
        from genclust import data

        with suppress(data.DataError):
            return torch.from_numpy(data.load("mnist").splits["train"].x), "MNIST"
    rng = np.random.default_rng(0)
    ink = rng.random((60_000, 784)) < 0.19  # as much of it as MNIST has
    return torch.from_numpy(rng.integers(1, 256, ink.shape, dtype=np.uint8) * ink), "synthetic images of MNIST's shape"


def digits() -> torch.Tensor:
    """Digits of scikit-learn as grey values 0 … 255, as many as the demo profile trains on."""
    return torch.from_numpy((load_digits().data[:1438] * 255 / 16).round().astype(np.uint8))


def measure(device: str, rounds: int, threads: int, only: str, out: Path, smoke: bool) -> None:
    """Run all benchmarks of a device, or those in ``only``, and write the results to ``out`` after each."""
    known = CPU if device == "cpu" else GPU
    chosen = [name.strip() for name in only.split(",") if name.strip()] or list(known)
    for name in chosen:
        if name not in known:
            raise typer.BadParameter(f"there is no measurement {name!r}; there are {', '.join(known)}")
    torch.set_num_threads(threads)
    mnist, source = images()
    setup = Setup(device, rounds, threads, mnist, digits(), source, smoke)
    result: dict[str, Any] = {
        "format": 1,
        "device": device,
        "smoke": smoke,
        "rounds": rounds,
        "data": source,
        "machine": machine.facts(device, threads),
        "peers": peers.versions(),
        "measurements": {},
        "failed": {},
        "complete": False,
    }
    if machine.load() > 0.5:
        quiet("bench: other programs are running on this machine; wait until it is quiet, or the numbers mean little.")
    began = time.perf_counter()
    for name in chosen:
        quiet(f"bench: {name}")
        started = time.perf_counter()
        try:
            result["measurements"][name] = known[name](setup)
            quiet(f"bench: {name} took {time.perf_counter() - started:.0f} s")
        except Exception as error:  # the others are still worth having, most of all on a borrowed GPU
            result["failed"][name] = f"{type(error).__name__}: {error}".splitlines()[0]
            quiet(f"bench: {name} failed: {result['failed'][name]}")
        result["seconds"] = time.perf_counter() - began
        write(out, result)
    result["complete"] = not result["failed"] and len(chosen) == len(known)
    write(out, result)
    quiet(f"bench: wrote {out}")
    if result["failed"]:
        raise typer.Exit(1)


@app.command()
def cpu(
    rounds: Rounds = 5,
    only: Only = "",
    out: Out = Path("benchmarks/results/cpu.json"),
    threads: Threads = TWO,
    smoke: Smoke = False,
) -> None:
    """Measure speed on a CPU, against pythae, ClustPy and an ordinary loop, on two threads; about twenty minutes."""
    measure("cpu", rounds, threads, only, out, smoke)


@app.command()
def gpu(
    rounds: Rounds = 5,
    only: Only = "",
    out: Out = Path("benchmarks/results/gpu.json"),
    threads: Threads = TWO,
    smoke: Smoke = False,
) -> None:
    """Measure speed on a CUDA device; about a quarter of an hour."""
    if not torch.cuda.is_available():
        quiet("bench: there is no CUDA device here; nothing was measured and nothing written.")
        raise typer.Exit(1)
    measure("cuda", rounds, threads, only, out, smoke)


if __name__ == "__main__":
    app()
