"""Status of runs, from their locks and checkpoints."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genclust.evaluation.likelihood import share_kept
from genclust.evaluation.trained import KEPT
from genclust.experiments import declaration, locks
from genclust.experiments.store import own
from genclust.experiments.training_run import RECORDED
from genclust.paths import cache_folder


def glance(path: Path) -> dict[str, Any]:
    """Content of a checkpoint, memory-mapped so that only the parts in use are read.

    Empty if it cannot be read, or lacks what its progress and cost are told from: step, seconds and last leg.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        leg = state["legs"][-1]
        numbers = state["step"], state["seconds"], leg["threads"], len(leg["beside"])
        return state if all(isinstance(number, (int, float)) for number in numbers) else {}
    except Exception:  # whoever runs it is told what is wrong with it
        return {}


@dataclass(frozen=True)
class Running:
    """Run that a process has taken, or that has stopped at a checkpoint.

    Attributes:
        unit: address and seed of the run, as ``address/seed``.
        state: ``running``; ``gone``, if its process was killed; or ``resting``, if it stopped in good order.
        step: step of its last checkpoint; 0 if there is none.
        steps: total number of steps; 0 if unknown.
        seconds: seconds per step (:func:`genclust.timing.clock`), None before the first checkpoint.
        done: expected end of the training in seconds since 1970; None if unknown or not running.
        likelihood: share of the images whose likelihood has been estimated after the training, in per cent; None where
            none is kept.
        holder: process that holds its lock; None for a run that is resting.
        rows: the declared rows that it is of, as ``experiment/row, profile``; none for settings of the user's own.
    """

    unit: str
    state: str
    step: int
    steps: int
    seconds: float | None
    done: float | None
    likelihood: float | None
    holder: locks.Holder | None
    rows: tuple[str, ...]


def status() -> list[Running]:
    """Runs in progress, then killed ones, then stopped ones without a record.

    Raises:
        SettingError: if a declaration is malformed.
    """
    runs, declared = [], _declared_rows()
    begun = [*(cache_folder() / "runs").glob("*/seed-*.ckpt"), *(cache_folder() / "runs").glob("*/seed-*.lock")]
    for path in sorted({path.with_suffix(".ckpt") for path in begun}):
        lock, address = path.with_suffix(locks.SUFFIX), path.parent.name
        holder = locks.holder(lock)
        recorded = path.with_suffix(RECORDED).exists() or (own().folder / address / f"{path.stem}.json").exists()
        if holder is None and recorded:
            continue
        state = "resting" if holder is None else "running" if locks.is_alive(lock, holder) else "gone"
        checkpoint = glance(path)
        step, steps = checkpoint.get("step", 0), holder.steps if holder else 0
        seconds = checkpoint["seconds"] * len(checkpoint["legs"][-1]["beside"]) / step if step else None
        known = state == "running" and steps and seconds is not None
        done = max(time.time(), path.stat().st_mtime + (steps - step) * seconds) if known else None
        shares = (share_kept(file) for file in path.parent.glob(f"{path.stem}.likelihood-*{KEPT}"))
        likelihood = next((share for share in shares if share is not None), None)
        unit, rows = f"{address}/{path.stem.removeprefix('seed-')}", declared.get(address, ())
        runs.append(Running(unit, state, step, steps, seconds, done, likelihood, holder, rows))
    return sorted(runs, key=lambda one: ("running", "gone", "resting").index(one.state))


def _declared_rows() -> dict[str, tuple[str, ...]]:
    """Declared rows as ``experiment/row, profile``, by the address of their configuration."""
    rows: dict[str, tuple[str, ...]] = {}
    for row, profile in declaration.runs():
        address = row.config(profile).address
        rows[address] = (*rows.get(address, ()), f"{row.place}, {profile}")
    return rows
