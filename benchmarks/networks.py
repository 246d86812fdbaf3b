"""Benchmark of the networks that rows train at profile ``paper``: seconds per step, and the share of products.

Products alone are counted for every row of a paper's own model, and their number depends on no machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine
from benchmarks.timing import compare, repeat
from genclust.experiments import declaration
from genclust.experiments.configuration import training_settings
from genclust.experiments.training_run import build
from genclust.experiments.verdicts import is_own
from genclust.settings import merge
from genclust.training.loop import Training

#: One row of each kind of network, and changed settings that are measured beside its own.
ROWS: dict[str, dict[str, dict[str, Any]]] = {
    "simple-table1/proposed-mnist": {},
    "gmvae-table1/gmvae-k10-m1": {},
    "gmvae-table1/gmvae-k16-m10": {},
    "cagem-table1/cagem-0-k10": {"two classes": {"model": {"classes": 1}}},
    "cagem-others/cagem-k1": {},
    "cagem-others/adgm-100": {"two classes": {"model": {"classes": 1}}},
    "cagem-others/avae": {},
    "cagem-others/lvae": {},
    "cagem-iwae/vae-l2-k1": {},
    "cagem-iwae/iwae-l2-k50": {},
    "vlac-table1/vlac-two": {},
    "vlac-table1/gm-dgm": {},
}
#: Number of values of an example of each data set.
DIMENSIONS = {
    **{"mnist": 28 * 28, "omniglot": 28 * 28, "usps": 16 * 16, "rcv1_10k": 2000, "arcs": 2, "arcs_5000": 2},
    **dict.fromkeys(("svhn", "svhn_10k", "house_numbers", "coloured_mnist"), 32 * 32 * 3),
}


def networks(rounds: int, precisions: tuple[str, ...], smoke: bool) -> dict[str, Any]:
    """Seconds per step on one thread of each row of :data:`ROWS`, in each of its precisions and settings.

    Args:
        rounds: number of counted rounds; one more warms up.
        precisions: precisions to measure, the first as the baseline.
        smoke: whether to measure only the first row.

    Returns:
        The machine's rate of products by precision, in FLOP per second, and for each row and variant the seconds per
        step (median, min, max), the floating-point operations of its products, and the share of the time that these
        would need at that rate.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rates = {name: _rate(name, 64 if smoke else 2048) for name in precisions}
        rows = list(ROWS)[:1] if smoke else list(ROWS)
        return {"rates": rates, "rows": {row: _row(row, rounds, precisions, rates) for row in rows}}
    finally:
        torch.set_num_threads(threads)


def _rate(precision: str, n: int) -> float:
    product, flop = machine.multiplier("cpu", n, torch.float32 if precision == "float32" else torch.bfloat16)
    return median(compare({"": repeat(product, 2, flop)}, 5, "FLOP/s").rates[""])


def _row(row: str, rounds: int, precisions: tuple[str, ...], rates: Mapping[str, float]) -> dict[str, Any]:
    trainings = {}
    for what, settings in {"": {}, **ROWS[row]}.items():
        for precision in precisions:
            trainings[", ".join(filter(None, (precision, what)))] = _training(row, precision, settings)
    flop = {name: _counted(training) for name, training in trainings.items()}

    def a_step(training: Training) -> float:
        training._one_step()
        return 1.0

    comparison = compare({name: lambda t=t: a_step(t) for name, t in trainings.items()}, rounds, "steps/s")  # type: ignore[misc]
    variants = {}
    for name, steps in comparison.rates.items():
        seconds = [1 / rate for rate in steps]
        needed = flop[name] / rates[name.partition(",")[0]]
        variants[name] = {
            "seconds": {"median": median(seconds), "min": min(seconds), "max": max(seconds)},
            "flop": flop[name],
            "share": needed / median(seconds),
        }
    return {"variants": variants, "batch": next(iter(trainings.values())).settings.batch_size}


def products(smoke: bool) -> dict[str, float]:
    """Floating-point operations of the products in a training step of one seed at profile ``paper``, by row.

    They are counted in batches of two and of four examples: all but those of labelled examples grow with the batch.
    """
    return {row: step_products(row) for row in (own_rows()[:1] if smoke else own_rows())}


def own_rows() -> list[str]:
    """Rows of the papers' own models that have a reported number and runs of their own, as ``experiment/row``."""
    return [
        f"{row.experiment}/{row.name}"
        for experiment in map(declaration.load, declaration.names())
        for row in experiment.runnable
        if is_own(experiment, row) and row.reported and not row.run_of and "paper" in row.profiles
    ]


def step_products(row: str) -> float:
    """Floating-point operations of the products in a training step of one seed of a row at profile ``paper``."""
    two, four = (_counted(_training(row, "float32", {"training": {"batch_size": n}})) for n in (2, 4))
    experiment, _, name = row.partition("/")
    batch = declaration.load(experiment).row(name).config("paper").training["batch_size"]
    return two + (batch - 2) * (four - two) / 2


def _counted(training: Training) -> int:
    with FlopCounterMode(display=False) as counter:
        training._one_step()
    return counter.get_total_flops()


def _training(row: str, precision: str, settings: Mapping[str, Any]) -> Training:
    """Training of one seed of the row before its first step, on noise instead of its data, which takes as long."""
    experiment, _, name = row.partition("/")
    overrides = merge(settings, {"training": {"precision": precision}})
    config = declaration.load(experiment).row(name).config("paper", overrides)
    generator = torch.Generator().manual_seed(0)
    n, d = 2 * config.training["batch_size"], DIMENSIONS[config.data["name"]]
    x = torch.randint(0, 256, (n, d), dtype=torch.uint8, generator=generator)
    labelled = None
    if n_labels := config.data.get("n_labels"):
        rows = torch.arange(n_labels)[None] % n
        labelled = rows, rows % config.model["n_clusters"]
    training = Training(
        build(config, 1, d),
        [0],
        x,
        training_settings(config.model["name"], config.training),
        labelled=labelled,
    )
    training.model.train()
    return training
