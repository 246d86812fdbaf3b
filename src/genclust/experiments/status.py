"""What runs now, from the locks and the checkpoints."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genclust.experiments import locks
from genclust.experiments.store import own
from genclust.paths import cache_folder


def glance(path: Path) -> dict[str, Any]:
    """A checkpoint, of which only what is looked at is read; empty where there is none that can be read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whoever runs it is told what is wrong with it
        return {}


@dataclass(frozen=True)
class Running:
    """A unit that a process has taken, or that rests at a checkpoint.

    Attributes:
        unit: ``address/seed``.
        state: ``running``; ``gone``, if its process was killed; or ``resting``, if it stopped in good order.
        step: of its last checkpoint; 0 where there is none.
        steps: in all; 0 where that is not known.
        seconds: of wall time per step, None before the first checkpoint.
        done: when training will be done at this pace, in seconds since 1970, if it is running and that is known.
        holder: who has it, None for what is resting.
    """

    unit: str
    state: str
    step: int
    steps: int
    seconds: float | None
    done: float | None
    holder: locks.Holder | None


def status() -> list[Running]:
    """What runs, then what was killed, then what rests at a checkpoint and has no record in the user's own store."""
    found = []
    begun = [*(cache_folder() / "runs").glob("*/seed-*.ckpt"), *(cache_folder() / "runs").glob("*/seed-*.lock")]
    for path in sorted({path.with_suffix(".ckpt") for path in begun}):
        lock, address = path.with_suffix(locks.SUFFIX), path.parent.name
        holder = locks.holder(lock)
        if holder is None and (own().folder / address / f"{path.stem}.json").exists():
            continue
        state = "resting" if holder is None else "running" if locks.is_alive(lock, holder) else "gone"
        checkpoint = glance(path)
        step, steps = checkpoint.get("step", 0), holder.steps if holder else 0
        seconds = checkpoint["seconds"] * len(checkpoint["legs"][-1]["beside"]) / step if step else None
        known = state == "running" and steps and seconds is not None
        done = max(time.time(), path.stat().st_mtime + (steps - step) * seconds) if known else None
        found.append(Running(f"{address}/{path.stem.removeprefix('seed-')}", state, step, steps, seconds, done, holder))
    return sorted(found, key=lambda one: ("running", "gone", "resting").index(one.state))
