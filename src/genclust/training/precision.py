"""Choice of the faster precision of matrix products, float32 or bfloat16, on the current machine.

Precision is how a machine computes, not what: trainings with float32 and bfloat16 products end alike, but some
processors multiply several times as fast in bfloat16, and others more slowly.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Literal

import torch

from genclust.training.loop import Training

Precision = Literal["float32", "bf16"]

#: Number of first steps of each precision, not timed since they allocate and compile, and number of timed steps.
WARM_UP, TIMED = 2, 5


def faster_precision(begin: Callable[[Precision], Training]) -> Precision:
    """Precision whose training steps are faster on this machine; ``float32`` if they take the same time.

    On a GPU it is bfloat16, without a measurement: tensor cores multiply it at a multiple of the rate of float32.
    On a CPU steps of both alternate, so that other load on the machine slows both.

    Args:
        begin: function that builds the training at a precision; it is thrown away after a few steps.
    """
    full = begin("float32")
    if full.device.type != "cpu":
        return "bf16"
    seconds = time_steps(full, begin("bf16"))
    return "bf16" if seconds[1] < seconds[0] else "float32"


def is_emulated(precision: Precision, device: torch.device) -> bool:
    """Whether matrix products of a precision are emulated, many times slower: bfloat16 on x86 without AVX-512."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    without = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")
    return precision == "bf16" and device.type == "cpu" and x86 and without


def time_steps(*trainings: Training) -> list[float]:
    """Seconds per step of each training, the fastest of some steps, which alternate and advance the trainings."""
    seconds: list[list[float]] = [[] for _ in trainings]
    for _ in range(WARM_UP + TIMED):
        for training, of_training in zip(trainings, seconds, strict=True):
            step, began = training.step, time.perf_counter()
            training.run(lambda epoch: [], (), stop=lambda t=training, s=step: t.step > s)  # type: ignore[misc]
            of_training.append(time.perf_counter() - began)
    return [min(of_training[WARM_UP:]) for of_training in seconds]
