"""Plan of the runs that are missing, with their estimated cost."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch
from tqdm import tqdm

from genclust.data import catalogue
from genclust.data.source import Source
from genclust.experiments import declaration
from genclust.experiments.configuration import RunConfig, training_settings
from genclust.experiments.declaration import PROFILES, Profile, Row
from genclust.experiments.execution import prepare, task_for
from genclust.experiments.status import glance
from genclust.experiments.store import Record, find, in_repository, own
from genclust.experiments.training_run import build, checkpoint_path, fitted_rows, labelled_rows, steps_of, total_steps
from genclust.paths import cache_folder
from genclust.training.loop import Training
from genclust.training.precision import Precision, time_steps

#: Devices in records that are processors; any other is the name of a GPU.
PROCESSORS = ("x86_64", "AMD64", "arm64", "aarch64")
#: File in the cache folder with the core-seconds per step of shapes without records, as :func:`measure` found them.
PACES = "paces.json"
#: File beside the checkpoints of a configuration with the memory, in MB, of a process that ran it.
PEAK = "peak-memory"


@dataclass(frozen=True)
class Unit:
    """Missing run: one seed of one configuration, for all rows that need it.

    Attributes:
        config: configuration of the run; several rows and profiles may share it.
        seed: seed of the run.
        evaluations: evaluations that any of these rows declares.
        rows: these rows, as ``experiment/row, profile``.
        steps: number of training steps that are left.
        core_seconds: core-seconds per step, in the median, or None if unknown.
        basis: source of this estimate: ``records`` of other runs of this network on these data, its ``checkpoint``,
            some steps that were ``measured`` here, or empty.
        memory_mb: memory, in MB, of a process of the workflow that ran this configuration here before, or None.
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
        """Core-minutes of training that are left, or None if unknown; evaluations come on top.

        Machines and networks of one shape differ by a factor of about 2.
        """
        return None if self.core_seconds is None else self.steps * self.core_seconds / 60


def plan(experiments: Sequence[str] = (), profile: Profile | None = None) -> list[Unit]:
    """Missing runs: seeds of declared rows without a record in the repository's stores and in the user's own.

    The most faithful profile comes first, in it the rows that wait to be set beside a number of a paper, and
    otherwise everything as it is declared.

    Args:
        experiments: names of the experiments whose runs are listed; all by default.
        profile: profile whose runs are listed; all by default.

    Raises:
        SettingError: if there is no experiment or profile of that name.
        StoreError: if a record is damaged.
    """
    stores = [*in_repository(), own()]
    chosen = {declaration.load(name).name for name in experiments} or set(declaration.names())
    runs = sorted(declaration.runs(), key=lambda run: (PROFILES.index(run[1]), _without_reported_mean(run[0])))
    tasks = [(row, at, task_for(row, at)) for row, at in runs]
    lacking: dict[tuple[str, int], RunConfig] = {}
    for row, at, task in tasks:
        if row.experiment in chosen and profile in (None, at):
            recorded = find(task.config, task.seeds, stores, task.wanted)
            lacking |= {(task.config.address, seed): task.config for seed in task.seeds if seed not in recorded}
    wanted: dict[tuple[str, int], tuple[list[str], set[str]]] = {key: ([], set()) for key in lacking}
    for row, at, task in tasks:
        for seed in task.seeds:
            if unit := wanted.get((task.config.address, seed)):
                unit[0].append(f"{row.place}, {at}")
                unit[1].update(task.evaluations)
    known = _measured() | {
        shape: (seconds, "records")
        for shape, seconds in paces(record for store in stores for record in store.every()).items()
    }
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
    """Groups of units with the same configuration, rows and basis, in the order of the first of each."""
    together: dict[tuple[str, tuple[str, ...], str], list[Unit]] = {}
    for unit in units:
        together.setdefault((unit.config.address, unit.rows, unit.basis), []).append(unit)
    return list(together.values())


def as_plain(units: Sequence[Unit]) -> dict[str, Any]:
    """Units as plain values for JSON: configurations by address, the units in order, and the path of Python."""
    fields = ("seed", "evaluations", "rows", "steps", "core_minutes", "basis", "memory_mb", "has_data")
    return {
        "python": sys.executable,
        "configurations": {unit.config.address: asdict(unit.config) for unit in units},
        "units": [{"address": unit.config.address} | {name: getattr(unit, name) for name in fields} for unit in units],
    }


def _without_reported_mean(row: Row) -> bool:
    """Whether the paper reports no mean for the row to be compared with."""
    return all(reported.mean is None for reported in row.reported)


def training_rows(config: RunConfig, source: Source) -> int:
    """Number of examples that a run is fitted to, from the declared sizes of the splits, without reading the data."""
    splits, settings = source.splits, config.data
    n = splits["train"] + splits.get(settings.get("also_train_on", ""), 0)
    if len(config.fitted_splits) > 1:  # what is held out counts too; a new validation split replaces an old one
        return n + splits.get("test", 0) + (0 if settings["validation_fraction"] else splits.get("validation", 0))
    for new in ("test", "validation"):
        if new == "validation" or new not in splits:
            n -= round(settings[f"{new}_fraction"] * n)
    return n


def _shape(config: RunConfig) -> str:
    """Key of runs whose steps take equally long: data set, batch size, precision and settings of the model.

    Settings that are floats are left out: they weigh terms of an objective and do not change the size of a step.  The
    fit of a baseline, which has no steps, takes longer on more splits.
    """
    model = {name: value for name, value in config.model.items() if not isinstance(value, float)}
    training = {name: config.training.get(name) for name in ("batch_size", "precision")}
    shape = [config.data["name"], model, training] + ([] if config.training else [config.fitted_splits])
    return json.dumps(shape, sort_keys=True)


def seconds_per_step(record: Record) -> float:
    """Seconds per training step of one seed; per fit for a baseline without steps."""
    return record.seconds / (steps_of(record) or 1)


def threads_of(record: Record) -> int | None:
    """Number of threads that a run was trained with, the most of all its legs; None on a GPU."""
    legs = record.provenance.get("training") or [record.provenance]
    return max(leg["threads"] for leg in legs) if all(leg["device"] in PROCESSORS for leg in legs) else None


def paces(records: Iterable[Record]) -> dict[str, float]:
    """Core-seconds per step (per fit for a baseline), in the median over the records of each shape."""
    measured: dict[str, list[float]] = {}
    for record in records:
        threads = threads_of(record)
        if record.failed_at_step is None and threads is not None:
            measured.setdefault(_shape(record.run_config), []).append(threads * seconds_per_step(record))
    return {shape: median(values) for shape, values in measured.items()}


def pace(config: RunConfig, known: Mapping[str, float]) -> float | None:
    """Core-seconds per step of a configuration by the :func:`paces` of records; None if they hold no such network."""
    return known.get(_shape(config))


def measure(units: Iterable[Unit]) -> None:
    """Time a few steps of each network without records whose data are there, and save the core-seconds per step.

    On one thread, as in the workflow, and in the faster precision where the machine may choose.  It takes seconds to a
    minute per network; the results lie in the cache folder.
    """
    untold = {_shape(unit.config): unit for unit in units if unit.has_data and not unit.basis and unit.config.training}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for shape, unit in tqdm(untold.items(), unit="network", disable=not untold):
            trainings = trainings_of(unit.config, unit.seed)
            known = _measured() | {shape: (min(time_steps(*trainings)), "measured")}
            path = cache_folder() / PACES
            path.parent.mkdir(parents=True, exist_ok=True)
            written = path.with_name(f"{PACES}.{os.getpid()}")
            written.write_text(json.dumps({name: seconds for name, (seconds, _) in known.items()}, indent=1))
            written.replace(path)
    finally:
        torch.set_num_threads(threads)


def trainings_of(config: RunConfig, seed: int) -> list[Training]:
    """A seed's training before its first step, in the declared precision, or in each if ``faster`` is declared."""
    data, _ = prepare(config)
    settings = training_settings(config.model["name"], config.training)
    x, labelled = torch.from_numpy(fitted_rows(config, data)), labelled_rows(config, data, [seed])
    precisions: tuple[Precision, ...] = ("float32", "bf16")
    return [
        Training(build(config, 1, x.shape[1]), [seed], x, replace(settings, precision=precision), labelled=labelled)
        for precision in (precisions if settings.precision == "faster" else (settings.precision,))
    ]


def _measured() -> dict[str, tuple[float, str]]:
    """Core-seconds per step that `measure` saved, by shape; empty if the file is missing or damaged."""
    try:
        paces = json.loads((cache_folder() / PACES).read_text())
        return {shape: (float(seconds), "measured") for shape, seconds in paces.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _cost(
    config: RunConfig, seed: int, n: int, known: Mapping[str, tuple[float, str]]
) -> tuple[int, float | None, str]:
    """Remaining steps of a run on ``n`` examples, core-seconds per step, and the basis of that estimate."""
    state = glance(checkpoint_path(config, seed))
    made = state.get("step", 0)
    steps = (total_steps(config, n) or 1) - made
    told = known.get(_shape(config))
    if told and told[1] == "records":
        return steps, *told
    if made:
        return steps, state["legs"][-1]["threads"] * state["seconds"] / made, "checkpoint"
    return (steps, *told) if told else (steps, None, "")
