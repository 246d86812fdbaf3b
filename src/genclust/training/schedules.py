"""Schedules: quantities such as the learning rate that change during training, as functions of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from genclust.settings import SettingError, read, within

#: Number of learning-rate stages of Burda, Grosse, Salakhutdinov (2016); stage i makes 3^i passes over the data.
STAGES = 8


@dataclass(frozen=True)
class Schedule:
    """Value that moves from ``start`` to ``end`` over the first ``epochs`` epochs, then stays (unless ``saturating``).

    ``exponential`` interpolates the logarithm, so 1 to 0.5 over 100 epochs is
    exp(-0.00693 epoch).  ``saturating`` never quite arrives: ``epochs`` is the time in which the distance
    to ``end`` falls to 1/e, so 0 to 1 is 1 - exp(-epoch / epochs).  The epoch is fractional: a schedule moves
    with every step.  ``stages`` are
    eight constant values, equally spaced on the logarithm from ``start`` to ``end``, each held three
    times as long as the one before; in their paper ``epochs`` is 3,280.

    Example:
        >>> temperature = Schedule("exponential", 1.0, 0.5, epochs=100)
        >>> temperature(0), round(temperature(50), 3), temperature(300)
        (1.0, 0.707, 0.5)
    """

    shape: Literal["constant", "linear", "exponential", "saturating", "stages"]
    start: float
    end: float
    epochs: float = within(0)

    def __call__(self, epoch: float) -> float:
        progress = epoch / self.epochs if self.epochs else math.inf
        done = 1 - math.exp(-progress) if self.shape == "saturating" else min(progress, 1.0)
        if self.shape == "stages":
            passed = done * (3**STAGES - 1) / 2
            stage = int(math.log(2 * passed + 1, 3) + 1e-9)  # the logarithm of 3^5 is a little less than 5
            done = min(stage, STAGES - 1) / (STAGES - 1)
        if self.shape in ("exponential", "stages"):
            return math.exp((1 - done) * math.log(self.start) + done * math.log(self.end))
        return (1 - done) * self.start + done * self.end

    @classmethod
    def of(cls, declared: float | Mapping[str, Any], name: str = "schedule") -> Schedule:
        """Schedule from its declaration: a number, or a mapping with the four fields.

        Args:
            declared: the declaration.
            name: what it is called in messages, such as ``training.learning_rate``.

        Raises:
            SettingError: if a field is missing, unknown, not a finite number or out of range.
        """
        if not isinstance(declared, Mapping):
            declared = {"shape": "constant", "start": declared, "end": declared, "epochs": 0}
        schedule = read(cls, declared, name)
        if schedule.shape in ("exponential", "stages") and min(schedule.start, schedule.end) <= 0:
            raise SettingError(f"{name} is {schedule.shape}, and so needs a positive start and end.")
        return schedule
