"""Reading a person's own file: arrays, tables, a folder of images, or single-cell data.

Whatever is wrong with a file is said in one sentence, with what would be right.
"""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse
from PIL import Image

from genclust.data.base import DataError, MissingData
from genclust.data.columns import (
    Asked,
    Columns,
    Line,
    columns_of_frame,
    columns_of_text,
    is_name_title,
    numbered,
    place,
)
from genclust.data.files import DAMAGE, refuse_misplaced_colours
from genclust.wording import counted, did_you_mean, first_few, quoted

_T = TypeVar("_T")

#: What the names of images end in.
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
#: What the names of files with one label per row end in.
LABEL_FILES = (".csv", ".txt", ".npy")
#: What stands, in small letters, where a label is not known.
UNKNOWN = ("", "-1", "na", "n/a", "nan", "<na>", "null")

_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)
#: Modes of images, by Pillow's names, and what they become.
_MODES = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB"}


@dataclass(frozen=True)
class Table:
    """The rows of a file, with their names and, where there are any, labels.

    Attributes:
        x: rows of features ``[N, D]``, or images ``[N, H, W]`` or ``[N, H, W, C]``; all finite.  Images of uint8 stay
            so, other arrays are float32 if that holds every number of their type, and all else is float64.
        labels: int64 or text ``[N]`` as in the file, or None where it has none.
        names: one per row: its path in a folder of images, its text in a column of names, or ``"0"``, ``"1"``, ….
        columns: one per feature, or None for images and for files without a header.
        ignored: columns that were not asked for.
        named_by: the column that has the names, where nothing but its text tells so.
    """

    x: np.ndarray
    labels: np.ndarray | None
    names: list[str]
    columns: list[str] | None
    ignored: Sequence[str] = ()
    named_by: str | None = None


def read_table(
    path: Path | str,
    labels: str | None = None,
    only: Sequence[str] | None = None,
    partly: bool = False,
    ignore: Sequence[str] = (),
) -> Table:
    """Read a file of rows, or a folder of images.

    - ``.npy``: an array with two axes or more.
    - ``.npz``: its only array, or ``x`` (or ``x_train``) with labels ``y`` (or ``y_train``) if it has them.  Other
      arrays, such as ``x_test``, are not read.
    - ``.csv``, ``.tsv``: numbers separated by commas, semicolons, tabs or ``|``, in UTF-8, with or without a header.
      Decimal commas are read where the separator is another.  A first row of numbers is a header only if they count, as
      0, 1, 2 or 1990, 1991, 1992 do.  An unnamed first column has the names of the rows.  So has one called id, index
      or name, if it holds text that is no number and differs in every row; and of five rows or more the first column of
      such text, whatever it is called.  Columns without a header are known by their places ``0``, ``1``, ….
    - ``.parquet``: likewise, where dates are text; an index other than the usual one has the names of the rows.
    - ``.h5ad``: AnnData's ``X``, dense or sparse, with the names of cells and genes.
    - a folder of images, PNG, JPEG, BMP or TIFF, all of one size and all grey or all in colour.  They are read in the
      order of their paths.  If they are in subfolders, those are their labels.

    Args:
        path: of the file or the folder.
        labels: the column (in ``.npz``, the array; in ``.h5ad``, the column of ``obs``) that has the labels and is no
            feature.  Or, if it ends in .csv, .txt or .npy, the path of a file with one label per row.
        only: names of features; others of a table are ignored, whatever they hold.
        partly: whether labels may be unknown: where nothing, -1 or NA stands.  They are then text, which is empty where
            they are unknown.
        ignore: columns of a table that are no features, whatever they hold.

    Returns:
        The table.

    Raises:
        MissingData: if the file, or that of the labels, is not there.
        DataError: if it cannot be read, is empty, or has text, missing or infinite values among the features; if
            images differ in size or in colour; if the labels are not found or not one per row; or if the format needs
            a package that is not installed.
    """
    path = Path(os.path.expanduser(path))
    if labels is None or Path(labels).suffix.lower() not in LABEL_FILES:
        return _reading(path, lambda path: _reader(path)(path, Asked(labels, only, partly, ignore)))
    apart = Path(os.path.expanduser(labels))
    given = _reading(apart, lambda apart: _label_file(apart, partly))
    table = _reading(path, lambda path: _reader(path)(path, Asked(None, only, ignore=ignore)))
    n = len(table.x)
    if apart.suffix.lower() != ".npy" and len(given) == n + 1 and given[0] not in given[1:]:
        given = given[1:]  # without the header
    return replace(table, labels=_labels(apart, given, n, partly))


def _reader(path: Path) -> Callable[[Path, Asked], Table]:
    """What reads the file or folder at ``path``, by its ending."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return _images
    if suffix in IMAGES:
        raise DataError(f"{path} is a single image; give the folder that it is in.")
    if suffix not in _READERS:
        ending = f"ends in {suffix}" if suffix else "has no ending"
        raise DataError(f"{path} {ending}; what can be read ends in {', '.join(_READERS)}, or is a folder of images.")
    return _READERS[suffix]


def _reading(path: Path, read: Callable[[Path], _T]) -> _T:
    """What ``read`` returns for ``path``; whatever goes wrong is a `DataError`."""
    try:
        if not path.exists():
            beside = (entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else ()
            raise MissingData(f"There is no file or folder {path}{did_you_mean(path.name, beside, 0.8)}")
        if path.is_file() and path.stat().st_size == 0:
            raise DataError(f"{path} is empty.")
        with warnings.catch_warnings(), np.errstate(over="ignore"):  # what is too large is refused as infinite
            warnings.simplefilter("ignore")
            return read(path)
    except MemoryError:
        raise DataError(f"{path} does not fit into memory; give fewer rows or columns.") from None
    except PermissionError:
        raise DataError(f"{path} may not be read; allow yourself to read it.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; save it so (in Excel, as 'CSV UTF-8').") from None
    except (*DAMAGE, csv.Error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is damaged, or not what its name says ({reason}).") from None


# Arrays.


def _floats(kind: np.dtype) -> type[np.floating]:
    """float32 if it holds every number of a type, or else float64, which a date as a number or a long code needs."""
    return np.float32 if np.can_cast(kind, np.float32) else np.float64


def _at(row: int, names: Sequence[str], line: Line | None) -> str:
    """Where a row is, in words: its name, or its number and line in the file."""
    what = f"row {row}" if names[row] == str(row) else quoted(names[row])
    return f"{what}, line {line(row)} of the file" if line else what


def _finite(
    path: Path, x: np.ndarray, names: Sequence[str], columns: Sequence[str] | None, line: Line | None = None
) -> np.ndarray:
    """``x`` in the type that `Table` names for it.

    All values must be finite, also in float32, the type in which models see them scaled.
    """
    x = np.require(x, np.uint8 if x.dtype == np.uint8 and x.ndim > 2 else _floats(x.dtype), ["C", "W", "O", "E"])
    if x.dtype == np.uint8 or (np.isfinite(x).all() and max(x.max(), -x.min()) <= np.finfo(np.float32).max):
        return x
    bad = ~(np.abs(x) <= np.finfo(np.float32).max)
    rows = np.flatnonzero(bad.reshape(len(x), -1).any(1))
    where = f"{counted(len(rows), 'row')} ({'first: ' * (len(rows) > 1)}{_at(rows[0], names, line)})"
    if x.ndim == 2:
        found = np.array(columns or numbered(x.shape[1]))[bad.any(0)]
        where = f"the column{'s' * (len(found) > 1)} {first_few(found)} and {where}"
    missing = int(np.isnan(x).sum())
    raise DataError(
        f"{path} has values that are no finite numbers, {missing} missing (NaN) and {bad.sum() - missing} infinite or "
        f"beyond float32, in {where}; fill them in, or drop such rows or columns."
    )


def _from_array(path: Path, x: np.ndarray, what: str) -> Table:
    """The table of an array without names."""
    if x.dtype.kind not in "biuf":
        raise DataError(f"{path} has {what} of type {x.dtype}, but only numbers can be read.")
    if x.ndim < 2 or x.size == 0:
        raise DataError(f"{path} has {what} of shape {x.shape}, but it needs a row per example: [rows, features].")
    refuse_misplaced_colours(f"{path}, {what},", x.shape)
    names = numbered(len(x))
    return Table(_finite(path, x, names, None), None, names, None)


def _numpy(path: Path) -> Any:
    """What NumPy reads from ``path``, without unpickling anything."""
    try:
        return np.load(path, allow_pickle=False, mmap_mode="r")
    except ValueError as error:
        if not re.search("pickle|Python objects", str(error)):
            raise
        raise _pickled(path) from None


def _pickled(path: Path) -> DataError:
    return DataError(f"{path} holds pickled Python objects, which are never read; save arrays of numbers.")


def _npy(path: Path, asked: Asked) -> Table:
    """The array of a ``.npy`` file."""
    _refuse_columns(path, asked)
    x = _numpy(path)
    if not isinstance(x, np.ndarray):
        raise DataError(f"{path} is an archive of arrays; let its name end in .npz.")
    return _from_array(path, x, "an array")


def _refuse_columns(path: Path, asked: Asked) -> None:
    """Refuse names of columns where there are none."""
    if asked.labels is not None:
        raise DataError(
            f"{path} has no column {asked.labels!r}, as it has no columns with names; "
            "give the labels as a file that ends in .csv, .txt or .npy."
        )
    _refuse_to_ignore(path, asked)


def _refuse_to_ignore(path: Path, asked: Asked) -> None:
    if asked.ignore:
        raise DataError(f"{path} is no table of which the column {asked.ignore[0]!r} can be ignored; leave it out.")


def _npz(path: Path, asked: Asked) -> Table:
    """The rows, and the labels if there are any, of a ``.npz`` file."""
    _refuse_to_ignore(path, asked)
    archive = _numpy(path)
    if isinstance(archive, np.ndarray):
        raise DataError(f"{path} is a single array; let its name end in .npy.")
    with archive:
        arrays = list(archive)
        y = arrays[place(path, "array", arrays, asked.labels)] if asked.labels is not None else None
        rest = [name for name in arrays if name != y]
        x = next((name for name in ("x", "x_train") if name in rest), rest[0] if len(rest) == 1 else None)
        if x is None:
            raise DataError(f"{path} has the arrays {first_few(arrays) or 'none'}; let the one to be read be called x.")
        if y is None:
            y = next((name for name in ("y", "y_train") if name in rest and name != x), None)
        try:
            table = _from_array(path, np.asarray(archive[x]), f"an array {x!r}")
            if y is None:
                return table
            return replace(table, labels=_labels(path, np.asarray(archive[y]), len(table.x), asked.partly))
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise
            raise _pickled(path) from None


# Labels.


def _label_file(path: Path, partly: bool) -> np.ndarray:
    """The labels in a file, one per row; or one more, if it has a header.  Empty lines count if ``partly``."""
    if path.suffix.lower() == ".npy":
        return np.asarray(_numpy(path))
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() == ".txt":
            text = file.read() if partly else file.read().rstrip()
            return np.array([line.strip() for line in text.splitlines()], dtype=object)
        rows = [row or [""] for row in csv.reader(file) if row or partly]
    wide = next((row for row in rows if len(row) > 1), None)
    if wide is not None:
        found = f"{len(wide)} values in a row, {first_few(wide)}"
        raise DataError(f"{path} has {found}, but should have one label per row.")
    return np.array([row[0].strip() for row in rows], dtype=object)


def _known(labels: np.ndarray) -> np.ndarray:
    """Labels as text, empty where they are unknown; ``3.0``, as pandas writes whole numbers beside NaN, is 3."""
    texts = pd.Series(labels, dtype=object).fillna("").astype(str).str.strip()
    if texts.str.fullmatch(r"-?\d+(\.0+)?|nan|").all():
        texts = texts.str.replace(r"\.0+$", "", regex=True)
    return texts.mask(texts.str.lower().isin(UNKNOWN), "").to_numpy(str)


def with_class(labels: np.ndarray) -> np.ndarray:
    """Which labels ``[N]`` name a class: all but -1, or all where without it less than two classes are left."""
    known = labels.astype(str) != "-1"
    return known if len(np.unique(labels[known])) > 1 else np.ones_like(known)


def _labels(path: Path, labels: np.ndarray, n: int, partly: bool, line: Line | None = None) -> np.ndarray:
    """The labels as whole numbers, int64, if all of them are such, or as text; see `read_table` on ``partly``."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "biufOUST":
        raise DataError(
            f"{path} has labels of type {labels.dtype} and shape {labels.shape}, but should have one text or whole "
            "number per row."
        )
    if len(labels) != n:
        found = f"{counted(len(labels), 'label')} for {counted(n, 'row')}"
        raise DataError(f"{path} has {found}, but should have one per row.")
    if partly:
        return _known(labels)
    empty = np.flatnonzero(pd.isna(labels) | [isinstance(label, str) and not label.strip() for label in labels])
    if len(empty):
        where = f"{'first: ' * (len(empty) > 1)}{_at(empty[0], numbered(n), line)}"
        raise DataError(f"{path} has no label in {counted(len(empty), 'row')} ({where}); each row needs one.")
    if labels.dtype.kind == "f":
        # Infinity is its own nearest whole number; and what is beyond int64 would become another number.
        unfit = labels[(labels != np.rint(labels)) | (np.abs(labels) >= 2.0**63)]
        if len(unfit):
            raise DataError(f"{path} has labels such as {unfit[0]}, but they should be text or whole numbers.")
    if labels.dtype.kind in "iuf":
        return labels.astype(np.int64)
    text = labels.astype(str)
    return text.astype(np.int64) if all(_WHOLE.fullmatch(label) for label in text) else text


# Tables.


def _from_columns(path: Path, found: Columns, partly: bool) -> Table:
    """The table of columns that are told apart; their values are checked here."""
    frame, line = found.frame, found.line
    columns = [found.titles[i] for i in found.features]
    names = [str(value) for value in (frame.index if found.name is None else frame[found.name])]
    x = _finite(path, frame[found.features].to_numpy(np.float64, na_value=np.nan), names, columns, line)
    labels = None if found.label is None else _labels(path, frame[found.label].to_numpy(), len(x), partly, line)
    return Table(x, labels, names, columns if found.header else None, found.ignored, found.named_by)


def _csv(path: Path, asked: Asked) -> Table:
    """The table in a text file."""
    return _from_columns(path, columns_of_text(path, asked), asked.partly)


def _parquet(path: Path, asked: Asked) -> Table:
    """The table of a ``.parquet`` file."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise _lacking(".parquet", "pyarrow") from None
    frame = pd.read_parquet(path, engine="pyarrow")
    if frame.empty:
        raise DataError(f"{path} has no rows." if len(frame.columns) else f"{path} has no columns.")
    return _from_columns(path, columns_of_frame(path, frame, asked), asked.partly)


def _lacking(ending: str, package: str) -> DataError:
    return DataError(f"Reading {ending} needs {package}: pip install {package}.")


def numberings(table: Table) -> list[str]:
    """Columns that are called id, index or name and have another number in nearly every row: probably no features.

    Nearly, because float64 makes some numbers of more than 15 digits one.
    """
    titles = table.columns or []
    called = (i for i, title in enumerate(titles) if is_name_title(title))
    return [titles[i] for i in called if len(np.unique(table.x[:, i])) > 0.9 * len(table.x)]


# Single-cell data.


def _h5ad(path: Path, asked: Asked) -> Table:
    """The ``X`` of an AnnData file, as its format is described; nothing else of it is read."""
    _refuse_to_ignore(path, asked)
    try:
        import h5py
    except ImportError:
        raise _lacking(".h5ad", "h5py") from None
    with h5py.File(path) as file:
        if any(not isinstance(file.get(part), h5py.Group) for part in ("obs", "var")):
            raise DataError(f"{path} has no obs and var as AnnData writes them since its version 0.7; save it anew.")
        obs, var = file["obs"], file["var"]
        index = obs.attrs["_index"]
        known = [name for name in obs if name not in (index, "__categories")]
        label = None if asked.labels is None else known[place(path, "column of obs", known, asked.labels)]
        if "X" not in file or getattr(file["X"], "shape", ()) is None:
            raise DataError(f"{path} has no X; copy the layer to be read to X.")
        x = file["X"][:] if isinstance(file["X"], h5py.Dataset) else _sparse(file["X"]).toarray()
        if x.dtype.kind not in "biuf" or x.ndim != 2 or x.size == 0:
            raise DataError(f"{path} has an X of type {x.dtype} and shape {x.shape}, but it should be numbers [N, D].")
        names, columns = ([str(name) for name in _column(part, part.attrs["_index"])] for part in (obs, var))
        y = None if label is None else _labels(path, _column(obs, label), len(x), asked.partly)
        return Table(_finite(path, x, names, columns), y, names, columns)


def _sparse(group: Any) -> Any:
    """A sparse matrix of an AnnData file, in float32 or float64."""
    kind = group.attrs.get("encoding-type", group.attrs.get("h5sparse_format"))
    shape = group.attrs["shape"] if "shape" in group.attrs else group.attrs["h5sparse_shape"]
    make = scipy.sparse.csc_matrix if kind.startswith("csc") else scipy.sparse.csr_matrix
    data = group["data"][:]
    return make((data.astype(_floats(data.dtype)), group["indices"][:], group["indptr"][:]), shape=tuple(shape))


def _column(group: Any, name: str) -> np.ndarray:
    """A column of a table in an AnnData file: plain, in categories, or with a mask of missing values."""
    item = group[name]
    if hasattr(item, "keys") and "codes" in item:
        return _chosen(_column(item, "categories"), item["codes"][:])
    if hasattr(item, "keys"):
        return np.where(item["mask"][:], np.array(None), _column(item, "values"))
    if "categories" in item.attrs:  # as before version 0.8
        return _chosen(_column(item.file, item.file[item.attrs["categories"]].name), item[:])
    return item.asstr()[:] if item.dtype.kind == "O" else item[:]


def _chosen(categories: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The category of each code, None for -1."""
    return np.append(categories.astype(object), [None])[codes]


# Images.


def _images(path: Path, asked: Asked) -> Table:
    """The images in a folder, or in one folder per class."""
    _refuse_columns(path, asked)
    found = (file for file in path.rglob("*") if file.suffix.lower() in IMAGES and not file.is_dir())
    files = {file.relative_to(path).as_posix(): file for file in found}
    names = sorted(name for name in files if not any(part.startswith(".") for part in name.split("/")))
    if not names:
        raise DataError(f"{path} has no images, which end in {', '.join(IMAGES)}.")
    deep, shallow = (pick(names, key=lambda name: name.count("/")) for pick in (max, min))
    if deep.count("/") > 1 or deep.count("/") > shallow.count("/"):
        raise DataError(
            f"{path} has images such as {first_few(dict.fromkeys((shallow, deep)))}; put all into this folder, or into "
            "one folder per class in it."
        )
    headers = {name: _reading(files[name], _header) for name in names}
    sizes = {name: f"{width} × {height}" for name, (_, (width, height)) in headers.items()}
    _alike(path, sizes, "sizes (width × height)", "give all one size")
    colours = {name: "grey" if mode == "L" else "in colour" for name, (mode, _) in headers.items()}
    _alike(path, colours, "kinds", "make all grey or all in colour")
    mode, (width, height) = headers[names[0]]
    x = np.empty((len(names), height, width, 3)[: 4 if mode == "RGB" else 3], np.uint8)
    for row, name in zip(x, names, strict=True):
        row[:] = _reading(files[name], _pixels)
    classes = np.array([name.partition("/")[0] for name in names])
    return Table(x, _labels(path, classes, len(x), asked.partly) if "/" in deep else None, names, None)


def _alike(path: Path, properties: dict[str, str], what: str, cure: str) -> None:
    """Refuse images that differ, by an example of each of the two commonest kinds."""
    by_kind: dict[str, list[str]] = {}
    for name, kind in properties.items():
        by_kind.setdefault(kind, []).append(name)
    if len(by_kind) > 1:
        commonest = sorted(by_kind.items(), key=lambda item: -len(item[1]))[:2]
        shown = " and ".join(f"{kind} ({len(names)}, such as {names[0]!r})" for kind, names in commonest)
        raise DataError(f"{path} has images of {len(by_kind)} {what}, {shown}; {cure}.")


def _open(path: Path) -> Image.Image:
    return Image.open(path, formats=("PNG", "JPEG", "BMP", "TIFF"))


def _header(path: Path) -> tuple[str, tuple[int, int]]:
    """Whether an image is grey, ``L``, or colour, ``RGB``; and its width and height."""
    with _open(path) as image:
        if ";16" in f"{image.mode} {getattr(image, 'tile', '')}":
            raise DataError(f"{path} has 16 bits per value, but images are read with 8; save it so.")
        if image.mode not in _MODES:
            raise DataError(f"{path} has the colours {image.mode}; save it in grey or RGB, 8 bits per value.")
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            raise DataError(f"{path} holds several images; save each as a file.")
        return _MODES[image.mode], image.size


def _pixels(path: Path) -> np.ndarray:
    """The image at ``path`` in grey or RGB, ``[H, W]`` or ``[H, W, 3]``; all of it is opaque."""
    with _open(path) as image:
        if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
            raise DataError(f"{path} is partly transparent; save it without transparency (an alpha channel).")
        return np.asarray(image.convert(_MODES[image.mode]))


#: By the endings of files, what reads them.
_READERS: dict[str, Callable[[Path, Asked], Table]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".h5ad": _h5ad,
}
