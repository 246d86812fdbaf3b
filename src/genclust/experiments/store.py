"""Records of runs, addressed by configuration and seed: one JSON, and arrays beside it."""

from __future__ import annotations

import json
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from genclust.experiments.declaration import RunConfig, root
from genclust.paths import cache_folder


class StoreError(Exception):
    """A record that cannot be read; the message names the file and what to do."""


@dataclass(frozen=True)
class Record:
    """What one run left behind.

    Attributes:
        config: the resolved configuration (data, model, training).
        seed: the replica's seed.
        metrics: final numbers, ``split.metric`` -> value; scores in per cent, likelihoods in nats.
        curve: what was measured along the way, one mapping an epoch.
        evaluations: which evaluations the metrics and arrays come from.
        failed_at_step: the step at which the objective became non-finite, or None.
        data: name, digest, variant and split sizes of the data.
        provenance: device, precision, threads, library versions, source revision, date.
        seconds: wall time of training.
        path: where the record lies, or None.
    """

    config: dict[str, Any]
    seed: int
    metrics: dict[str, float]
    curve: list[dict[str, float]]
    evaluations: list[str]
    failed_at_step: int | None
    data: dict[str, Any]
    provenance: dict[str, Any]
    seconds: float
    path: Path | None = field(default=None, compare=False)

    def metric(self, name: str) -> float:
        """The final number of that name; NaN where it was not measured, such as a score of data without labels."""
        return self.metrics.get(name, math.nan)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that figures need.

        Raises:
            StoreError: if there are none or the file is damaged.
        """
        if self.path is None:
            raise StoreError("This record was not read from a store and has no arrays.")
        path = self.path.with_suffix(".npz")
        try:
            with np.load(path) as file:
                return dict(file)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise StoreError(f"The arrays {path} are missing or damaged; delete the record and run it anew.") from error


@dataclass(frozen=True)
class Store:
    """A folder of records."""

    folder: Path

    def _path(self, config: RunConfig, seed: int) -> Path:
        return self.folder / config.address / f"seed-{seed:04d}.json"

    def read(self, config: RunConfig, seed: int) -> Record | None:
        """The record of this configuration and seed, or None.

        Raises:
            StoreError: if the file is damaged or holds another configuration.
        """
        path = self._path(config, seed)
        try:
            content = json.loads(path.read_text())
            record = Record(**content, path=path)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise StoreError(f"The record {path} is damaged; delete it and run it anew.") from error
        if record.config != asdict(config) or record.seed != seed:
            raise StoreError(f"The record {path} holds another configuration than its name says; delete it.")
        return record

    def write(self, record: Record, arrays: Mapping[str, np.ndarray]) -> Record:
        """Write a record whole; with two writers the later one stands.

        The arrays go first, so that a record that can be seen is complete.
        """
        path = self._path(RunConfig(**record.config), record.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        if arrays:
            _atomically(path.with_suffix(".npz"), lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
        content = {key: value for key, value in asdict(record).items() if key != "path"}
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
        _atomically(path, lambda file: file.write(text.encode()))
        return replace(record, path=path)


def _atomically(path: Path, write: Any) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def published() -> Store:
    """The store in the repository, which the book shows."""
    return Store(root() / "results")


def own() -> Store:
    """The user's own store."""
    return Store(cache_folder() / "results")


def find(
    config: RunConfig, seeds: Iterable[int], stores: Sequence[Store], evaluations: Iterable[str] = ()
) -> dict[int, Record]:
    """The records of the seeds that some store has, with at least these evaluations; earlier stores go first."""
    found: dict[int, Record] = {}
    for seed in seeds:
        for store in stores:
            record = store.read(config, seed)
            if record is not None and set(evaluations) <= set(record.evaluations):
                found[seed] = record
                break
    return found
