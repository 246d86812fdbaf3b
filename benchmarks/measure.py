"""All benchmarks by name and device; each function returns its part of the JSON results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import machine, peers
from benchmarks.errors import errors
from benchmarks.estimators import estimators
from benchmarks.kernel_cases import Case, cases
from benchmarks.machine import quiet
from benchmarks.models import VAE
from benchmarks.networks import networks, products
from benchmarks.runs import Result, Setup, step
from benchmarks.steps import classes, cost, precision, profile, roofline
from benchmarks.timing import Variant, repeat
from benchmarks.training import graphs, replicas, table_row, throughput
from benchmarks.unhelpful import unhelpful
from genclust.evaluation.likelihood import log_likelihood
from genclust.models.inference import as_float


def kernel_bandwidths(setup: Setup) -> Result:
    """Bandwidth of every fused operation in bytes per second, beside a copy of as many bytes in the same round."""
    results: Result = {}
    for case in cases(setup.device, setup.smoke):
        try:
            results[case.name] = _kernel(setup, case)
        except Exception as error:  # one kernel that fails does not hide the others
            quiet(f"  {case.name}: {type(error).__name__}: {error}")
            results[case.name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    return results


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
    """Images per second of the 5,000-sample importance-weighted likelihood of pythae's VAE."""
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
        # As many at once as when the published results of this benchmark were measured.
        log_likelihood(model, x, [0], samples, samples_at_once=250, precision=precision)  # type: ignore[arg-type]
        return float(len(x))

    for name in setup.precisions:
        variants[f"genclust, {name}"] = partial(evaluate, name)
    return setup.compare(variants, "images/s").as_dict() | {"images": len(x), "samples": samples}


def paper_networks(setup: Setup) -> Result:
    """Seconds per training step of the networks of the papers, see :mod:`benchmarks.networks`."""
    return networks(setup.rounds, setup.precisions, setup.smoke)


def paper_products(setup: Setup) -> Result:
    """Floating-point operations per training step of the papers' own models, see :mod:`benchmarks.networks`."""
    return products(setup.smoke)


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
    "products": paper_products,
    "estimators": estimators,
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
