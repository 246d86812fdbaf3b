"""The clock by which the cost of a training is told."""

from __future__ import annotations

import time

import torch


def clock(device: str) -> float:
    """Seconds by which work on a device is timed, from some moment on.

    On a CPU they are those of this process's cores, per thread, which other programs on the machine do not stretch; on
    an accelerator those of the wall clock.

    Args:
        device: kind of the device, ``cpu`` or ``cuda``.
    """
    return time.process_time() / torch.get_num_threads() if device == "cpu" else time.perf_counter()
