"""Running experiments: data set -> model -> training -> evaluation -> record."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from genclust import data as datasets
from genclust.data import DataError, DataSet
from genclust.evaluation.clustering import hungarian_accuracy
from genclust.experiments import evaluations, locks, papers, workers
from genclust.experiments.declaration import Profile, Row, RunConfig, root, training_settings
from genclust.experiments.results import Results
from genclust.experiments.store import Record, Store, find
from genclust.experiments.workers import Unfinished
from genclust.models import BASELINES, MODELS, BernoulliModel, Model
from genclust.paths import cache_folder, probe_folder
from genclust.settings import SettingError, read
from genclust.streams import noise_on, stream_seed
from genclust.training import checkpoints
from genclust.training.loop import Training, as_float, in_chunks
from genclust.training.precision import Precision, faster_precision
from genclust.training.statistics import recollect

#: Networks below this many parameters gain from training side by side in one process on a CPU; larger ones, a
#: process a core each, gain as much without waiting for one another (see the page on speed).
SMALL_NETWORK = 200_000
SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclass(frozen=True)
class Task:
    """What is to be run: one configuration, several seeds."""

    config: RunConfig
    seeds: Sequence[int]
    evaluations: tuple[str, ...]


def prepare(config: RunConfig) -> tuple[DataSet, str]:
    """The data of a run with its splits, and the digest of the data set.

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


def run(
    task: Task,
    store: Store,
    *,
    device: str = "cpu",
    minutes: float | None = None,
    progress: bool = True,
    also_look_in: Sequence[Store] = (),
) -> list[Record]:
    """Make sure that every seed of the task has a record, training what is missing.

    Args:
        task: configuration, seeds and evaluations.
        store: where new records go.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        minutes: stop with checkpoints when the time is up; the same call goes on.
        progress: show a bar.
        also_look_in: stores whose records need not be made again.

    Raises:
        DataError: before anything is computed, if the data set is unfit, or is another than that of records found.
        SettingError: likewise, if an evaluation cannot be made of the model, or the store takes no record.
        OSError: likewise, if nothing can be written where records or checkpoints go.
        Held: before anything is computed, or before the seeds that are begun later, if another process runs a seed.
        Unfinished: if the budget or a signal ended training or evaluation; nothing is lost.
    """
    evaluations.refuse_unsuited(task.evaluations, task.config)
    found = find(task.config, task.seeds, [*also_look_in, store], evaluations.revisions(task.evaluations))
    missing = [seed for seed in task.seeds if seed not in found]
    if missing:
        # A record that is written again keeps what it had.
        kept = {e for record in find(task.config, missing, [store]).values() for e in record.evaluations}
        task = replace(task, evaluations=tuple(sorted({*task.evaluations, *kept})))
        device = checked_device(device)
        data, digest = prepare(task.config)
        for seed, record in found.items():
            if record.data["digest"] != digest:
                raise DataError(
                    f"The record {record.path} is of other data named {record.data['name']} than is at hand; "
                    f"seed {seed} and the missing ones would not belong to one row."
                )
        if store.is_published and not is_committed(source_revision()):
            raise SettingError(
                "The published store takes records of committed code only; commit what src/ holds first."
            )
        store.probe()
        probe_folder(cache_folder())
        deadline = None if minutes is None else time.monotonic() + 60 * minutes
        about = {
            "name": task.config.data["name"],
            "digest": digest,
            "variant": data.variant,
            "sizes": {name: len(split) for name, split in data.splits.items()},
        }
        for seeds, results, trained in _results(task, missing, data, device, deadline, progress):
            for seed, result, replica in zip(seeds, results, trained, strict=True):
                found[seed] = store.write(
                    Record(
                        config=asdict(task.config),
                        seed=seed,
                        metrics=result.metrics,
                        curve=replica["curve"],
                        evaluations=evaluations.revisions(task.evaluations),
                        failed_at_step=replica["failed_at_step"],
                        data=about,
                        provenance=provenance(device) | {"training": replica["legs"]},
                        seconds=round(replica["seconds"], 1),
                    ),
                    result.arrays,
                )
    return [found[seed] for seed in task.seeds]


#: Of a group of seeds: the seeds, what was measured, and how each was trained.
Finished = tuple[list[int], list[Results], list[dict[str, Any]]]


def _results(
    task: Task, seeds: Sequence[int], data: DataSet, device: str, deadline: float | None, progress: bool
) -> Iterator[Finished]:
    """Yield what is finished group by group, so that it is recorded at once."""
    if task.config.model["name"] in BASELINES:
        for seed in tqdm(seeds, disable=not progress, desc=f"{task.config.model['name']} on {data.name}", unit="seed"):
            if deadline is not None and time.monotonic() > deadline:
                raise Unfinished("The time is up between two seeds; the same command goes on.")
            began = time.perf_counter()
            result = _fit_baseline(task.config, data, seed)
            fitted: dict[str, Any] = {"curve": [], "failed_at_step": None, "seconds": time.perf_counter() - began}
            yield [seed], [result], [fitted | {"legs": []}]
        return
    with locks.hold([checkpoint_path(task.config, seed) for seed in seeds]):  # since checkpoints are put in order
        groups = _groups(task.config, seeds, data, device)
    if device == "cpu" and workers.count(len(groups)) > 1:
        jobs = [(task, group, device, deadline) for group in groups]
        yield from workers.each(_train_and_evaluate, jobs, data.name, progress)
        return
    for group in groups:
        with workers.here(progress) as watch:
            yield _train_and_evaluate(task, group, device, deadline, watch)


def _train_and_evaluate(
    task: Task, seeds: list[int], device: str, deadline: float | None, watch: workers.Watch
) -> Finished:
    papers.register_models()  # this may be a process of its own
    data, _ = prepare(task.config)
    paths = [checkpoint_path(task.config, seed) for seed in seeds]
    with locks.hold(paths, total_steps(task.config, len(data.splits["train"]))):
        model, states = train(task.config, seeds, data, watch, device, deadline)
        snapshots = [state.pop("snapshots") for state in states]
        with watch.abandon(
            f"Interrupted while seeds {', '.join(map(str, seeds))} were evaluated; "
            "their training is kept, and the same command evaluates them anew."
        ):
            if isinstance(model, BernoulliModel):
                train_x = torch.from_numpy(data.splits["train"].x).to(device)
                recollect(model, train_x, seeds, task.config.training["batch_size"])
            # Checkpoints of before do not say which was used, but then only the declared one could be.
            precision = states[0]["legs"][-1].get("precision", task.config.training["precision"])
            where = torch.device(device)
            results = evaluations.evaluate(model, data, seeds, snapshots, task.evaluations, where, precision)
    kept = ("curve", "failed_at_step", "seconds", "legs")
    return seeds, results, [{name: state[name] for name in kept} for state in states]


def _fit_baseline(config: RunConfig, data: DataSet, seed: int) -> Results:
    parts = {
        name: split.x.astype(np.float32) / 255 if split.x.dtype == np.uint8 else split.x
        for name, split in data.splits.items()
    }
    settings = {key: value for key, value in config.model.items() if key != "name"}
    baseline: Any = read(BASELINES[config.model["name"]], settings, "model")
    fitted = baseline.fit(parts["train"], seed)
    return evaluations.clustering(data, {name: fitted.cluster_posterior(x) for name, x in parts.items()})


def build(config: RunConfig, replicas: int, x_dim: int) -> Model:
    """The module that a configuration declares."""
    module, settings = MODELS[config.model["name"]]
    declared = {key: value for key, value in config.model.items() if key not in ("name", "revision")}
    return module(replicas, x_dim, read(settings, declared, "model"))


def total_steps(config: RunConfig, n: int) -> int:
    """How many steps a training on ``n`` examples has in all (see :class:`Training`); none for what is not trained."""
    if not config.training:
        return 0
    whole, rest = divmod(n, config.training["batch_size"])
    return config.training["epochs"] * (whole + (rest > 1))


def checkpoint_path(config: RunConfig, seed: int) -> Path:
    """Where the state of this run is kept between sessions."""
    return cache_folder() / "runs" / config.address / f"seed-{seed:04d}.ckpt"


def _groups(config: RunConfig, seeds: Sequence[int], data: DataSet, device: str) -> list[list[int]]:
    """Seeds that train side by side: those that did before, or have not begun; or one by one (see SMALL_NETWORK)."""
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


def train(
    config: RunConfig,
    seeds: Sequence[int],
    data: DataSet,
    watch: workers.Watch,
    device: str = "cpu",
    deadline: float | None = None,
) -> tuple[Model, list[dict[str, Any]]]:
    """Train the seeds together, going on from their checkpoints where there are any.

    Returns:
        The trained model and, for each seed, its state (see :meth:`Training.state_of`) with the
        snapshots of its embedding and the legs of its training (see :func:`leg`).

    Raises:
        DamagedCheckpoint: if a checkpoint cannot be read, or is of another model.
        Unfinished: if the deadline or a signal came first; a checkpoint was written.
    """
    declared = config.training
    settings = training_settings(config.model["name"], declared)
    train_x = torch.from_numpy(data.splits["train"].x)
    labelled = labelled_rows(config, data, seeds)
    paths = [checkpoint_path(config, seed) for seed in seeds]
    saved = [checkpoints.load(path) for path in paths] if all(path.exists() for path in paths) else []

    def begin(precision: Precision) -> Training:
        model = build(config, len(seeds), train_x.shape[1])
        return Training(model, seeds, train_x, replace(settings, precision=precision), device, labelled=labelled)

    if settings.precision != "faster":
        precision = settings.precision
    elif saved and saved[0].get("legs"):
        precision = saved[0]["legs"][-1]["precision"]
    else:
        precision = faster_precision(begin)
    training = begin(precision)
    model = training.model
    snapshots: list[dict[str, torch.Tensor]] = [{} for _ in seeds]
    legs: list[list[dict[str, Any]]] = [[] for _ in seeds]
    if saved:
        for path, state in zip(paths, saved, strict=True):
            lacking = {"snapshots", "legs"} - state.keys()
            if wrong := f"it lacks {', '.join(sorted(lacking))}" if lacking else training.misfit(state):
                raise checkpoints.DamagedCheckpoint(path, wrong)
        snapshots, legs = ([state.pop(name) for state in saved] for name in ("snapshots", "legs"))
        training.load(saved)

    validation = data.splits["validation"]
    validation_x = torch.from_numpy(validation.x).to(device)
    seen_by_q = evaluations.observed(model, data, "validation").to(device)
    followed = evaluations.observed(model, data, "test")[evaluations.snapshot_rows(data)].to(device)
    validation_noise = noise_on(device, seeds, "validation noise")
    seen: dict[str, float] = {}

    @torch.no_grad()
    def measure(epoch: int) -> list[dict[str, float]]:
        scheduled = {name: schedule(epoch) for name, schedule in settings.schedules.items()}
        batch = as_float(validation_x).expand(len(seeds), *validation_x.shape)
        terms = model.loss(batch, scheduled, validation_noise.at(epoch)).terms
        points = [{name: float(term[r].mean()) for name, term in terms.items()} for r in range(len(seeds))]
        if validation.y is not None and model.clusters:
            most, clusters = in_chunks(model.cluster_posterior, seen_by_q, len(seeds)).max(-1)
            for point, log_q, assigned in zip(points, most, clusters.numpy(), strict=True):
                point["acc_hungarian"] = hungarian_accuracy(validation.y, assigned)
                point["confidence"] = float(log_q.exp().mean())
            seen["acc"] = float(np.mean([point["acc_hungarian"] for point in points]))
        if epoch in settings.snapshots:
            name, features = next(iter(in_chunks(model.embed, followed, len(seeds)).items()))
            for kept, feature in zip(snapshots, features, strict=True):
                kept[f"{name}_{epoch}"] = feature.half()
        # JSON has no NaN: what is not finite (a failed replica) is left out of its curve.
        return [{name: value for name, value in point.items() if np.isfinite(value)} for point in points]

    def save() -> None:
        checkpoints.save(dict(zip(paths, states(), strict=True)))

    def states() -> list[dict[str, Any]]:
        return [training.state_of(r) | {"snapshots": snapshots[r], "legs": legs[r]} for r in range(len(seeds))]

    if training.finished:
        return model.eval(), states()
    now = leg(device, seeds, precision)
    for of_seed in legs:
        if not of_seed or of_seed[-1] != of_seed[-1] | now:
            of_seed.append({"from_step": training.step} | now)

    begun_at, last_saved = training.step, time.monotonic()
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    watch.begin(f"{config.data['name']}, {which}", training.total_steps, training.step)
    interrupted = False

    def stop() -> bool:
        nonlocal last_saved, interrupted
        now = time.monotonic()
        if now - last_saved > SECONDS_BETWEEN_CHECKPOINTS:
            save()
            last_saved = now
        interrupted = watch.stop()
        # However short the time, each call gets on, so that calling again comes to an end.
        return interrupted or (deadline is not None and now > deadline and training.step > begun_at)

    def report(loss: float, steps: int) -> None:
        accuracy = f", validation accuracy {seen['acc']:.1f} %" if "acc" in seen else ""
        watch.advance(steps, f"loss {loss:.1f}{accuracy}")

    finished = training.run(measure, curve_epochs(settings.epochs, settings.snapshots), report, stop)
    save()
    for seed, replica in zip(seeds, training.progress, strict=True):
        if replica.failed_at_step is not None:
            tqdm.write(f"Seed {seed} failed: its objective became non-finite at step {replica.failed_at_step}.")
    if not finished:
        why = "Interrupted" if interrupted else "The time is up"
        raise Unfinished(
            f"{why} at epoch {training.epoch} of {settings.epochs} (seeds {', '.join(map(str, seeds))}); "
            "checkpoints are written, and the same command goes on from there."
        )
    return model, states()


def labelled_rows(config: RunConfig, data: DataSet, seeds: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Rows of the training split whose labels each seed's model sees, and these labels, ``[R, N_l]``; None without."""
    labels = data.splits["train"].y
    if "n_labels" not in config.data or labels is None:
        return None
    rows = np.stack([data.labelled(config.data["n_labels"], stream_seed(seed, "labelled points")) for seed in seeds])
    return torch.from_numpy(rows), torch.from_numpy(labels[rows])


def curve_epochs(epochs: int, snapshots: Sequence[int]) -> list[int]:
    """The epochs at which the learning curve is measured: each of the first ten, then every fifth, and the last."""
    wanted = {*range(1, 11), *range(10, epochs + 1, 5), *snapshots, epochs}
    return sorted(epoch for epoch in wanted if epoch <= epochs)


def checked_device(device: str) -> str:
    """The device in its plainest form, if it is there.

    Raises:
        SettingError: if it is not.
    """
    try:
        asked = torch.device(device)
    except RuntimeError as error:
        raise SettingError(f"There is no device {device!r}; give cpu, cuda or cuda:1.") from error
    if asked.type not in ("cpu", "cuda"):
        raise SettingError(f"The device {device!r} is not supported; give cpu, cuda or cuda:1.")
    if asked.type == "cpu":
        if asked.index:
            raise SettingError(f"There is no device {device!r}; all cores together are the device cpu.")
        return "cpu"
    if not torch.cuda.is_available():
        raise SettingError("No CUDA device was found; give --device cpu.")
    if (asked.index or 0) >= torch.cuda.device_count():
        raise SettingError(
            f"There is no device {device!r}, only {torch.cuda.device_count()} of its kind, from cuda:0 on."
        )
    return device


def provenance(device: str) -> dict[str, Any]:
    """Where and with what something is computed."""
    return {
        "device": torch.cuda.get_device_name(device) if device != "cpu" else platform.machine(),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn")},
        "source": source_revision(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def leg(device: str, seeds: Sequence[int], precision: Precision) -> dict[str, Any]:
    """Where and with what a training goes on, in which precision it multiplies, and which seeds train side by side.

    A seed gets among others what it gets alone up to rounding, which training amplifies, so a record says beside which
    ones it was.
    """
    here = provenance(device)
    return {name: here[name] for name in ("device", "processor", "instructions", "threads", "source")} | {
        "precision": precision,
        "beside": list(seeds),
    }


@cache
def processor() -> str:
    """The model of the processor, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


@cache
def source_revision() -> str:
    """The commit of the working copy, marked if ``src/`` or a module beside it has changes; empty outside of one."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root()), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            CHANGED if git("status", "--porcelain", "src", ":(glob)*.py") else ""
        )
    except (OSError, subprocess.CalledProcessError, SettingError):
        return os.environ.get("GENCLUST_REVISION", "")


#: What marks a revision with changes that are not committed.
CHANGED = "+changes"


def is_committed(source: str) -> bool:
    """Whether a source revision names a commit and nothing else."""
    return bool(source) and not source.endswith(CHANGED)


def task_for(
    row: Row, profile: Profile, seeds: Sequence[int] | None = None, overrides: Mapping[str, Any] | None = None
) -> Task:
    """The task of a declared row.

    A user's own file is addressed by its full path and its contents: changed, it is another run.  Where it has no
    test split, a fifth of its rows is set aside.  A model of images takes their size from data that is not the
    declared one.  Of the evaluations that an experiment declares for all its rows, a row has those that suit its model.

    Raises:
        SettingError: for settings that are unknown or out of range.
        DataError: if data that is not the declared one cannot be read.
    """
    asked = overrides or {}
    config = row.config(profile, asked)
    name = config.data["name"]
    own = name.endswith(".npz")
    sides = [s for s in ("height", "width", "colours") if s in config.model and s not in asked.get("model", {})]
    if own or (sides and asked.get("data", {}).get("name")):
        given = datasets.load(name)
        if own:
            changes: dict[str, Any] = {"name": str(Path(name).expanduser().resolve()), "digest": given.digest()}
            if "test" not in given.splits and not config.data["test_fraction"]:
                changes["test_fraction"] = 0.2
            config = replace(config, data=config.data | changes)
        if sides and given.image_shape:
            sizes = dict(zip(("height", "width", "colours"), given.image_shape, strict=True))
            config = replace(config, model=config.model | {side: sizes[side] for side in sides})
    asked_for = tuple(name for name in row.evaluations(profile) if evaluations.suits(name, config))
    return Task(config, row.seeds(profile) if seeds is None else list(seeds), asked_for)
