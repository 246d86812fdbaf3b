"""Reader of a user's own data, from an ``.npz`` file."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np

from genclust.data.base import DataError, DataSet, Split
from genclust.data.files import npz_arrays, reading, refuse_misplaced_colours

#: Smallest number of rows of a user's own data, so that each of three splits has some.
LEAST_ROWS = 10

#: Arrays that a user's own data may have, by their possible file names in the npz archive.
OWN = {
    "x_train.npy": "x_train",
    "x.npy": "x_train",
    "y_train.npy": "y_train",
    "y.npy": "y_train",
    "x_test.npy": "x_test",
    "y_test.npy": "y_test",
}


def own(path: Path) -> DataSet:
    """Read a user's own data from an ``.npz`` file.

    The npz file holds ``x_train`` (or ``x``), and, where there are any, ``y_train`` (or ``y``),
    ``x_test`` and ``y_test``; and nothing else.  ``x`` is uint8 or of a floating type, with two axes or more: rows
    of features, grey images ``[N, H, W]`` or images with channels ``[N, H, W, C]``.  ``y`` holds
    one whole number 0 … K-1 per row; there must be ten or more rows to train on, and no more classes than rows.

    Raises:
        MissingData: if there is no such file.
        DataError: if it is damaged, its arrays are not as described, or the rows to test on are those to train on.
    """
    files = _members(path)
    names = [OWN.get(file, file) for file in files]
    if "x_train" not in names:
        raise DataError(f"{path.name} has no array x_train (or x) but only {', '.join(names) or 'nothing'}")
    for name in names:
        if name not in OWN.values():
            raise DataError(
                f"{path.name} has {name.removesuffix('.npy')!r}, but known are only x_train (or x), y_train (or y), "
                "x_test and y_test"
            )
        if names.count(name) > 1:
            raise DataError(f"{path.name} has {name} twice")
    if "y_test" in names and "x_test" not in names:
        raise DataError(f"{path.name} has y_test, but no x_test")
    content = dict(zip(names, npz_arrays(path, *(file.removesuffix(".npy") for file in files)).values(), strict=True))
    rows = {name: _rows(name, content[name]) for name in ("x_train", "x_test") if name in content}
    n, *shape = content["x_train"].shape
    refuse_misplaced_colours("x_train", (n, *shape))
    if n < LEAST_ROWS:
        raise DataError(f"x_train has {n} rows, but {LEAST_ROWS} or more are needed to train, to validate and to test")
    if "x_test" in content and list(content["x_test"].shape[1:]) != shape:
        raise DataError(
            f"x_train has the shape {content['x_train'].shape} and x_test {content['x_test'].shape}, "
            "but only their first numbers may differ"
        )
    if "x_test" in content and np.array_equal(rows["x_train"], rows["x_test"]):
        raise DataError("x_test is the same as x_train; leave it out, and rows are set aside for testing")
    splits = {
        name.removeprefix("x_"): Split(x, _labels(name.replace("x", "y"), content.get(name.replace("x", "y")), n))
        for name, x in rows.items()
    }
    n_classes = max((split.y.max() + 1 for split in splits.values() if split.y is not None), default=0)
    return DataSet(
        str(path),
        splits,
        {2: (*shape, 1), 3: tuple(shape)}.get(len(shape)),
        tuple(map(str, range(n_classes))),
    )


def _rows(name: str, x: np.ndarray) -> np.ndarray:
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise DataError(f"{name} is of type {x.dtype}, but should be uint8 or floating")
    if x.ndim < 2 or x.size == 0:
        raise DataError(f"{name} has the shape {x.shape}, but should have rows and features")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return x.reshape(len(x), -1).astype(x.dtype if x.dtype == np.uint8 else np.float32)


def _labels(name: str, y: np.ndarray | None, n: int) -> np.ndarray | None:
    if y is None:
        return None
    if y.dtype.kind not in "iu" or y.ndim != 1 or y.size == 0 or y.min() < 0:
        raise DataError(f"{name} should hold one whole number 0 ... K-1 a row, not {y.dtype} of shape {y.shape}")
    if y.max() >= n:
        raise DataError(
            f"{name} goes up to {y.max()}, but with {n} rows to train on there can be no more than {n} classes; "
            "number them 0 ... K-1"
        )
    return y.astype(np.int64)


def _members(path: Path) -> list[str]:
    """Names of the files in a zip archive, checked against its last record, as one wrong byte can hide some of them."""
    with reading(path), zipfile.ZipFile(path) as archive, path.open("rb") as file:
        names = archive.namelist()
        file.seek(-22 - len(archive.comment), io.SEEK_END)
        if struct.unpack("<10xH10x", file.read(22)) != (len(names),):
            raise ValueError("its directory is not whole")
    return names
