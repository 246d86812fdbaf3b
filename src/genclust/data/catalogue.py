"""Loading data sets by name, and checking them against known digests and numbers of rows."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from genclust.data.base import DataError, DataSet, MissingData
from genclust.data.own import own
from genclust.data.readers import READERS
from genclust.data.source import Source, sources
from genclust.paths import cache_folder
from genclust.wording import did_you_mean


@dataclass(frozen=True)
class Report:
    """Result of checking a data set against its known digest.

    Attributes:
        name: name of the data set.
        state: ``ok`` (the digest is right), ``unverified`` (it can be read, but no digest is
            known), ``missing`` or ``altered`` (which includes damaged).
        detail: explanation for the user, in a sentence.
    """

    name: str
    state: Literal["ok", "unverified", "missing", "altered"]
    detail: str


def folder() -> Path:
    """Data folder: ``GENCLUST_DATA``, or ``data`` in the user's cache folder (`genclust.paths`).

    The files of a data set are in a folder of its name below it, except those drawn from another one's files.

    Raises:
        DataError: if it should be in the home folder of a user who does not exist.
    """
    return _expanded(os.environ.get("GENCLUST_DATA") or cache_folder() / "data")


def _expanded(path: Path | str) -> Path:
    """Path with ~ or ~user replaced by the home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DataError(f"The path {path} begins with the home folder of a user who does not exist.") from None


def place(name: str, root: Path | str | None = None) -> Path:
    """Folder of the files of the data set ``name``, below the data folder ``root`` (by default `folder`).

    Raises:
        DataError: if the name is unknown.
    """
    return (folder() if root is None else Path(root)) / (source_of(name).folder or name)


def names() -> list[str]:
    """Names of all data sets that `load` knows."""
    return list(sources())


def source_of(name: str) -> Source:
    """Source of the data set ``name``, its entry in ``sources.yaml``.

    Raises:
        DataError: if there is none (the message proposes the nearest name), or if nothing can read its files.
    """
    known = sources()
    if name not in known:
        raise DataError(
            f"There is no data set {name!r}{did_you_mean(name, known)} "
            f"Known are {', '.join(known)}, and where an experiment's data are named, your own by the path of an .npz "
            "file."
        )
    if name not in READERS and _only_file(known[name]) is None:
        raise DataError(
            f"The data set {name!r} has no reader in genclust.data.readers, so it must have one file, an .npz like "
            f"data of your own, and not {', '.join(known[name].files) or 'none'}."
        )
    return known[name]


def _only_file(source: Source) -> str | None:
    """Name of the only file of a source if that is an ``.npz``, else None."""
    files = list(source.files)
    return files[0] if len(files) == 1 and files[0].endswith(".npz") else None


def check(data: DataSet) -> None:
    """Raise a `DataError` with a short phrase if shapes, labels or values of ``data`` are unfit for any model."""
    widths = {split.x.shape[1] for split in data.splits.values()}
    if len(widths) > 1 or len({split.x.dtype for split in data.splits.values()}) > 1:
        raise DataError("the rows of its splits differ in length or type")
    if data.image_shape is not None and widths != {math.prod(data.image_shape)}:
        raise DataError(f"its rows hold {widths.pop()} values and so are no images of shape {data.image_shape}")
    for name, split in data.splits.items():
        if split.y is not None and split.y.shape != (len(split),):
            raise DataError(f"its split {name} has {len(split)} rows but {len(split.y)} labels")
        if any(labels.shape != (len(split),) for labels in split.factors.values()):
            raise DataError(f"its split {name} has {len(split)} rows but factors of another length")
        if split.groups is not None and split.groups.shape != (len(split),):
            raise DataError(f"its split {name} has {len(split)} rows but {len(split.groups)} numbers of groups")
        n_classes = len(data.class_names)
        if n_classes and split.y is not None and not ((split.y >= 0) & (split.y < n_classes)).all():
            raise DataError(f"its split {name} has labels that are not 0 … {n_classes - 1}")
        if split.x.dtype.kind == "f" and not np.isfinite(split.x).all():
            raise DataError(f"its split {name} has values that are not finite (NaN or infinite)")


def compare(data: DataSet, source: Source) -> None:
    """Raise a `DataError` with a short phrase if row counts or digest of ``data`` are not those of its source."""
    for name, split in data.splits.items():
        if len(split) != source.splits.get(name, 0):
            raise DataError(f"its split {name} has {len(split)} rows instead of {source.splits.get(name, 0)}")
    if source.digest is not None and data.digest() != source.digest:
        raise DataError(f"its contents are altered (SHA-256 {data.digest()[:12]}… instead of {source.digest[:12]}…)")


def read(name: str, source: Source, where: Path) -> DataSet:
    """Read the data set ``name`` from a folder and check it; errors are a `DataError` with a short phrase."""
    if source.folder in sources():  # what it is drawn from has to be right as well
        read(source.folder, source_of(source.folder), where)
    data = READERS[name](where) if name in READERS else replace(own(where / (_only_file(source) or "")), name=name)
    source = source.variant(data.variant)
    check(data)
    compare(data, source)
    return replace(data, fidelity=source.fidelity, stands_in_for=source.stands_in_for)


def load(name: str, folder: Path | str | None = None) -> DataSet:
    """Load a data set by name, or from a user's own ``.npz`` file.

    Args:
        name: one of `names`, or the path of an ``.npz`` file of your own, whose contents
            `genclust.data.own.own` describes.
        folder: the data folder; by default `genclust.data.folder`.

    Returns:
        The data set, checked against the known numbers of rows and the known digest.

    Raises:
        MissingData: if a file is missing.
        DataError: if the name is unknown, or a file is damaged, cut short or altered.
    """
    if name.endswith(".npz"):
        path = _expanded(name)
        try:
            data = own(path)
            check(data)
            return data
        except DataError as error:
            raise type(error)(f"Your data file {path} cannot be used: {str(error).rstrip('.')}.") from None
    source = source_of(name)
    where = place(name, folder)
    try:
        return read(name, source, where)
    except MissingData as error:
        fault = f"{error} (expected: {', '.join(source.files)})"
        raise MissingData(f"Data set {name!r} is not in {where}: {fault}; {source.cure(name, where)}.") from None
    except DataError as error:
        raise DataError(f"Data set {name!r} in {where}: {error}; {source.cure(name, where)}.") from None


def verify(name: str, folder: Path | str | None = None) -> Report:
    """Check a data set against its known digest.

    Args:
        name: one of `names`.
        folder: the data folder; by default `genclust.data.folder`.

    Raises:
        DataError: if the name is unknown.
    """
    source = source_of(name)
    try:
        data = load(name, folder)
    except MissingData as error:
        return Report(name, "missing", str(error))
    except DataError as error:
        return Report(name, "altered", str(error))
    counts = ", ".join(f"{len(split):,} {split_name}" for split_name, split in data.splits.items())
    if source.variant(data.variant).digest is None:
        return Report(name, "unverified", f"Data set {name!r} can be read ({counts}), but no digest of it is known.")
    return Report(name, "ok", f"Data set {name!r} is what it should be ({counts}; SHA-256 {data.digest()}).")
