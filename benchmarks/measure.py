"""What is measured: one function a measurement, each returning what goes into the JSON."""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine, peers
from benchmarks.errors import errors
from benchmarks.kernel_cases import Case, cases
from benchmarks.machine import quiet
from benchmarks.models import GMVAE, VAE, CaGeM, VaDE
from benchmarks.networks import networks
from benchmarks.timing import Comparison, Variant, compare, repeat
from benchmarks.unhelpful import unhelpful
from genclust.evaluation.likelihood import log_likelihood
from genclust.models import MODELS
from genclust.models.base import Model
from genclust.models.gumbel import GumbelClustering, GumbelSettings
from genclust.models.inference import as_float
from genclust.models.layers import Linear
from genclust.training.loop import Training, TrainingSettings
from genclust.training.schedules import Schedule

Result = dict[str, Any]
Make = Callable[[int], Model]

#: Sizes of the Gumbel model: the demo profile on the embedded digits, and the paper's on MNIST.
DEMO = GumbelSettings(n_clusters=10, latent_dim=10, feature_dim=50, hidden=(128, 64), w_gaussian=2)
MNIST = GumbelSettings(n_clusters=10, latent_dim=150, w_gaussian=5)


@dataclass(frozen=True)
class Setup:
    """How and on what everything is measured.

    Attributes:
        device: ``cpu`` or ``cuda``.
        rounds: rounds that count; one more warms up.
        threads: of the one process, where nothing else is said.
        mnist: ``[N, 784]`` uint8.
        digits: ``[N, 64]`` uint8.
        data: what the images are, for the page.
        smoke: sizes at which numbers mean nothing, for tests.
    """

    device: str
    rounds: int
    threads: int
    mnist: Tensor
    digits: Tensor
    data: str
    smoke: bool = False

    def pick(self, full: int, smoke: int = 1) -> int:
        """A size, or the smallest that still runs."""
        return smoke if self.smoke else full

    def wait(self) -> None:
        """Return when the device has nothing left to do."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def compare(self, variants: Mapping[str, Variant], unit: str, baseline: str | None = None) -> Comparison:
        """See :func:`benchmarks.timing.compare`."""
        return compare(variants, self.rounds, unit, baseline, self.wait)

    @property
    def precisions(self) -> tuple[str, ...]:
        """float32, and bf16 where the processor has it."""
        return ("float32", "bf16") if machine.fast_bf16(self.device) else ("float32",)


class Run:
    """A model in the library's training loop; calling it trains and returns the number of steps.

    Those are the steps that were asked for, or where steps are captured whole epochs.
    """

    def __init__(
        self,
        make: Make,
        x: Tensor,
        batch: int,
        replicas: int = 1,
        precision: Any = "float32",
        device: str = "cpu",
        **options: Any,
    ) -> None:
        rates = {"learning_rate": 1e-3, "temperature": 1.0, "warm_up": 1.0}
        schedules = {name: Schedule.of(rate) for name, rate in rates.items()}
        settings = TrainingSettings(schedules, epochs=1_000_000, batch_size=batch, precision=precision)
        self.training = Training(make(replicas), range(replicas), x, settings, device, **options)
        self.images_per_step = batch * replicas  # data are cut to whole batches, so every step has as many

    def __call__(self, steps: int) -> int:
        began = self.training.step
        self.training.run(lambda epoch: [], (), stop=lambda: self.training.step >= began + steps)
        return self.training.step - began

    def images(self, steps: int) -> Variant:
        """``steps`` steps as a variant, worth their images, those of all replicas counted."""
        return lambda: float(self(steps) * self.images_per_step)


def whole_batches(x: Tensor, batch: int, at_most: int) -> Tensor:
    """The first images, as many as fill whole batches."""
    return x[: max(min(len(x), at_most) // batch, 1) * batch]


def gumbel(settings: GumbelSettings, x_dim: int) -> Make:
    """The Gumbel model as the library has it, for any number of replicas."""
    return lambda replicas: GumbelClustering(replicas, x_dim, settings)


# ---- training, against peers


def throughput(setup: Setup) -> Result:
    """Images a second of one seed, against the ordinary loop and the peers."""
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

    found: Result = {}
    for batch in (300, 64):
        loops = {
            "DataLoader loop": partial(peers.plain_loop, batch=batch),
            "DataLoader loop, images converted one by one": partial(peers.plain_loop, batch=batch, convert=True),
        }
        found[f"Gumbel MLP, batch {batch}"] = against(loops, gumbel(MNIST, 784), batch)
    for name, samples in (("VAE", 1), ("IWAE, 10 samples", 10)):
        pythae = {"pythae": partial(peers.pythae_training, batch=100, samples=samples)}
        found[f"{name}, batch 100"] = against(pythae, partial(VAE, samples=samples), 100, n if samples == 1 else n // 3)
    found["VaDE, batch 256"] = against({"ClustPy": partial(peers.clustpy_vade, batch=256)}, VaDE, 256)
    return {name: result for name, result in found.items() if result}


# ---- replicas and processes


def _serve(pipe: Connection, settings: GumbelSettings, x: Tensor, batch: int, counts: Sequence[int]) -> None:
    """A process of one thread that trains as many replicas as it is told, as many steps as it is told."""
    torch.set_num_threads(1)
    runs = {count: Run(gumbel(settings, x.shape[1]), x, batch, count) for count in counts}
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        count, steps = order
        pipe.send(runs[count](steps))


@contextmanager
def workers(settings: GumbelSettings, x: Tensor, batch: int, counts: Sequence[int]) -> Iterator[list[Connection]]:
    """Two processes that wait for orders, so that starting them is not timed."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(2):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(theirs, settings, x, batch, counts), daemon=True)
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
    """Images a second, all seeds counted, against the number of replicas and how they are laid out."""
    found = {}
    for name, settings, source, batch, steps in (
        ("demo network, batch 100", DEMO, setup.digits, 100, setup.pick(140, 2)),
        ("MNIST network, batch 300", MNIST, setup.mnist, 300, setup.pick(12, 1)),
    ):
        x = whole_batches(source, batch, 6000)
        counts = (1, 2, 4, 8)
        one = Run(gumbel(settings, x.shape[1]), x, batch)
        # one after the other has the rate of one alone, whatever their number
        variants: dict[str, Variant] = {"one after the other": one.images(2 * steps)}
        for R in counts:
            variants[f"side by side, {R}"] = Run(gumbel(settings, x.shape[1]), x, batch, R).images(steps)
        with workers(settings, x, batch, [R // 2 for R in counts[1:]]) as pipes:

            def shared(R: int, steps: int = steps, batch: int = batch, pipes: list[Connection] = pipes) -> float:
                for pipe in pipes:
                    pipe.send((R // 2, steps))
                return float(sum(pipe.recv() for pipe in pipes) * R // 2 * batch)

            for R in counts[1:]:
                variants[f"two processes, {R}"] = partial(shared, R)
            found[name] = setup.compare(variants, "images/s").as_dict() | {"batch": batch}
    return found


def graphs(setup: Setup) -> Result:
    """On a GPU: the step as one captured graph against launching its kernels one by one."""
    x = whole_batches(setup.mnist, 300, 60_000)
    steps = setup.pick(200, 2)
    found = {}
    for R in (1, 2, 4, 8, 10, 16):
        variants = {
            f"{name}, {precision}": Run(
                gumbel(MNIST, 784), x, 300, R, precision, setup.device, capture=captured
            ).images(steps)
            for name, captured in (("one by one", False), ("captured", True))
            for precision in setup.precisions
        }
        found[str(R)] = setup.compare(variants, "images/s").as_dict() | {"batch": 300}
    return found


def table_row(setup: Setup) -> Result:
    """On a GPU: ten replicas of the Gumbel MLP for 300 epochs of 60,000 images, as long as it takes.

    If a hundredth of it says that it would take more than three minutes, that estimate is what is given.
    """
    x = whole_batches(setup.mnist, 300, 60_000)
    steps = 300 * 200
    found = {}
    for precision in setup.precisions:
        run = Run(gumbel(MNIST, 784), x, 300, 10, precision, setup.device)
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
        found[precision] = {"seconds": seconds, "whole": whole, "replicas": 10, "epochs": 300}
    return found


# ---- steps: precision, cost, roofline, profile


def step(
    setup: Setup,
    make: Make,
    batch: int,
    precision: str = "float32",
    R: int = 1,
    x: Tensor | None = None,
    **options: Any,
) -> Run:
    """A run on the MNIST images, or on ``x``, on the machine's device."""
    x = whole_batches(setup.mnist if x is None else x, batch, 60_000)
    return Run(make, x, batch, R, precision, setup.device, **options)


def precision(setup: Setup) -> Result:
    """bfloat16 products against float32 in a whole training step."""
    batch = 256 if setup.device == "cuda" else 100
    hidden = setup.pick(1024, 32)
    found = {}
    for name, make, size, steps in (
        (f"CaGeM, width 1024, K = 10, batch {batch}", partial(CaGeM, hidden=hidden), batch, setup.pick(3)),
        ("Gumbel MLP, batch 300", gumbel(MNIST, 784), 300, setup.pick(10)),
        ("GMVAE, K = 10, M = 1, batch 100", GMVAE, 100, setup.pick(5)),
    ):
        many = steps * (30 if setup.device == "cuda" else 1)
        variants: dict[str, Variant] = {}
        for kind in setup.precisions:
            variants[kind] = partial(step(setup, make, size, kind), many)
            if setup.device == "cuda":
                variants[f"{kind}, one by one"] = partial(step(setup, make, size, kind, capture=False), many)
        found[name] = setup.compare(variants, "steps/s").as_dict() | {"batch": size}
    return found


def classes(setup: Setup) -> Result:
    """A whole training step of the library's own models with a class: all ten summed, or one and one of the others."""
    found = {}
    for name, label, hidden, steps in (
        ("cagem", "CaGeM", setup.pick(1024, 32), setup.pick(3)),
        ("cagem", "CaGeM", setup.pick(128, 16), setup.pick(20)),
        ("adgm", "ADGM", setup.pick(500, 32), setup.pick(8)),
    ):
        many = steps * (30 if setup.device == "cuda" else 1)
        kind, settings = MODELS[name]

        def make(replicas: int, summed: int, kind: Any = kind, settings: Any = settings, hidden: int = hidden) -> Model:
            return kind(replicas, 784, settings(n_clusters=10, hidden=hidden, classes=summed))

        for precision in setup.precisions:
            variants = {
                variant: partial(step(setup, partial(make, summed=summed), 100, precision), many)
                for variant, summed in (("all classes", 0), ("1 and one drawn", 1))
            }
            group = f"{label}, width {hidden}, K = 10, {precision}"
            found[group] = setup.compare(variants, "steps/s").as_dict() | {"batch": 100}
    return found


def cost(setup: Setup) -> Result:
    """Steps a second of CaGeM and GMVAE against batch size, K and M, one of them varied at a time."""
    hidden = setup.pick(512, 32)
    wide = setup.device == "cuda"
    curves: dict[str, dict[int, tuple[Make, int]]] = {
        "CaGeM: batch size, K = 10": {b: (partial(CaGeM, hidden=hidden), b) for b in (25, 50, 100, 200, 400)},
        "CaGeM: K, batch 100": {k: (partial(CaGeM, hidden=hidden, n_clusters=k), 100) for k in (2, 5, 10, 20)},
        "GMVAE: batch size, K = 10, M = 1": {b: (GMVAE, b) for b in (25, 50, 100, 200, 400)},
        "GMVAE: K, M = 1, batch 100": {k: (partial(GMVAE, n_clusters=k), 100) for k in (2, 5, 10, 20)},
        "GMVAE: M, K = 10, batch 100": {m: (partial(GMVAE, samples=m), 100) for m in (1, 2, 5, 10)},
    }
    found = {}
    for name, points in curves.items():
        variants = {
            str(value): partial(step(setup, make, batch), setup.pick(50 if wide else 2))
            for value, (make, batch) in points.items()
        }
        found[name] = setup.compare(variants, "steps/s").as_dict()
    return found


def kinds_of_step(setup: Setup) -> dict[str, Callable[..., Run]]:
    """A training step of every kind of model, in the library's loop; ``capture=False`` for counters on a GPU."""
    cagem = partial(CaGeM, hidden=setup.pick(1024, 32))
    found: dict[str, Callable[..., Run]] = {
        "demo network": partial(step, setup, gumbel(DEMO, 64), 100, x=setup.digits),
        "demo network, R = 8": partial(step, setup, gumbel(DEMO, 64), 100, R=8, x=setup.digits),
        "Gumbel MLP": partial(step, setup, gumbel(MNIST, 784), 300),
        "Gumbel MLP, R = 8": partial(step, setup, gumbel(MNIST, 784), 300, R=8),
        "VAE": partial(step, setup, VAE, 100),
        "VaDE": partial(step, setup, VaDE, 256),
        "GMVAE": partial(step, setup, GMVAE, 100),
        "CaGeM": partial(step, setup, cagem, 100),
    }
    if "bf16" in setup.precisions:
        found["CaGeM, bf16"] = partial(step, setup, cagem, 100, "bf16")
    return found


def roofs(setup: Setup) -> Result:
    """Measured matrix products and copies: no step can be faster than these allow."""
    n = setup.pick(8192 if setup.device == "cuda" else 2048, 64)
    copy, moved = machine.copier(setup.device, setup.pick(2**30 if setup.device == "cuda" else 2**28, 2**12))
    variants = {"copy": repeat(copy, setup.pick(4), moved)}
    for name in setup.precisions:
        product, flop = machine.multiplier(setup.device, n, torch.float32 if name == "float32" else torch.bfloat16)
        variants[name] = repeat(product, setup.pick(2), flop)
    measured = setup.compare(variants, "FLOP/s; copy: byte/s")
    return {name: {"median": median(rates), "rounds": rates} for name, rates in measured.rates.items()}


def _least_bytes(run: Run) -> int:
    """What a step must move at least: parameters and Adam, and the outputs of linear layers out and back.

    Adam reads parameter, gradient and both moments and writes three of them; the gradient is written once, and
    the parameter is read in both passes: ten times four bytes a parameter.  What fits a cache need not move, so
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
    """Each step's time against the least time that its products and its bytes need on this machine."""
    measured = roofs(setup)
    uncaptured = {"capture": False} if setup.device == "cuda" else {}  # a replayed graph shows counters nothing
    found: Result = {"roofs": measured, "steps": {}}
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
        found["steps"][name] = {
            "seconds": {"median": median(seconds), "min": min(seconds), "max": max(seconds)},
            "flop": flop,
            "bytes": moved,
            "bounds": bounds,
            "bound_over_measured": max(bounds.values()) / median(seconds),
        }
    return found


#: Which operators belong together in a profile; the first group with a part of the name gets it.
GROUPS = {
    "optimiser": ("adam",),
    "batch normalisation": ("batch_norm", "batchnorm"),
    "random numbers": (
        "normal_", "uniform_", "random", "randperm", "bernoulli_", "philox", "distribution", "_fill_kernel",
        "_binarise_kernel",
    ),
    "matrix products": ("mm", "linear", "gemm", "cutlass", "nvjet", "xmma"),
    "gather and copy": ("index", "copy", "cat", "gather", "stack", "memcpy"),
    "fill": ("zero", "fill", "memset"),
    "elementwise and sums": (
        "add", "sub", "mul", "div", "neg", "exp", "log", "pow", "relu", "tanh", "sigmoid", "softmax", "sum", "mean",
        "square", "clamp", "threshold", "binary_cross_entropy", "elementwise", "reduce", "sqrt", "where", "softplus",
    ),
}  # fmt: skip
#: The library's own operations, and how its Triton kernels are called.
FUSED = re.compile(r"genclust::|^_\w+_kernel")


def group_of(operator: str) -> str:
    """The group of :data:`GROUPS` that an operator's or kernel's name belongs to."""
    name = operator.lower()
    group = next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), "other")
    return "fused operations" if FUSED.search(name) and group != "random numbers" else group


def profile(setup: Setup) -> Result:
    """Where a step's time goes: the operators' own time by group, in per cent of all operators."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (setup.device == "cuda")
    found = {}
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
        found[name] = {group: 100 * spent / total for group, spent in groups.items() if spent}
    return found


# ---- fused operations


def kernel_bandwidths(setup: Setup) -> Result:
    """Bytes that must move over the time taken, beside a copy of as many bytes in the same round."""
    found: Result = {}
    for case in cases(setup.device, setup.smoke):
        try:
            found[case.name] = _kernel(setup, case)
        except Exception as error:  # one kernel that fails does not hide the others
            quiet(f"  {case.name}: {type(error).__name__}: {error}")
            found[case.name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    return found


def _kernel(setup: Setup, case: Case) -> Result:
    calls = {"auto": case.call, "plain PyTorch": case.plain}
    if setup.device == "cuda":
        from torch import _dynamo
        from torch._functorch import config

        _dynamo.reset()
        config.donated_buffer = False  # else a compiled backward pass runs only once
        calls["torch.compile"] = torch.compile(case.plain)
    times = setup.pick(20 if setup.device == "cuda" else 2)
    result: Result = {"elements": sum(t.numel() for t in case.tensors)}
    graph: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
    forward: dict[str, Callable[[], object]] = {}
    backward: dict[str, Callable[[], object]] = {}

    def differentiate(name: str) -> None:
        outputs, gradients = graph[name]
        torch.autograd.grad(outputs, case.differentiable, gradients, retain_graph=True)

    for name, call in calls.items():
        outputs = [out for out in case.outputs(call(*case.tensors)) if out.requires_grad]
        graph[name] = outputs, [torch.ones_like(out) for out in outputs]
        forward[name] = partial(call, *case.tensors)
        backward[name] = partial(differentiate, name)
    moved = {"forward": case.forward_bytes(graph["auto"][0]), "backward": case.backward_bytes(graph["auto"][0])}
    for direction, variants in (("forward", forward), ("backward", backward)):
        copy, copied = machine.copier(setup.device, moved[direction])
        timed = {"copy": repeat(copy, times, copied)}
        timed |= {name: repeat(variant, times, moved[direction]) for name, variant in variants.items()}
        result[direction] = setup.compare(timed, "byte/s").as_dict() | {"bytes": moved[direction]}
    return result


# ---- likelihood


def likelihood(setup: Setup) -> Result:
    """Images a second of the 5,000-sample importance-weighted likelihood of pythae's VAE."""
    samples = setup.pick(5000, 200)
    on_gpu = setup.device == "cuda"
    images = setup.mnist[: setup.pick(10_000 if on_gpu else 3, 2)]
    variants: dict[str, Variant] = {}
    if not on_gpu:
        try:
            variants["pythae"] = peers.pythae_likelihood(images, samples)
        except peers.NotInstalled as missing:
            quiet(f"  {missing}")
    model = step(setup, VAE, 100).training.model.eval()
    x = as_float(images.to(setup.device))

    def evaluate(precision: Any) -> float:
        log_likelihood(model, x, [0], samples, precision=precision)  # type: ignore[arg-type]
        return float(len(x))

    for name in setup.precisions:
        variants[f"genclust, {name}"] = partial(evaluate, name)
    return setup.compare(variants, "images/s").as_dict() | {"images": len(x), "samples": samples}


def paper_networks(setup: Setup) -> Result:
    """Seconds per step of the networks of the papers, see :mod:`benchmarks.networks`."""
    return networks(setup.rounds, setup.precisions, setup.smoke)


CPU: dict[str, Callable[[Setup], Result]] = {
    "throughput": throughput,
    "replicas": replicas,
    "precision": precision,
    "classes": classes,
    "kernels": kernel_bandwidths,
    "roofline": roofline,
    "profile": profile,
    "likelihood": likelihood,
    "cost": cost,
    "networks": paper_networks,
    "errors": errors,
    "unhelpful": unhelpful,
}
GPU: dict[str, Callable[[Setup], Result]] = {
    "errors": errors,
    "kernels": kernel_bandwidths,
    "precision": precision,
    "classes": classes,
    "likelihood": likelihood,
    "graphs": graphs,
    "table_row": table_row,
    "roofline": roofline,
    "profile": profile,
    "cost": cost,
}
