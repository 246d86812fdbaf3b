"""Targets of the benchmarks for speed, beside the measured values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from genclust.pages.speed import Results


@dataclass(frozen=True)
class Target:
    """Target of one benchmark: a lower or an upper limit of a measured value.

    Attributes:
        what: description of the benchmark.
        device: device of the benchmark, ``cpu`` or ``gpu``.
        unit: unit of the value.
        measured: function from the measurements to the value, with its minimum and maximum where rounds were compared.
        least: lower limit of the value, or None.
        most: upper limit of the value, or None.
    """

    what: str
    device: str
    unit: str
    measured: Callable[[Mapping[str, Any]], tuple[float, ...]]
    least: float | None = None
    most: float | None = None

    def described(self) -> str:
        """Target in words, such as ``at least 2×``."""
        unit = self.unit.replace(" ", "\u00a0")
        return f"at least {self.least:g}{unit}" if self.least is not None else f"at most {self.most:g}{unit}"

    def met(self, value: float) -> bool:
        """Whether a measured value meets the target."""
        return value >= self.least if self.least is not None else value <= float(self.most or 0)


def _ratio(comparison: Mapping[str, Any], variant: str, baseline: str = "") -> tuple[float, ...]:
    """Ratio of a variant's rate to that of the baseline: median, minimum and maximum over the rounds."""
    rounds = {name: v["rounds"] for name, v in comparison["variants"].items()}
    ratios = [a / b for a, b in zip(rounds[variant], rounds[baseline or comparison["baseline"]], strict=True)]
    return median(ratios), min(ratios), max(ratios)


def _training(group: str, precision: str, baseline: str = "") -> Callable[[Mapping[str, Any]], tuple[float, ...]]:
    return lambda m: _ratio(m["throughput"][group], f"genclust, {precision}", baseline)


def _against_peers() -> Iterator[Target]:
    """Targets of training one seed, against each other library, in float32 and in bfloat16."""
    in_memory, converting = "DataLoader loop", "DataLoader loop, images converted one by one"
    for what, group, baseline, least in (
        ("an ordinary loop that converts images one by one, batch 300", "Gumbel MLP, batch 300", converting, 2),
        ("an ordinary loop that converts images one by one, batch 64", "Gumbel MLP, batch 64", converting, 2),
        ("an ordinary loop, images in memory, batch 300", "Gumbel MLP, batch 300", in_memory, 2),
        ("an ordinary loop, images in memory, batch 64", "Gumbel MLP, batch 64", in_memory, 2),
        ("pythae's VAE", "VAE, batch 100", "pythae", 1.5),
        ("pythae's IWAE", "IWAE, 10 samples, batch 100", "pythae", 1.5),
    ):
        for precision, name in (("float32", "float32"), ("bf16", "bfloat16")):
            measured = _training(group, precision, baseline)
            yield Target(f"Training in {name}, against {what}", "cpu", "×", measured, least)


def _layout(network: str, layout: str) -> Callable[[Mapping[str, Any]], tuple[float, ...]]:
    return lambda m: _ratio(m["replicas"][network], f"{layout}, 8")


def _worst_kernel(against: str) -> Callable[[Mapping[str, Any]], tuple[float, ...]]:
    """Function for the least ratio (median) of any kernel and direction to a copy or another implementation."""

    def worst(m: Mapping[str, Any]) -> tuple[float, ...]:
        directions = [case[way]["variants"] for case in m["kernels"].values() for way in ("forward", "backward")]
        return (min(v["auto"]["median"] / v[against]["median"] for v in directions),)

    return worst


def _fastest(group: Mapping[str, Any], named: str = "") -> float:
    return max(v["median"] for name, v in group["variants"].items() if name.startswith(named))


def _cagem(m: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(group for name, group in m["precision"].items() if name.startswith("CaGeM"))


TARGETS = (
    *_against_peers(),
    *(
        Target(f"8 replicas, {name}, {layout}, against one by one", "cpu", "×", _layout(group, layout), least)
        for name, group, least in (
            ("demo network", "demo network, batch 100", 4),
            ("MNIST network", "MNIST network, batch 300", 1.4),
        )
        for layout in ("side by side", "two processes")
    ),
    Target("CaGeM step in bfloat16, against float32", "cpu", "×", lambda m: _ratio(_cagem(m), "bf16"), 2),
    Target(
        "Every kernel, share of the bandwidth of a copy", "gpu", "%",
        lambda m: tuple(100 * share for share in _worst_kernel("copy")(m)), 85,
    ),
    Target("Every kernel, against torch.compile", "gpu", "×", _worst_kernel("torch.compile"), 1),
    Target(
        "10 replicas of the Gumbel MLP, 300 epochs of MNIST", "gpu", " s",
        lambda m: (min(run["seconds"] for run in m["table_row"].values()),), most=60,
    ),
    Target(
        "CaGeM step, width 1024, K = 10, batch 256", "gpu", " ms", lambda m: (1000 / _fastest(_cagem(m)),), most=1
    ),
    Target(
        "5,000-sample likelihood of 10,000 images", "gpu", " s",
        lambda m: (10_000 / _fastest(m["likelihood"], "genclust"),), most=15,
    ),
)  # fmt: skip


def targets(cpu: Results, gpu: Results | None) -> pd.DataFrame:
    """Table of every target beside the measured value."""
    lines = []
    for target in TARGETS:
        results = cpu if target.device == "cpu" else gpu
        line = {"": target.what, "On": target.device.upper(), "Target": target.described()}
        try:
            value, *spread = target.measured(results["measurements"])  # type: ignore[index]
        except (KeyError, TypeError, ValueError, StopIteration):  # nothing there, or not this
            lines.append(line | {"Measured": "not measured", "Met": "–"})
            continue
        range_ = f" ({spread[0]:.2f} to {spread[1]:.2f})" if spread else ""
        lines.append(
            line | {"Measured": f"{value:.2f}{target.unit}{range_}", "Met": "yes" if target.met(value) else "no"}
        )
    return pd.DataFrame(lines)


def causes(measured: Mapping[str, Any]) -> str:
    """Sentences on how much of a step's time its matrix products take; empty if it was not measured."""
    if not {"profile", "roofline"} <= set(measured):
        return ""
    lines = []
    for name in ("Gumbel MLP", "VAE"):
        products, step = measured["profile"][name]["matrix products"], measured["roofline"]["steps"][name]
        share = 100 * step["bounds"]["products"] / step["seconds"]["median"]
        lines.append(
            f"In a {name} step matrix products take {products:.0f} % of the operators' time, and at the rate of one "
            f"large product they alone would take {share:.0f} % of the step."
        )
    return " ".join(lines)
