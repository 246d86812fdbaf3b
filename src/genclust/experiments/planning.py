"""What is left to run, and at what cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from genclust.data import catalogue
from genclust.data.provenance import Source
from genclust.experiments import declaration
from genclust.experiments.declaration import PROFILES, Profile, Row, RunConfig
from genclust.experiments.evaluations import revisions
from genclust.experiments.execution import checkpoint_path, task_for, total_steps
from genclust.experiments.status import glance
from genclust.experiments.store import Record, find, own, published

#: What PyTorch's records call a processor; anything else is the name of a GPU.
PROCESSORS = ("x86_64", "AMD64", "arm64", "aarch64")
#: Beside the checkpoints of a configuration: the memory, in MB, that a process took which ran it.
PEAK = "peak-memory"


@dataclass(frozen=True)
class Unit:
    """One seed of one configuration, for all rows that ask for it.

    Attributes:
        config: what is run; several rows and profiles may share it.
        seed: of the run.
        evaluations: what any of these rows measures.
        rows: these rows, as ``experiment/row, profile``.
        steps: of training that are left.
        core_seconds: what a step has taken on one core, in the median, or None where nothing tells.
        basis: what tells it: ``records`` of other runs of this network on these data, its ``checkpoint``, or nothing.
        memory_mb: what a process of the workflow needed that ran this configuration here before, or None.
        has_data: whether the files of its data set are in the data folder.
    """

    config: RunConfig
    seed: int
    evaluations: tuple[str, ...]
    rows: tuple[str, ...]
    steps: int
    core_seconds: float | None
    basis: str
    memory_mb: int | None
    has_data: bool

    @property
    def core_minutes(self) -> float | None:
        """Of training; evaluations come on top.  Machines and networks of one shape differ by a factor of about 2."""
        return None if self.core_seconds is None else self.steps * self.core_seconds / 60


def plan(experiments: Sequence[str] = (), profile: Profile | None = None) -> list[Unit]:
    """The units that declared rows lack in the published and in the user's own store.

    The most faithful profile comes first, in it the rows that wait to be set beside a number of a paper, and
    otherwise everything as it is declared.

    Args:
        experiments: only what these ask for; all by default.
        profile: only what is asked for at this profile.

    Raises:
        SettingError: for the name of an experiment or a profile that there is not.
        StoreError: if a record is damaged.
    """
    stores = [published(), own()]
    chosen = {declaration.load(name).name for name in experiments} or set(declaration.names())
    rows = [row for name in declaration.names() for row in declaration.load(name).runnable]
    asked = [(row, at, task_for(row, at)) for at in PROFILES for row in sorted(rows, key=_alone) if at in row.profiles]
    lacking: dict[tuple[str, int], RunConfig] = {}
    for row, at, task in asked:
        if row.experiment in chosen and profile in (None, at):
            found = find(task.config, task.seeds, stores, revisions(task.evaluations))
            lacking |= {(task.config.address, seed): task.config for seed in task.seeds if seed not in found}
    wanted: dict[tuple[str, int], tuple[list[str], set[str]]] = {key: ([], set()) for key in lacking}
    for row, at, task in asked:
        for seed in task.seeds:
            if unit := wanted.get((task.config.address, seed)):
                unit[0].append(f"{row.experiment}/{row.name}, {at}")
                unit[1].update(task.evaluations)
    known = paces(record for store in stores for record in store.every())
    sources = {name: catalogue.source_of(name) for name in {config.data["name"] for config in lacking.values()}}
    present = {name for name, source in sources.items() if source.present(catalogue.place(name))}
    units = []
    for (address, seed), config in lacking.items():
        served, evaluations = wanted[address, seed]
        name, peak = config.data["name"], checkpoint_path(config, seed).with_name(PEAK)
        cost = _cost(config, seed, training_rows(config, sources[name]), known)
        memory = int(peak.read_text()) if peak.exists() else None
        units.append(Unit(config, seed, tuple(sorted(evaluations)), tuple(served), *cost, memory, name in present))
    return units


def by_configuration(units: Sequence[Unit]) -> list[list[Unit]]:
    """Units whose configuration, rows and basis are the same together, in the order of the first of each."""
    together: dict[tuple[str, tuple[str, ...], str], list[Unit]] = {}
    for unit in units:
        together.setdefault((unit.config.address, unit.rows, unit.basis), []).append(unit)
    return list(together.values())


def as_plain(units: Sequence[Unit]) -> dict[str, Any]:
    """What `plan` has found for JSON: configurations by address, the units in their order, and this interpreter."""
    kept = ("seed", "evaluations", "rows", "steps", "core_minutes", "basis", "memory_mb", "has_data")
    return {
        "python": sys.executable,
        "configurations": {unit.config.address: asdict(unit.config) for unit in units},
        "units": [{"address": unit.config.address} | {name: getattr(unit, name) for name in kept} for unit in units],
    }


def _alone(row: Row) -> bool:
    """Whether no number of a paper waits for the row."""
    return all(reported.mean is None for reported in row.reported)


def training_rows(config: RunConfig, source: Source) -> int:
    """How many examples a run trains on, from what is known of its data set without reading it."""
    splits, settings = source.splits, config.data
    n = splits["train"] + splits.get(settings.get("also_train_on", ""), 0)
    for new in ("test", "validation"):
        if new == "validation" or new not in splits:
            n -= round(settings[f"{new}_fraction"] * n)
    return n


def _shape(config: RunConfig) -> str:
    """What decides how long a step takes: data, batches, and of the model all but its fractional numbers.

    These weigh terms of an objective; the sizes of networks and the numbers of samples are whole numbers.
    """
    model = {name: value for name, value in config.model.items() if not isinstance(value, float)}
    training = {name: config.training.get(name) for name in ("batch_size", "precision")}
    return json.dumps([config.data["name"], model, training], sort_keys=True)


def seconds_per_step(record: Record) -> float:
    """Of one seed, by the clock; of what is not trained, per fit."""
    return record.seconds / (total_steps(RunConfig(**record.config), record.data["sizes"]["train"]) or 1)


def paces(records: Iterable[Record]) -> dict[str, float]:
    """Core-seconds per step in the median of the records of each shape; of what is not trained, per fit."""
    measured: dict[str, list[float]] = {}
    for record in records:
        config = RunConfig(**record.config)
        legs = record.provenance.get("training") or [record.provenance]
        if record.failed_at_step is None and all(leg["device"] in PROCESSORS for leg in legs):
            threads = max(leg["threads"] for leg in legs)
            measured.setdefault(_shape(config), []).append(threads * seconds_per_step(record))
    return {shape: median(values) for shape, values in measured.items()}


def _cost(config: RunConfig, seed: int, n: int, known: Mapping[str, float]) -> tuple[int, float | None, str]:
    """Steps that are left of a run on ``n`` examples, core-seconds per step, and what tells them."""
    state = glance(checkpoint_path(config, seed))
    made = state.get("step", 0)
    steps = (total_steps(config, n) or 1) - made
    if (shape := _shape(config)) in known:
        return steps, known[shape], "records"
    if made:
        return steps, state["legs"][-1]["threads"] * state["seconds"] / made, "checkpoint"
    return steps, None, ""
