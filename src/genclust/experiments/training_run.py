"""Training of several seeds of a configuration side by side, with checkpoints and learning curves."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from genclust.data import DataSet
from genclust.evaluation.capabilities import HasClusters
from genclust.evaluation.clustering import hungarian_accuracy
from genclust.evaluation.trained import encoder_input, snapshot_rows
from genclust.experiments.configuration import RunConfig, training_settings
from genclust.experiments.provenance import provenance
from genclust.experiments.store import Record
from genclust.experiments.workers import Unfinished, Watch
from genclust.models import MODELS, Model
from genclust.models.inference import as_float, in_chunks
from genclust.paths import cache_folder
from genclust.settings import read
from genclust.streams import noise_on, stream_seed
from genclust.training import checkpoints
from genclust.training.loop import Training, TrainingSettings, steps_per_epoch
from genclust.training.precision import Precision, faster_precision, is_emulated

SECONDS_BETWEEN_CHECKPOINTS = 60.0
#: Suffix of the empty file beside the checkpoint of a finished training whose record is written.
RECORDED = ".recorded"
#: What a learning curve holds beside the terms of the loss.
NO_TERMS = {"epoch", "acc_hungarian", "confidence"}


def build(config: RunConfig, replicas: int, x_dim: int) -> Model:
    """Model of a configuration, with the given number of replicas and of input values."""
    module, settings = MODELS[config.model["name"]]
    declared = {key: value for key, value in config.model.items() if key not in ("name", "revision")}
    return module(replicas, x_dim, read(settings, declared, "model"))


def fitted_rows(config: RunConfig, data: DataSet) -> np.ndarray:
    """Rows ``[N, D]`` that the model of a configuration is fitted to, in the order of the splits."""
    parts = [data.splits[name].x for name in config.fitted_splits]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def total_steps(config: RunConfig, n: int) -> int:
    """Total number of training steps on ``n`` examples (see :class:`Training`); 0 for a baseline without steps."""
    if not config.training:
        return 0
    return config.training["epochs"] * steps_per_epoch(n, config.training["batch_size"])


def steps_of(record: Record) -> int:
    """Number of training steps of the run of a record; 0 for a baseline without steps."""
    sizes = record.data["sizes"]
    return total_steps(record.run_config, sum(sizes[name] for name in record.run_config.fitted_splits))


def checkpoint_path(config: RunConfig, seed: int) -> Path:
    """Path of the checkpoint of a run."""
    return cache_folder() / "runs" / config.address / f"seed-{seed:04d}.ckpt"


def labelled_rows(config: RunConfig, data: DataSet, seeds: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Training rows whose labels each seed's model sees, and these labels, both ``[R, N_l]``; None without labels."""
    labels = data.splits["train"].y
    if "n_labels" not in config.data or labels is None:
        return None
    rows = np.stack([data.labelled(config.data["n_labels"], stream_seed(seed, "labelled points")) for seed in seeds])
    return torch.from_numpy(rows), torch.from_numpy(labels[rows])


def curve_epochs(epochs: int, snapshots: Sequence[int]) -> list[int]:
    """Epochs at which the learning curve is measured: each of the first ten, then every fifth, and the last."""
    wanted = {*range(1, 11), *range(10, epochs + 1, 5), *snapshots, epochs}
    return sorted(epoch for epoch in wanted if epoch <= epochs)


class LearningCurve:
    """Measurements during training: objective terms and clusters on validation data, and test embeddings.

    Args:
        model: model that trains.
        data: data set with its splits.
        seeds: one per replica.
        settings: training settings.
        device: device of the model.
    """

    def __init__(
        self, model: Model, data: DataSet, seeds: Sequence[int], settings: TrainingSettings, device: str
    ) -> None:
        self.model, self.settings, self.replicas = model, settings, len(seeds)
        validation = data.splits["validation"]
        self.labels = validation.y
        self.x = torch.from_numpy(validation.x).to(device)
        self.encoder_input = encoder_input(model, data, "validation").to(device)
        self.followed = encoder_input(model, data, "test")[snapshot_rows(data)].to(device)
        self.noise = noise_on(device, list(seeds), "validation noise")
        #: Mean validation accuracy of the replicas at the last point, in per cent; None without labels or clusters.
        self.accuracy: float | None = None

    @torch.no_grad()
    def point(self, epoch: int) -> list[dict[str, float]]:
        """Point of the learning curve after an epoch, for each replica; values that are not finite are left out.

        If a term of the objective is not finite, all terms are: the others alone would add up to a better bound.
        """
        scheduled = {name: schedule(epoch) for name, schedule in self.settings.schedules.items()}
        x = as_float(self.x).expand(self.replicas, *self.x.shape)
        terms = self.model.loss(x, scheduled, self.noise.at(epoch)).terms
        points = [{name: float(term[r].mean()) for name, term in terms.items()} for r in range(self.replicas)]
        points = [point if np.isfinite(list(point.values())).all() else {} for point in points]
        if self.labels is not None and isinstance(self.model, HasClusters):
            most, clusters = in_chunks(self.model.cluster_posterior, self.encoder_input, self.replicas).max(-1)
            for point, log_q, of_replica in zip(points, most, clusters.numpy(), strict=True):
                point["acc_hungarian"] = hungarian_accuracy(self.labels, of_replica)
                point["confidence"] = float(log_q.exp().mean())
            self.accuracy = float(np.mean([point["acc_hungarian"] for point in points]))
        # JSON has no NaN.
        return [{name: value for name, value in point.items() if np.isfinite(value)} for point in points]

    def snapshot(self, epoch: int) -> tuple[str, torch.Tensor]:
        """Name and values ``[R, N, F]`` (half precision) of the first embedding of the selected test points."""
        name, features = next(iter(in_chunks(self.model.embed, self.followed, self.replicas).items()))
        return f"{name}_{epoch}", features.half()


def bound(model: Model | type[Model], point: Mapping[str, float]) -> float:
    """Evidence lower bound at a point of a learning curve, on the validation split, in nats; NaN without its terms.

    The terms count as they are, whatever weights training gave them (w_G, η, a warm-up).
    """
    terms = [value for name, value in point.items() if name not in NO_TERMS.union(model.penalties)]
    return -sum(terms) if terms else math.nan


class TrainingRun:
    """Training of several seeds side by side, which resumes from their checkpoints if there are any.

    Args:
        config: configuration of the runs.
        seeds: one per replica.
        data: data set with its splits.
        watch: receiver of the progress, which also says when to stop.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        deadline: time of the monotonic clock after which training stops with checkpoints.

    Raises:
        DamagedCheckpoint: if a checkpoint cannot be read, or is of another model.
    """

    def __init__(
        self,
        config: RunConfig,
        seeds: Sequence[int],
        data: DataSet,
        watch: Watch,
        device: str = "cpu",
        deadline: float | None = None,
    ) -> None:
        self.config, self.seeds, self.watch, self.device, self.deadline = config, list(seeds), watch, device, deadline
        self.settings = training_settings(config.model["name"], config.training)
        self._train_x = torch.from_numpy(fitted_rows(config, data))
        self._labelled = labelled_rows(config, data, seeds)
        self.paths = [checkpoint_path(config, seed) for seed in seeds]
        saved = [checkpoints.load(path) for path in self.paths] if all(path.exists() for path in self.paths) else []
        self.precision = self._precision(saved)
        self.training = self._begin(self.precision)
        self.snapshots: list[dict[str, torch.Tensor]] = [{} for _ in seeds]
        self.legs: list[list[dict[str, Any]]] = [[] for _ in seeds]
        if saved:
            self._resume(saved)
        self.curve = LearningCurve(self.training.model, data, seeds, self.settings, device)
        self._begun_at, self._last_saved, self._interrupted = self.training.step, time.monotonic(), False

    def train(self) -> Model:
        """Train to the end and return the model, in evaluation mode.

        Raises:
            Unfinished: if the deadline or a signal came first; a checkpoint was written.
        """
        if self.training.finished:
            return self.training.model.eval()
        self._add_leg()
        which = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"{len(self.seeds)} seeds"
        self.watch.begin(f"{self.config.data['name']}, {which}", self.training.total_steps, self.training.step)
        if is_emulated(self.precision, self.training.device):
            tqdm.write(
                "This run multiplies in bfloat16, which this processor only emulates: steps take many times as long as "
                "in float32. Use another processor or a GPU, or give --set training.precision=float32 (another run).",
                file=sys.stderr,
            )
        epochs = curve_epochs(self.settings.epochs, self.settings.snapshots)
        finished = self.training.run(self._measure, epochs, self._report, self._stop)
        self.save()
        for seed, replica in zip(self.seeds, self.training.progress, strict=True):
            if replica.failed_at_step is not None:
                tqdm.write(f"Seed {seed} failed: its objective became non-finite at step {replica.failed_at_step}.")
        if not finished:
            seeds = f"seed{'' if len(self.seeds) == 1 else 's'} {', '.join(map(str, self.seeds))}"
            raise Unfinished(
                f"{'Interrupted' if self._interrupted else 'The time is up'} at epoch {self.training.epoch} of "
                f"{self.settings.epochs} ({seeds}); "
                "checkpoints are written, and the same command goes on from there."
            )
        return self.training.model

    def states(self) -> list[dict[str, Any]]:
        """Content of the checkpoint of each seed: training state, snapshots of its embedding, and legs.

        See :meth:`Training.state_of`; a leg says where and with what the training went on, see :meth:`_add_leg`.
        """
        return [
            self.training.state_of(r)
            | {"snapshots": self.snapshots[r], "legs": self.legs[r], "address": self.config.address}
            for r in range(len(self.seeds))
        ]

    def save(self) -> None:
        """Write the checkpoints of all seeds."""
        checkpoints.save(dict(zip(self.paths, self.states(), strict=True)))
        self._last_saved = time.monotonic()

    def _begin(self, precision: Precision) -> Training:
        model = build(self.config, len(self.seeds), self._train_x.shape[1])
        settings = replace(self.settings, precision=precision)
        return Training(model, self.seeds, self._train_x, settings, self.device, labelled=self._labelled)

    def _precision(self, saved: Sequence[dict[str, Any]]) -> Precision:
        """Precision of the settings or, if these say ``faster``, that of the last leg or the faster one here."""
        if self.settings.precision != "faster":
            return self.settings.precision
        if saved and saved[0].get("legs"):
            return saved[0]["legs"][-1]["precision"]
        return faster_precision(self._begin)

    def _resume(self, saved: list[dict[str, Any]]) -> None:
        for path, seed, state in zip(self.paths, self.seeds, saved, strict=True):
            if wrong := self._misfit(state, seed):
                raise checkpoints.DamagedCheckpoint(path, wrong)
        self.snapshots, self.legs = ([state.pop(name) for state in saved] for name in ("snapshots", "legs"))
        self.training.load(saved)

    def _misfit(self, state: dict[str, Any], seed: int) -> str:
        """Short reason why a seed cannot go on from a checkpoint; empty if it can."""
        if lacking := {"snapshots", "legs"} - state.keys():
            return f"it lacks {', '.join(sorted(lacking))}"
        of = state.get("address", self.config.address)  # which checkpoints of older versions lack
        if of != self.config.address or state.get("seed", seed) != seed:
            return f"it is of {of}, seed {state.get('seed')}"
        return self.training.misfit(state)

    def _add_leg(self) -> None:
        """Note device, source revision, precision and the seeds that train side by side from this step on.

        A seed gets among others the same numbers as alone up to rounding, which training amplifies.
        """
        made = provenance(self.device)
        leg = {name: made[name] for name in ("device", "processor", "instructions", "threads", "source")}
        leg |= {"precision": self.precision, "beside": self.seeds}
        for of_seed in self.legs:
            if not of_seed or of_seed[-1] != of_seed[-1] | leg:
                of_seed.append({"from_step": self.training.step} | leg)

    # ---- what the loop calls

    def _measure(self, epoch: int) -> list[dict[str, float]]:
        points = self.curve.point(epoch)
        if epoch in self.settings.snapshots:
            name, features = self.curve.snapshot(epoch)
            for of_seed, feature in zip(self.snapshots, features, strict=True):
                of_seed[name] = feature
        return points

    def _report(self, loss: float, steps: int) -> None:
        accuracy = "" if self.curve.accuracy is None else f", validation accuracy {self.curve.accuracy:.1f} %"
        self.watch.advance(steps, f"loss {loss:.1f}{accuracy}")

    def _stop(self) -> bool:
        now = time.monotonic()
        if now - self._last_saved > SECONDS_BETWEEN_CHECKPOINTS:
            self.save()
        self._interrupted = self.watch.stop()
        # However short the time, each call gets on, so that calling again comes to an end.
        return self._interrupted or (self.deadline is not None and now > self.deadline and self._advanced)

    @property
    def _advanced(self) -> bool:
        return self.training.step > self._begun_at
