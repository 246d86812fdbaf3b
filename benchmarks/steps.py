"""Benchmarks of a training step: by precision, by size, against the machine's limits, and its operators."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine
from benchmarks.models import VAE, VaDE
from benchmarks.runs import DEMO, MNIST, Make, Result, Run, Setup, library, step
from benchmarks.timing import Variant, repeat
from genclust.models.layers import Linear

#: Setting of batch normalisation, by its text in the names of steps.
BATCH_NORM = {"with BN": True, "without BN": False}


def precision(setup: Setup) -> Result:
    """Training steps per second with matrix products in bfloat16 against float32."""
    batch = 256 if setup.device == "cuda" else 100
    hidden = setup.pick(1024, 32)
    kinds: list[tuple[str, Make, int, int]] = [("Gumbel MLP, batch 300", MNIST, 300, setup.pick(10))]
    for kind, batch_norm in BATCH_NORM.items():
        cagem = library("cagem", n_clusters=10, hidden=hidden, batch_norm=batch_norm)
        gmvae = library("gmvae", n_clusters=10, batch_norm=batch_norm)
        kinds.append((f"CaGeM {kind}, width 1024, K = 10, batch {batch}", cagem, batch, setup.pick(3)))
        kinds.append((f"GMVAE {kind}, K = 10, M = 1, batch 100", gmvae, 100, setup.pick(5)))
    results = {}
    for name, make, size, steps in kinds:
        many = steps * (30 if setup.device == "cuda" else 1)
        variants: dict[str, Variant] = {}
        for precise in setup.precisions:
            variants[precise] = partial(step(setup, make, size, precise), many)
            if setup.device == "cuda":
                variants[f"{precise}, one by one"] = partial(step(setup, make, size, precise, capture=False), many)
        results[name] = setup.compare(variants, "steps/s").as_dict() | {"batch": size}
    return results


def classes(setup: Setup) -> Result:
    """Training steps per second of models with a sum over all ten classes, or over the most probable and one other."""
    results = {}
    for name, label, hidden, steps in (
        ("cagem", "CaGeM", setup.pick(1024, 32), setup.pick(3)),
        ("cagem", "CaGeM", setup.pick(128, 16), setup.pick(20)),
        ("adgm", "ADGM", setup.pick(500, 32), setup.pick(8)),
    ):
        many = steps * (30 if setup.device == "cuda" else 1)
        sums = {"all classes": 0, "1 and one drawn": 1}
        makes = {kind: library(name, n_clusters=10, hidden=hidden, classes=n) for kind, n in sums.items()}
        for precise in setup.precisions:
            variants = {kind: partial(step(setup, make, 100, precise), many) for kind, make in makes.items()}
            group = f"{label}, width {hidden}, K = 10, {precise}"
            results[group] = setup.compare(variants, "steps/s").as_dict() | {"batch": 100}
    return results


def cost(setup: Setup) -> Result:
    """Training steps per second of CaGeM and GMVAE against batch size, K and M, one of them varied at a time."""
    wide = setup.device == "cuda"
    cagem = partial(library, "cagem", hidden=setup.pick(512, 32))
    gmvae = partial(library, "gmvae")
    curves: dict[str, dict[int, tuple[Make, int]]] = {
        "CaGeM with BN: batch size, K = 10": {b: (cagem(n_clusters=10), b) for b in (25, 50, 100, 200, 400)},
        "CaGeM with BN: K, batch 100": {k: (cagem(n_clusters=k), 100) for k in (2, 5, 10, 20)},
        "GMVAE with BN: batch size, K = 10, M = 1": {b: (gmvae(n_clusters=10), b) for b in (25, 50, 100, 200, 400)},
        "GMVAE with BN: K, M = 1, batch 100": {k: (gmvae(n_clusters=k), 100) for k in (2, 5, 10, 20)},
        "GMVAE with BN: M, K = 10, batch 100": {m: (gmvae(n_clusters=10, samples=m), 100) for m in (1, 2, 5, 10)},
    }
    results = {}
    for name, points in curves.items():
        variants = {
            str(value): partial(step(setup, make, batch), setup.pick(50 if wide else 2))
            for value, (make, batch) in points.items()
        }
        results[name] = setup.compare(variants, "steps/s").as_dict()
    return results


def kinds_of_step(setup: Setup) -> dict[str, Callable[..., Run]]:
    """Functions that make a training of every kind of model, by name; ``capture=False`` for counters on a GPU."""
    noise = torch.randint(0, 256, (setup.pick(200, 4), 32 * 32 * 3), dtype=torch.uint8)  # as large as SVHN's images
    vlac = library("vlac", 32 * 32 * 3, n_clusters=(1, 5, 50, 1), dense=setup.pick(1024, 16))
    builds: dict[str, Callable[..., Run]] = {
        "demo network": partial(step, setup, DEMO, 100, x=setup.digits),
        "demo network, R = 8": partial(step, setup, DEMO, 100, R=8, x=setup.digits),
        "Gumbel MLP": partial(step, setup, MNIST, 300),
        "Gumbel MLP, R = 8": partial(step, setup, MNIST, 300, R=8),
        "VAE": partial(step, setup, VAE, 100),
        "VaDE": partial(step, setup, VaDE, 256),
        "VLAC": partial(step, setup, vlac, setup.pick(100, 2), x=noise),
    }
    for kind, batch_norm in BATCH_NORM.items():
        cagem = library("cagem", n_clusters=10, hidden=setup.pick(1024, 32), batch_norm=batch_norm)
        builds[f"GMVAE {kind}"] = partial(step, setup, library("gmvae", n_clusters=10, batch_norm=batch_norm), 100)
        builds[f"CaGeM {kind}"] = partial(step, setup, cagem, 100)
        if "bf16" in setup.precisions:
            builds[f"CaGeM {kind}, bf16"] = partial(step, setup, cagem, 100, "bf16")
    return builds


def roofs(setup: Setup) -> Result:
    """Measured rates of matrix products (FLOP/s) and copies (byte/s); no step can be faster than these allow."""
    n = setup.pick(8192 if setup.device == "cuda" else 2048, 64)
    copy, moved = machine.copier(setup.device, setup.pick(2**30 if setup.device == "cuda" else 2**28, 2**12))
    variants = {"copy": repeat(copy, setup.pick(4), moved)}
    for name in setup.precisions:
        product, flop = machine.multiplier(setup.device, n, torch.float32 if name == "float32" else torch.bfloat16)
        variants[name] = repeat(product, setup.pick(2), flop)
    measured = setup.compare(variants, "FLOP/s; copy: byte/s")
    return {name: {"median": median(rates), "rounds": rates} for name, rates in measured.rates.items()}


def _least_bytes(run: Run) -> int:
    """Bytes that a step must move at least: parameters and Adam, and the outputs of linear layers out and back.

    Adam reads parameter, gradient and both moments and writes three of them; the gradient is written once, and
    the parameter is read in both passes: ten times four bytes per parameter.  What fits a cache need not move, so
    for the smallest networks this is more than what the memory sees.
    """
    sizes: list[int] = []
    model = run.training.model
    hooks = [
        layer.register_forward_hook(lambda _, __, out: sizes.append(out.numel() * out.element_size()))
        for layer in model.modules()
        if isinstance(layer, Linear)
    ]
    run(1)
    for hook in hooks:
        hook.remove()
    return 40 * sum(p.numel() for p in model.parameters()) + 2 * sum(sizes)


def roofline(setup: Setup) -> Result:
    """Measured time of each step, and the least time that its products and its bytes need on this machine."""
    measured = roofs(setup)
    uncaptured = {"capture": False} if setup.device == "cuda" else {}  # a replayed graph shows counters nothing
    result: Result = {"roofs": measured, "steps": {}}
    for name, build in kinds_of_step(setup).items():
        counted = build(**uncaptured)
        with FlopCounterMode(display=False) as counter:
            done = counted(1)
        flop, moved = counter.get_total_flops() / done, _least_bytes(counted)
        run = build() if uncaptured else counted
        steps = setup.pick(200 if setup.device == "cuda" or "demo" in name else 5)
        seconds = [1 / rate for rate in setup.compare({"": partial(run, steps)}, "steps/s").rates[""]]
        bounds = {
            "products": flop / measured[run.training.settings.precision]["median"],
            "bytes": moved / measured["copy"]["median"],
        }
        result["steps"][name] = {
            "seconds": {"median": median(seconds), "min": min(seconds), "max": max(seconds)},
            "flop": flop,
            "bytes": moved,
            "bounds": bounds,
            "bound_over_measured": max(bounds.values()) / median(seconds),
        }
    return result


#: Groups of operators in a profile, each with parts of their names; the first group that matches is taken.
GROUPS = {
    "optimiser": ("adam",),
    "batch normalisation": ("batch_norm", "batchnorm"),
    "random numbers": (
        "normal_", "uniform_", "random", "randperm", "bernoulli_", "philox", "distribution", "_fill_kernel",
    ),
    "matrix products": ("mm", "linear", "gemm", "cutlass", "nvjet", "xmma"),
    "gather and copy": ("index", "copy", "cat", "gather", "stack", "memcpy"),
    "fill": ("zero", "fill", "memset"),
    "elementwise and sums": (
        "add", "sub", "mul", "div", "neg", "exp", "log", "pow", "relu", "tanh", "sigmoid", "softmax", "sum", "mean",
        "square", "clamp", "threshold", "binary_cross_entropy", "elementwise", "reduce", "sqrt", "where", "softplus",
    ),
}  # fmt: skip
#: Names of the library's own operations and of its Triton kernels.
FUSED = re.compile(r"genclust::|^_\w+_kernel")


def group_of(operator: str) -> str:
    """Group of :data:`GROUPS` that the name of an operator or a kernel belongs to."""
    name = operator.lower()
    group = next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), "other")
    return "fused operations" if FUSED.search(name) and group != "random numbers" else group


def profile(setup: Setup) -> Result:
    """Share of each group of operators in a step's time, in per cent of all operators."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (setup.device == "cuda")
    shares = {}
    for name, build in kinds_of_step(setup).items():
        run = build(**({"capture": False} if setup.device == "cuda" else {}))
        run(2)
        setup.wait()
        with profiler(activities=activities) as seen:
            run(setup.pick(5, 1))
            setup.wait()
        events = seen.key_averages()
        if setup.device == "cuda":  # kernels only, not the operators that launched them
            on_device = [e for e in events if e.device_type == torch.autograd.DeviceType.CUDA]
            # Adam's own annotation spans its kernels and would count them twice.
            times = {e.key: e.self_device_time_total for e in on_device if not e.is_user_annotation}
        else:
            times = {e.key: e.self_cpu_time_total for e in events}
        groups: dict[str, float] = dict.fromkeys([*GROUPS, "fused operations", "other"], 0.0)
        for key, spent in times.items():
            groups[group_of(key)] += spent
        total = sum(groups.values())
        shares[name] = {group: 100 * spent / total for group, spent in groups.items() if spent}
    return shares
