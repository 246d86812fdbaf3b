"""Timing of variants in turn within one run, and the file of the results."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

#: Function that does a piece of work and returns its amount, in images, steps or bytes.
Variant = Callable[[], float]


@dataclass(frozen=True)
class Comparison:
    """Rates of several variants, one value per round.

    Attributes:
        unit: unit of the rates, such as ``images/s``.
        baseline: the variant that the others are compared with.
        rates: work per second by variant, one value per round; every variant has equally many rounds.
    """

    unit: str
    baseline: str
    rates: Mapping[str, list[float]]

    def ratios(self, variant: str) -> list[float]:
        """Rate of ``variant`` over that of the baseline, one ratio per round: above 1 is faster."""
        return [a / b for a, b in zip(self.rates[variant], self.rates[self.baseline], strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """Values for JSON: every round, medians of the rates, and median, minimum and maximum of the ratios."""
        variants = {}
        for name, rates in self.rates.items():
            ratios = self.ratios(name)
            variants[name] = {
                "rounds": [float(f"{rate:.6g}") for rate in rates],
                "median": median(rates),
                "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios)},
            }
        return {"unit": self.unit, "baseline": self.baseline, "variants": variants}


def compare(
    variants: Mapping[str, Variant],
    rounds: int,
    unit: str,
    baseline: str | None = None,
    wait: Callable[[], object] = lambda: None,
) -> Comparison:
    """Time the variants in turn; the first round warms up and is not counted.

    Args:
        variants: functions to compare, by name.
        rounds: number of counted rounds.
        unit: unit of the rates.
        baseline: name of the baseline, by default the first variant.
        wait: function that returns when the device has finished its work.
    """
    names = list(variants)
    rates: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        first = number % len(names)  # each goes first in its turn, so that none always follows the same other
        for name in names[first:] + names[:first]:
            wait()
            began = time.perf_counter()
            work = variants[name]()
            wait()
            if number:
                rates[name].append(work / (time.perf_counter() - began))
    return Comparison(unit, baseline or names[0], rates)


def repeat(work: Callable[[], object], times: int, amount: float = 1.0) -> Variant:
    """Variant that calls ``work`` several ``times``, where each call counts as ``amount``."""

    def variant() -> float:
        for _ in range(times):
            work()
        return times * amount

    return variant


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON atomically, so that ``path`` is at any time a whole file, the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".json", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf8") as file:
            json.dump(content, file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")
        os.chmod(name, 0o644)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
