"""Quantities that change while a model trains, declared as functions of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SHAPES = ("constant", "linear", "exponential")


@dataclass(frozen=True)
class Schedule:
    """From ``start`` to ``end`` over the first ``epochs`` epochs, then constant.

    ``exponential`` interpolates the logarithm, so 1 to 0.5 over 100 epochs is
    exp(-0.00693 epoch).  The epoch is fractional: a schedule moves with every step.
    """

    shape: Literal["constant", "linear", "exponential"]
    start: float
    end: float
    epochs: float

    def __call__(self, epoch: float) -> float:
        done = min(epoch / self.epochs, 1.0) if self.epochs else 1.0
        if self.shape == "exponential":
            return math.exp((1 - done) * math.log(self.start) + done * math.log(self.end))
        return (1 - done) * self.start + done * self.end

    @classmethod
    def of(cls, declared: float | Mapping[str, Any]) -> Schedule:
        """A schedule from its declaration: a number, or a mapping with the four fields.

        Raises:
            ValueError: if a field is missing, unknown or out of range.
        """
        if isinstance(declared, (int, float)):
            return cls("constant", float(declared), float(declared), 0.0)
        missing = {"shape", "start", "end", "epochs"} ^ set(declared)
        if missing:
            raise ValueError(
                f"A schedule is a number or has shape, start, end and epochs; wrong or missing: {sorted(missing)}."
            )
        schedule = cls(declared["shape"], *(float(declared[name]) for name in ("start", "end", "epochs")))
        if schedule.shape not in SHAPES:
            raise ValueError(f"Schedule shape {schedule.shape!r} is unknown; the shapes are {', '.join(SHAPES)}.")
        if schedule.shape == "exponential" and min(schedule.start, schedule.end) <= 0:
            raise ValueError("An exponential schedule needs a positive start and end.")
        if schedule.epochs < 0:
            raise ValueError(f"A schedule cannot last {schedule.epochs} epochs; give 0 or more.")
        return schedule
