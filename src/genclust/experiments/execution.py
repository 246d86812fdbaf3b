"""Running experiments: data set -> model -> training -> evaluation -> record."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genclust import data as datasets
from genclust.baselines import BASELINES, packages, refuse_missing
from genclust.data import DataError, DataSet
from genclust.estimators import saving
from genclust.evaluation import registry
from genclust.evaluation.results import Results
from genclust.evaluation.trained import KEPT
from genclust.experiments import baselines, locks, papers, workers
from genclust.experiments.as_estimator import from_trained, kind_of
from genclust.experiments.configuration import RunConfig
from genclust.experiments.declaration import Profile, Row
from genclust.experiments.provenance import is_committed, provenance, source_revision
from genclust.experiments.store import Record, Store, find
from genclust.experiments.training_run import (
    RECORDED,
    TrainingRun,
    build,
    checkpoint_path,
    fitted_rows,
    total_steps,
)
from genclust.models import MODELS
from genclust.paths import cache_folder, probe_folder
from genclust.settings import SettingError
from genclust.training import checkpoints
from genclust.training.batch_norm import recalibrate_batch_norm
from genclust.training.device import checked_device

#: Networks below this many parameters gain from training side by side in one process on a CPU; larger ones, a
#: process per core each, gain as much without waiting for one another (see the page on speed).
SMALL_NETWORK = 200_000


@dataclass(frozen=True)
class Task:
    """Request for runs: one configuration, several seeds, and the evaluations of each."""

    config: RunConfig
    seeds: Sequence[int]
    evaluations: tuple[str, ...]
    keep_weights: bool = False

    def wanted(self, seed: int) -> dict[str, int]:
        """Revisions of the evaluations that a record of this seed must have: pictures only of the first seed."""
        first = seed == self.seeds[0]
        return registry.revisions(self.evaluations if first else registry.without_pictures(self.evaluations))


def prepare(config: RunConfig) -> tuple[DataSet, str]:
    """Data set of a run with all its splits, and the digest of the data set.

    Raises:
        DataError: if the data set is missing, damaged or does not suit the model.
    """
    settings = config.data
    data = datasets.load(settings["name"])
    digest = data.digest()
    if settings.get("digest", digest) != digest:
        raise DataError(f"The data set {settings['name']} has changed since the run was configured; start it anew.")
    if "also_train_on" in settings:
        data = data.join(settings["also_train_on"])
    if settings["test_fraction"] and "test" not in data.splits:
        data = data.hold_out("test", settings["test_fraction"], settings["split_seed"])
    if settings["validation_fraction"]:
        data = data.hold_out("validation", settings["validation_fraction"], settings["split_seed"])
    for needed in ("validation", "test"):
        if needed not in data.splits:
            raise DataError(
                f"The data set {settings['name']} has no {needed} split; "
                f"set data.{needed}_fraction, to 0.2 for example."
            )
    if "n_labels" in settings:
        rows = data.labelled(settings["n_labels"], 0)
        labels = data.splits["train"].rows(rows).y
        if labels is not None and (classes := 1 + int(labels.max())) > config.model["n_clusters"]:
            raise DataError(
                f"{settings['name']} has {classes} classes, more than the {config.model['n_clusters']} of the model; "
                f"set model.n_clusters to {classes} or more."
            )
    kind = config.model["name"]
    bounded = kind in MODELS and MODELS[kind][0].unit_interval
    if config.model.get("likelihood") == "bernoulli" or bounded:
        what, cure = "The Bernoulli likelihood", "set model.likelihood to gaussian"
        if bounded:
            what, cure = f"The model {kind}", "scale it"
        for name, split in data.splits.items():
            if split.x.dtype != np.uint8 and (split.x.min() < 0 or split.x.max() > 1):
                raise DataError(
                    f"{what} needs values in [0, 1], but {settings['name']} ({name}) spans "
                    f"{split.x.min():g} to {split.x.max():g}; {cure}."
                )
    return data, digest


def check(task: Task) -> DataSet:
    """Data set of a task, after all that :func:`run` would refuse of task and data before it trains.

    Raises:
        DataError: if the data set is missing, damaged or does not suit the model.
        SettingError: if settings do not fit each other or the data.
    """
    registry.refuse_unsuited(task.evaluations, task.config)
    refuse_missing(task.config.model["name"])
    data, _ = prepare(task.config)
    if task.config.model["name"] not in BASELINES:
        build(task.config, 1, data.splits["train"].x.shape[1])
    return data


def run(
    task: Task,
    store: Store,
    *,
    device: str = "cpu",
    minutes: float | None = None,
    progress: bool = True,
    also_look_in: Sequence[Store] = (),
    anew: bool = False,
) -> list[Record]:
    """Records of all seeds of the task, in their order; seeds without a record are trained and evaluated first.

    Where the task keeps weights, so are seeds whose record has none beside it.  Run anew, so are all seeds, except
    those whose record in the store is of the present commit and libraries; what the present code has begun goes on.

    Args:
        task: configuration, seeds and evaluations.
        store: store that new records are written to.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        minutes: time limit, after which training stops with checkpoints; the same call then goes on.
        progress: whether to show a progress bar.
        also_look_in: further stores whose records need not be made again.
        anew: whether to make records again that other code or other libraries made.

    Raises:
        DataError: before anything is computed, if the data set is unfit, or is another than that of records found.
        SettingError: likewise, if an evaluation cannot be made of the model, a library that it needs is not installed,
            or the store takes no record.
        OSError: likewise, if nothing can be written where records or checkpoints go.
        Held: before anything is computed, or before the seeds that are begun later, if another process runs a seed.
        Unfinished: if the budget or a signal ended training or evaluation; nothing is lost.
    """
    registry.refuse_unsuited(task.evaluations, task.config)
    records = find(task.config, task.seeds, [*also_look_in, store], task.wanted)
    if anew:
        records = {seed: record for seed, record in records.items() if _is_of_present_code(task, record, device)}
    if task.keep_weights:
        kind_of(task.config)
        records = {seed: record for seed, record in records.items() if weights_of(record).is_dir()}
    missing = [seed for seed in task.seeds if seed not in records]
    if missing:
        refuse_missing(task.config.model["name"])
        task = _with_former_evaluations(task, missing, store)
        device = checked_device(device)
        if task.config.model["name"] in BASELINES:
            device = "cpu"  # whatever was asked for: the libraries compute there, and the record says so
        data, digest = prepare(task.config)
        _refuse_other_data(records.values(), digest)
        _refuse_unwritable(store)
        if anew and task.config.model["name"] not in BASELINES:
            _discard_former_trainings([checkpoint_path(task.config, seed) for seed in missing])
        deadline = None if minutes is None else time.monotonic() + 60 * minutes
        about = {
            "name": task.config.data["name"],
            "digest": digest,
            "variant": data.variant,
            "sizes": {name: len(split) for name, split in data.splits.items()},
            "image_shape": None if data.image_shape is None else list(data.image_shape),
        }
        for seeds, results, trained in _results(task, missing, data, device, deadline, progress):
            for seed, result, replica in zip(seeds, results, trained, strict=True):
                records[seed] = store.write(_record(task, seed, result, replica, about, device), result.arrays)
                if task.keep_weights:
                    saving.save(replica["estimator"], weights_of(records[seed]), overwrite=True)
                if (checkpoint := checkpoint_path(task.config, seed)).exists():
                    checkpoint.with_suffix(RECORDED).touch()
                for kept in checkpoint.parent.glob(f"{checkpoint.stem}.*{KEPT}"):
                    kept.unlink()
    return [records[seed] for seed in task.seeds]


def _is_of_present_code(task: Task, record: Record, device: str) -> bool:
    """Whether a record was made by the present commit, without changes, and with the present versions of libraries."""
    made, present = record.provenance, provenance(device, packages(task.config.model["name"]))
    return is_committed(present["source"]) and all(made.get(part) == present[part] for part in ("source", "versions"))


def _discard_former_trainings(paths: Sequence[Path]) -> None:
    """Remove the checkpoints of trainings that are recorded already, or that another source revision began."""
    with locks.hold(paths):
        checkpoints.recover(*paths)
        for path in filter(Path.exists, paths):
            sources = {leg["source"] for leg in checkpoints.load(path).get("legs", [])}
            if path.with_suffix(RECORDED).exists() or sources != {source_revision()}:
                path.unlink()
                path.with_suffix(RECORDED).unlink(missing_ok=True)


def weights_of(record: Record) -> Path:
    """Folder beside a record for the model that it describes, saved as an estimator."""
    assert record.path is not None
    return record.path.with_suffix(".model")


def _with_former_evaluations(task: Task, seeds: Sequence[int], store: Store) -> Task:
    """The task with the evaluations that records of these seeds in the store have, so that none loses any.

    Those that the library does not know any more cannot be made anew.
    """
    found = find(task.config, seeds, [store]).values()
    former = {name for record in found for name in record.evaluations if registry.is_known(name)}
    return replace(task, evaluations=tuple(sorted({*task.evaluations, *former})))


def _refuse_other_data(records: Iterable[Record], digest: str) -> None:
    """Raise DataError if a record was made of data with another digest."""
    for record in records:
        if record.data["digest"] != digest:
            raise DataError(
                f"The record {record.path} is of other data named {record.data['name']} than is at hand; "
                f"seed {record.seed} and the missing ones would not belong to one row."
            )


def _refuse_unwritable(store: Store) -> None:
    """Raise an error if the store takes no record of the present code, or if it or the cache cannot be written to."""
    if store.is_published and not is_committed(source_revision()):
        raise SettingError("The published store takes records of committed code only; commit what src/ holds first.")
    probe_folder(store.folder)
    probe_folder(cache_folder())


def _record(
    task: Task, seed: int, result: Results, replica: Mapping[str, Any], about: dict[str, Any], device: str
) -> Record:
    """Record of a seed from its results, the state of its training, and the description of its data.

    Metrics that are not finite are left out, as JSON has no number for them: the likelihood of a diverged seed, or the
    standard error of a single image.
    """
    return Record(
        config=asdict(task.config),
        seed=seed,
        metrics={name: value for name, value in result.metrics.items() if math.isfinite(value)},
        curve=replica["curve"],
        evaluations=registry.revisions(task.evaluations),
        failed_at_step=replica["failed_at_step"],
        data=about,
        provenance=provenance(device, packages(task.config.model["name"])) | {"training": replica["legs"]},
        seconds=round(replica["seconds"], 1),
    )


#: Seeds of a group, their results, and the state of the training of each.
Finished = tuple[list[int], list[Results], list[dict[str, Any]]]


def _results(
    task: Task, seeds: Sequence[int], data: DataSet, device: str, deadline: float | None, progress: bool
) -> Iterator[Finished]:
    """Train and evaluate seeds; yield each group as soon as it is finished, so that it is recorded at once."""
    if task.config.model["name"] in BASELINES:
        for seed, result, seconds in baselines.fit_seeds(task.config, seeds, data, deadline, progress):
            yield [seed], [result], [{"curve": [], "failed_at_step": None, "seconds": seconds, "legs": []}]
        return
    with locks.hold([checkpoint_path(task.config, seed) for seed in seeds]):  # since checkpoints are put in order
        groups = _groups(task.config, seeds, data, device)
    if device == "cpu" and workers.count(len(groups)) > 1:
        jobs = [(task, group, data, device, deadline) for group in groups]
        yield from workers.in_pool(_train_and_evaluate, jobs, data.name, progress)
        return
    for group in groups:
        with workers.in_process(progress) as watch:
            yield _train_and_evaluate(task, group, data, device, deadline, watch)


def _train_and_evaluate(
    task: Task, seeds: list[int], data: DataSet, device: str, deadline: float | None, watch: workers.Watch
) -> Finished:
    papers.register_models()  # this may be a process of its own
    paths = [checkpoint_path(task.config, seed) for seed in seeds]
    with locks.hold(paths, total_steps(task.config, len(fitted_rows(task.config, data)))):
        run = TrainingRun(task.config, seeds, data, watch, device, deadline)
        model = run.train()
        states = run.states()
        with watch.abandon(
            f"Interrupted while seeds {', '.join(map(str, seeds))} were evaluated; their training is kept, as are "
            "likelihoods of images that were done, and the same command goes on from there."
        ):
            if model.recalibrates_batch_norm:
                train_x = torch.from_numpy(fitted_rows(task.config, data)).to(device)
                recalibrate_batch_norm(model, train_x, seeds, task.config.training["batch_size"])
            # Checkpoints of before do not say which was used, but then only the declared one could be.
            precision = states[0]["legs"][-1].get("precision", task.config.training["precision"])
            where = torch.device(device)
            results = registry.evaluate(model, data, seeds, run.snapshots, task.evaluations, where, precision, paths[0])
    fields = ("curve", "failed_at_step", "seconds", "legs")
    trained = [{name: state[name] for name in fields} for state in states]
    if task.keep_weights:
        for r, (seed, replica) in enumerate(zip(seeds, trained, strict=True)):
            replica["estimator"] = from_trained(task.config, model, r, seed, data, replica["curve"])
    return seeds, results, trained


def _groups(config: RunConfig, seeds: Sequence[int], data: DataSet, device: str) -> list[list[int]]:
    """Groups of seeds that train side by side: those that did so before, or that have not begun.

    A group has one seed where training side by side does not pay (see `SMALL_NETWORK`).
    """
    x_dim = data.splits["train"].x.shape[1]
    small = sum(p.numel() for p in build(config, 1, x_dim).parameters()) < SMALL_NETWORK
    paths = {seed: checkpoint_path(config, seed) for seed in seeds}
    checkpoints.recover(*paths.values())
    begun: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for seed, path in paths.items():
        state: dict[str, Any] = checkpoints.load(path) if path.exists() else {"step": 0}
        beside = tuple(state["legs"][-1]["beside"]) if state.get("legs") else ()
        if not isinstance(step := state.get("step"), int):
            raise checkpoints.DamagedCheckpoint(path, "it lacks step")
        begun.setdefault((step, beside), []).append(seed)
    together = device != "cpu" or small
    most_advanced_first = [begun[key] for key in sorted(begun, reverse=True)]
    return most_advanced_first if together else [[seed] for group in most_advanced_first for seed in group]


def task_for(
    row: Row, profile: Profile, seeds: Sequence[int] | None = None, overrides: Mapping[str, Any] | None = None
) -> Task:
    """Task of a declared row at a profile, with other seeds or changed settings if given.

    A user's own file is addressed by its full path and its contents: changed, it is another run.  Where it has no
    test split, a fifth of its rows is set aside.  A model of images takes their size from data that is not the
    declared one.  Of the evaluations that an experiment declares for all its rows, a row has those that suit its model.

    Raises:
        SettingError: for settings that are unknown or out of range.
        DataError: if data that is not the declared one cannot be read, or has no images and the model needs some.
    """
    changed = overrides or {}
    config = row.config(profile, changed)
    name = config.data["name"]
    is_own_file = name.endswith(".npz")
    sides = [s for s in ("height", "width", "colours") if s in config.model and s not in changed.get("model", {})]
    if is_own_file or (sides and changed.get("data", {}).get("name")):
        given = datasets.load(name)
        if is_own_file:
            changes: dict[str, Any] = {"name": str(Path(name).expanduser().resolve()), "digest": given.digest()}
            if "test" not in given.splits and not config.data["test_fraction"]:
                changes["test_fraction"] = 0.2
            config = replace(config, data=config.data | changes)
        if sides and not given.image_shape:
            raise DataError(f"The model {config.model['name']} needs images, but {name} holds rows of numbers.")
        if sides and given.image_shape:
            sizes = dict(zip(("height", "width", "colours"), given.image_shape, strict=True))
            config = replace(config, model=config.model | {side: sizes[side] for side in sides})
    evaluations = tuple(name for name in row.evaluations(profile) if registry.suits(name, config))
    return Task(config, row.seeds(profile) if seeds is None else list(seeds), evaluations)
