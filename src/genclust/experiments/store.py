"""Stores of records, addressed by configuration and seed: one JSON file each, with arrays in a file beside it."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from genclust.experiments.configuration import RunConfig
from genclust.metrics import known
from genclust.paths import cache_folder, prepared, root
from genclust.settings import SettingError

#: Seconds after which a temporary file counts as left behind by a kill.
SECONDS_OF_A_WRITE = 600.0


class StoreError(Exception):
    """Raised if a record cannot be read; the message names the file and what to do."""


@dataclass(frozen=True)
class Record:
    """Record of one run: configuration, seed, metrics, learning curve and provenance.

    A store hands out the same record to everyone who reads it, so nothing in it may be changed.

    Attributes:
        config: the resolved configuration (data, model, training).
        seed: seed of the run.
        metrics: final numbers, ``split.metric`` -> value; scores in per cent, likelihoods in nats.  Those that are not
            finite are left out, such as the likelihood of a diverged seed.
        curve: learning curve, one mapping from quantities to values per measured epoch.
        evaluations: revisions of the evaluations that were made, by name.
        failed_at_step: the step at which the objective became non-finite, or None.
        data: name, digest, variant and split sizes of the data, and the size of its images (None without images); older
            records lack that size.
        provenance: device, processor and its instruction set, threads, library versions, source revision and date of
            the evaluation; and of the training, leg by leg, the same and the seeds that trained side by side.
        seconds: seconds of training by :func:`genclust.timing.clock`; in records of revisions without it those of
            the wall clock.
        arrays_digest: SHA-256 of the file of arrays; empty if there is none.
        path: path of the JSON file, or None.
    """

    config: dict[str, Any]
    seed: int
    metrics: dict[str, float]
    curve: list[dict[str, float]]
    evaluations: dict[str, int]
    failed_at_step: int | None
    data: dict[str, Any]
    provenance: dict[str, Any]
    seconds: float
    arrays_digest: str = ""
    path: Path | None = field(default=None, compare=False)

    @property
    def run_config(self) -> RunConfig:
        """The configuration, as :meth:`~genclust.experiments.declaration.Row.config` makes it."""
        return RunConfig(**self.config)

    def metric(self, name: str) -> float:
        """Metric of the given name; NaN where it was not measured, such as a score of data without labels."""
        return self.metrics.get(name, math.nan)

    @property
    def data_name(self) -> str:
        """Name of the data for titles and tables: of a user's own file the file name, without its folder."""
        name = self.data["name"]
        return Path(name).name if name.endswith(".npz") else name.replace("_", " ")

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """Height, width and colours of the images; None for other rows, and where an older record does not tell."""
        shape = self.data.get("image_shape")
        return None if shape is None else tuple(shape)

    @property
    def is_of_images(self) -> bool:
        """Whether the data are images; older records, which do not tell, count as such."""
        return self.data.get("image_shape", ()) is not None

    @property
    def lacks_labels(self) -> bool:
        """Whether the clusters of test points were found, but without labels to compare them with."""
        clustered = {"clustering", "layers"} & self.evaluations.keys()
        tested = [name for name in self.metrics if name.startswith("test.")]
        return bool(clustered) and not any((metric := known(name)) and metric.unit == "%" for name in tested)

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays of the record by name, from the file beside the JSON; empty if it has none.

        Raises:
            StoreError: if the file is missing, damaged or not the one that was written with the record.
        """
        if not self.arrays_digest:
            return {}
        if self.path is None:
            raise StoreError("This record was not read from a store and has no arrays.")
        path = self.path.with_suffix(".npz")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(
                f"The arrays {path} cannot be read ({error.strerror}); {_cure(self.path, str(self.path))}."
            ) from error
        if hashlib.sha256(content).hexdigest() != self.arrays_digest:
            raise StoreError(
                f"The arrays {path} are not those of the record, or damaged; {_cure(self.path, str(self.path))}."
            )
        with np.load(io.BytesIO(content)) as file:
            return dict(file)


@dataclass(frozen=True)
class Store:
    """Store of records in a folder."""

    folder: Path

    def _path(self, config: RunConfig, seed: int) -> Path:
        return self.folder / config.address / f"seed-{seed:04d}.json"

    def read(self, config: RunConfig, seed: int) -> Record | None:
        """Record of this configuration and seed, or None.

        Raises:
            StoreError: if the file is damaged or holds another configuration.
        """
        path = self._path(config, seed)
        record = _read(path)
        if record and (record.run_config != config or record.seed != seed):
            raise StoreError(f"The record {path} holds another run than its name says; delete it.")
        return record

    def every(self) -> Iterator[Record]:
        """Yield all records, in the order of their file names.

        Raises:
            StoreError: if a file is damaged, or lies where its configuration and seed do not belong.
        """
        for path in sorted(self.folder.glob("*/seed-*.json")):
            record = _read(path)
            if record and self._path(record.run_config, record.seed) != path:
                raise StoreError(f"The record {path} holds another run than its name says; delete it.")
            if record:
                yield record

    @property
    def is_published(self) -> bool:
        """Whether this is the published store in the repository."""
        try:
            return self.folder.resolve() == published().folder.resolve()
        except SettingError:  # the library is used without its repository
            return False

    def write(self, record: Record, arrays: Mapping[str, np.ndarray]) -> Record:
        """Write a record and its arrays, each file atomically; with two writers the later one stands.

        Both are written under other names first and then renamed, the arrays before the record, so that every record
        that can be read is complete.  Between the two renamings that replace a record, the old one has no arrays.
        """
        path = self._path(record.run_config, record.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        if arrays:
            np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        digest = hashlib.sha256(content.getvalue()).hexdigest() if arrays else ""
        record = replace(record, arrays_digest=digest, path=path)
        fields = {key: value for key, value in asdict(record).items() if key != "path"}
        text = json.dumps(fields | {"digest": _digest(fields)}, indent=1, sort_keys=True, allow_nan=False)
        with _alone_in(path.parent), ExitStack() as remove:  # another writer's arrays could come in between
            _clear_after_a_kill(path)
            new = {}
            for to, written in ((path.with_suffix(".npz"), content.getvalue()), (path, text.encode() + b"\n")):
                if written:
                    new[to] = prepared(to, written)
                    remove.callback(new[to].unlink, missing_ok=True)
            for to, temporary in new.items():
                temporary.replace(to)
            if not arrays:  # those of a record that stood here before
                path.with_suffix(".npz").unlink(missing_ok=True)
        return record

    def delete(self, record: Record) -> None:
        """Delete a record and its arrays, and its folder if nothing else is in it."""
        path = self._path(record.run_config, record.seed)
        path.unlink(missing_ok=True)
        path.with_suffix(".npz").unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()


def _digest(fields: Mapping[str, Any]) -> str:
    """SHA-256 of the fields of a record, so that a changed digit is noticed."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> Record | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"The record {path} cannot be read ({error.strerror}).") from error
    return _parsed(path, content)


@cache  # verdicts, claims and the numbers of the prose ask for the same records again and again
def _parsed(path: Path, content: bytes) -> Record:
    try:
        fields = json.loads(content.decode(), parse_constant=_refuse_constant, object_pairs_hook=_once)
        digest = fields.pop("digest", None) if isinstance(fields, dict) else None
        record = Record(**fields, path=path)
        fault = _fault(record) or ("" if digest == _digest(fields) else "it was changed after it was written")
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"The record {path} is damaged ({error}); {_cure(path)}.") from error
    if fault:
        raise StoreError(f"The record {path} is damaged ({fault}); {_cure(path)}.")
    return record


def _cure(path: Path, what: str = "it") -> str:
    """What to do about a damaged record, called ``what``: get it back from the repository, or else run it anew."""
    try:
        kept = any(path.resolve().is_relative_to(store.folder.resolve()) for store in in_repository())
    except SettingError:  # the library is used without its repository
        kept = False
    return f"get it back with git restore {path.parent}" if kept else f"delete {what} and run it anew"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("it holds a name twice")
    return fields


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}")


def _fault(record: Record) -> str:
    """Description of what is wrong with the types and values in a record; empty if nothing is."""
    kinds: dict[str, Any] = {
        **dict.fromkeys(("config", "metrics", "evaluations", "data", "provenance"), dict),
        **{"seed": int, "curve": list, "seconds": (int, float), "failed_at_step": (int, type(None))},
    }
    for name, kind in kinds.items():
        value = getattr(record, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"its {name} is {value!r:.50}"
    if record.config.keys() != {"data", "model", "training"}:
        return "its config is not one of data, model and training"
    if not all(type(revision) is int for revision in record.evaluations.values()):
        return "its evaluations have no revisions"
    if not {"name", "digest", "variant", "sizes"} <= record.data.keys():
        return "its data lacks name, digest, variant or sizes"
    if (record.failed_at_step or 0) < 0 or not 0 <= record.seconds < math.inf:
        return f"its seconds are {record.seconds!r} and its failed_at_step {record.failed_at_step!r}"
    for point in (record.metrics, *record.curve):
        if not isinstance(point, dict):
            return f"a point of its curve is {point!r:.50}"
        for name, value in point.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                return f"its {name} is {value!r:.50}"
            metric = known(name)
            if metric and metric.unit == "%" and not metric.least - 1e-9 <= value <= 100 + 1e-9:
                return f"its {name} is {value:g} per cent"
    epochs = [point.get("epoch", -1) for point in record.curve]
    if epochs != sorted(set(epochs)) or min(epochs, default=0) < 0:
        return "the epochs of its curve do not rise"
    return ""


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Context that holds a lock on the folder, for which other processes wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _clear_after_a_kill(path: Path) -> None:
    """Remove temporary files of the record at ``path``, and folders of its model, that no process writes any more."""
    for left in path.parent.glob(f".{path.stem}.*"):
        with suppress(FileNotFoundError):  # just renamed by who wrote it
            if time.time() - left.stat().st_mtime > SECONDS_OF_A_WRITE:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def published() -> Store:
    """Store of published records in the repository, which the book shows."""
    return Store(root() / "results")


def waiting() -> Store:
    """Store in the repository for finished seeds of incomplete rows, so that no machine trains them again.

    No table, figure or verdict reads it.
    """
    return Store(root() / "waiting")


def in_repository() -> list[Store]:
    """Stores in the repository, the published one first; what they have need not be run again by anyone."""
    return [published(), waiting()]


def own() -> Store:
    """The user's own store, in the cache folder."""
    return Store(cache_folder() / "results")


def to_write(folder: Path) -> Store:
    """Store in a folder that a run is to write into, which need not exist yet.

    Raises:
        StoreError: if the folder, or one that it would lie in, is a file.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise StoreError(f"There can be no store in {folder}, as {place} is a file; give a folder.")
    return Store(folder)


def existing(folder: Path) -> Store:
    """Store in a folder that a user named.

    Raises:
        StoreError: if there is no such folder, which would otherwise pass for a store without records.
    """
    if not folder.is_dir():
        raise StoreError(f"There is no store {folder}; give the folder that --store named in a run.")
    return Store(folder)


def find(
    config: RunConfig,
    seeds: Iterable[int],
    stores: Sequence[Store],
    evaluations: Callable[[int], Mapping[str, int]] = lambda seed: {},
) -> dict[int, Record]:
    """Records by seed, each from the first store that has one with the evaluations that are wanted of this seed.

    The evaluations must be of the given revisions; seeds without such a record are left out.
    """
    records: dict[int, Record] = {}
    for seed in seeds:
        for store in stores:
            record = store.read(config, seed)
            if record is not None and evaluations(seed).items() <= record.evaluations.items():
                records[seed] = record
                break
    return records
