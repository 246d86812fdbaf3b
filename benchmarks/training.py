"""Benchmarks of training: against other libraries, with several seeds, and as captured graphs on a GPU."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.machine import quiet
from benchmarks.models import VAE, VaDE
from benchmarks.runs import DEMO, MNIST, Make, Result, Run, Setup, whole_batches
from benchmarks.timing import Variant


def throughput(setup: Setup) -> Result:
    """Images per second in training one seed, against the ordinary loop and other libraries."""
    n = setup.pick(6000, 600)

    def against(builds: Mapping[str, Callable[[Tensor], Variant]], make: Make, batch: int, n: int = n) -> Result:
        x = whole_batches(setup.mnist, batch, n)
        variants: dict[str, Variant] = {}
        for peer, build in builds.items():
            try:
                variants[peer] = build(x)
            except peers.NotInstalled as missing:
                quiet(f"  {missing}")
            except Exception as error:  # whatever a peer does not find on this machine, the rest is measured
                quiet(f"  {peer} cannot be run here: {type(error).__name__}: {error}")
        if not variants:
            return {}
        for kind in setup.precisions:
            variants[f"genclust, {kind}"] = Run(make, x, batch, precision=kind).images(len(x) // batch)
        return setup.compare(variants, "images/s").as_dict() | {"batch": batch}

    results: Result = {}
    for batch in (300, 64):
        loops = {
            "DataLoader loop": partial(peers.plain_loop, batch=batch),
            "DataLoader loop, images converted one by one": partial(peers.plain_loop, batch=batch, convert=True),
        }
        results[f"Gumbel MLP, batch {batch}"] = against(loops, MNIST, batch)
    for name, samples in (("VAE", 1), ("IWAE, 10 samples", 10)):
        pythae = {"pythae": partial(peers.pythae_training, batch=100, samples=samples)}
        results[f"{name}, batch 100"] = against(
            pythae, partial(VAE, samples=samples), 100, n if samples == 1 else n // 3
        )
    results["VaDE, batch 256"] = against({"ClustPy": partial(peers.clustpy_vade, batch=256)}, VaDE, 256)
    return {name: result for name, result in results.items() if result}


# ---- replicas and processes


def _serve(pipe: Connection, make: Make, x: Tensor, batch: int, counts: Sequence[int]) -> None:
    """Loop of a process with one thread that trains as many replicas and steps as it is ordered to."""
    torch.set_num_threads(1)
    runs = {count: Run(make, x, batch, count) for count in counts}
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        count, steps = order
        pipe.send(runs[count](steps))


@contextmanager
def workers(make: Make, x: Tensor, batch: int, counts: Sequence[int]) -> Iterator[list[Connection]]:
    """Context with two training processes that wait for orders, so that starting them is not timed."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(2):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(theirs, make, x, batch, counts), daemon=True)
        process.start()
        theirs.close()  # if the process dies, waiting for it ends with EOFError
        pipes.append(ours)
        processes.append(process)
    try:
        for pipe in pipes:
            pipe.recv()
        yield pipes
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join(timeout=10)
    finally:
        for process in processes:
            process.terminate()


def replicas(setup: Setup) -> Result:
    """Images per second in training several seeds, side by side, in two processes or one after the other."""
    results = {}
    for name, make, source, batch, steps in (
        ("demo network, batch 100", DEMO, setup.digits, 100, setup.pick(140, 2)),
        ("MNIST network, batch 300", MNIST, setup.mnist, 300, setup.pick(12, 1)),
    ):
        x = whole_batches(source, batch, 6000)
        counts = (1, 2, 4, 8)
        one = Run(make, x, batch)
        # one after the other has the rate of one alone, whatever their number
        variants: dict[str, Variant] = {"one after the other": one.images(2 * steps)}
        for R in counts:
            variants[f"side by side, {R}"] = Run(make, x, batch, R).images(steps)
        with workers(make, x, batch, [R // 2 for R in counts[1:]]) as pipes:

            def shared(R: int, steps: int = steps, batch: int = batch, pipes: list[Connection] = pipes) -> float:
                for pipe in pipes:
                    pipe.send((R // 2, steps))
                return float(sum(pipe.recv() for pipe in pipes) * R // 2 * batch)

            for R in counts[1:]:
                variants[f"two processes, {R}"] = partial(shared, R)
            results[name] = setup.compare(variants, "images/s").as_dict() | {"batch": batch}
    return results


def graphs(setup: Setup) -> Result:
    """Images per second of a training step captured as one CUDA graph, against launching its kernels one by one."""
    x = whole_batches(setup.mnist, 300, 60_000)
    steps = setup.pick(200, 2)
    results = {}
    for R in (1, 2, 4, 8, 10, 16):
        variants = {
            f"{name}, {precision}": Run(MNIST, x, 300, R, precision, setup.device, capture=captured).images(steps)
            for name, captured in (("one by one", False), ("captured", True))
            for precision in setup.precisions
        }
        results[str(R)] = setup.compare(variants, "images/s").as_dict() | {"batch": 300}
    return results


def table_row(setup: Setup) -> Result:
    """Seconds on a GPU for ten replicas of the Gumbel MLP and 300 epochs of 60,000 images, for each precision.

    If a hundredth of it predicts more than three minutes, that estimate is returned.
    """
    x = whole_batches(setup.mnist, 300, 60_000)
    steps = 300 * 200
    results = {}
    for precision in setup.precisions:
        run = Run(MNIST, x, 300, 10, precision, setup.device)
        run(setup.pick(100, 2))
        setup.wait()
        began = time.perf_counter()
        done = run(setup.pick(steps // 100, 2))
        setup.wait()
        estimate = (time.perf_counter() - began) / done * steps
        whole = estimate < 180 and not setup.smoke
        if whole:
            began = time.perf_counter()
            run(steps)
            setup.wait()
        seconds = time.perf_counter() - began if whole else estimate
        results[precision] = {"seconds": seconds, "whole": whole, "replicas": 10, "epochs": 300}
    return results
