"""The columns of a table in a text file or a data frame: which are features, labels and names of the rows.

In a text file it is also told which line has the titles, what separates the values, and whether commas are decimal.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from genclust.data.base import DataError
from genclust.wording import counted, did_you_mean, first_few, quoted

#: Columns of text that are called so hold the names of the rows.
NAME_COLUMNS = ("id", "index", "name")
#: What pandas calls dates, with a time of day or without.
DATES = ("date", "datetime", "datetime64")
#: Rows from which on any column of text that differs in each of them is taken for their names.
LEAST_NAMES = 5
#: What stands in a text file, in small letters, where a number is missing.
MISSING = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "?", "-", ".")
#: What is read as a number from a text file, in small letters.
TRUTH = {"true": "1", "false": "0"}

_NUMBER = re.compile(r"\s*[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan|inf|infinity)\s*", re.IGNORECASE | re.ASCII)
_COMMA = re.compile(r"[-+]?[\d.]*,\d+(e[-+]?\d+)?", re.IGNORECASE)
#: Text that begins with a number, such as ``12%``, ``€ 3,50`` or ``120/80``; where all do, they say how much.
_QUANTITY = re.compile(r"\s*[-+<>~]?\s*[^\w\s]?\s*[\d.,]*\d.*", re.DOTALL)
_DATE = re.compile(r"\s*(\d{4}-\d\d?-\d\d?|\d\d?[./]\d\d?[./]\d{4}).*")

#: The line of a file that a row, counted from 0, stands in.
Line = Callable[[int], int]


@dataclass(frozen=True)
class Asked:
    """What is asked for beside the rows of a file; see `genclust.data.tables.read_table`.

    Attributes:
        labels: the column, or in an archive the array, that has the labels; None if none has.
        only: names of features, or None for all.
        partly: whether labels may be unknown.
        ignore: columns that are no features.
    """

    labels: str | None
    only: Sequence[str] | None = None
    partly: bool = False
    ignore: Sequence[str] = ()


@dataclass(frozen=True)
class Columns:
    """The columns of a file, and what each of them is for.

    Attributes:
        frame: rows ``[N, …]`` with the columns 0, 1, …; of those of features, numbers of which some may be missing.
        titles: one per column of the frame; its place ``"0"``, ``"1"``, … where the file has no header.
        header: whether the file has one.
        features: places of the features; one or more.
        label: place of the labels, or None where none are asked for.
        name: place of the names of the rows, or None if those are the frame's index.
        named_by: title of the column with the names, where nothing but its text tells so.
        ignored: titles of columns that were not asked for.
        line: of a text file, the line in which a row stands.
    """

    frame: pd.DataFrame
    titles: Sequence[str]
    header: bool
    features: list[int]
    label: int | None
    name: int | None
    named_by: str | None
    ignored: Sequence[str]
    line: Line | None


# Text files.


def columns_of_text(path: Path, asked: Asked) -> Columns:
    """The columns of a text file, of which the numbers are read into float64 at once.

    Raises:
        DataError: if the file is empty, has rows of different lengths, text among the features or no features, or lacks
            a column that is asked for.
        UnicodeDecodeError: if it is not in UTF-8.
    """
    separator, rows = _first_rows(path)
    if not rows:
        raise DataError(f"{path} is empty.")
    comma = separator != "," and _has_decimal_commas(rows)
    rows = [[_with_point(value) if comma else value for value in row] for row in rows]
    header = _is_header(*rows[:2])
    asked = asked if header else replace(asked, only=None)
    body = rows[1:] if header else rows
    if not body:
        raise DataError(f"{path} has a header, but no rows.")
    width = len(body[0])
    titles = [title.strip() for title in rows[0]] if header else numbered(width)
    if len(titles) == width - 1:
        titles = ["", *titles]  # R leaves out what the column of names is called
    if len(titles) != width:
        _diagnose(path, separator, comma, titles, header, set())
    label = None if asked.labels is None else place(path, "column", titles, asked.labels)
    name = None if titles[0] else 0
    by_index = name == 0 and not _NUMBER.fullmatch(body[0][0])  # and not numbers that pandas wrote unasked
    maybe = [] if by_index else [i for i in _may_name(titles, body[0], label) if i != name]
    needed = {i for i in (None if asked.partly else label, name, *maybe) if i is not None}
    text = {i for i in (label, *needed) if i is not None} | _ignored(path, titles, asked)

    def read(numbers: type) -> pd.DataFrame:
        return pd.read_csv(
            path,
            sep=separator,
            decimal="," if comma else ".",
            header=0 if header else None,
            names=list(range(width)),
            index_col=False,
            dtype={i: str if i in text else numbers for i in range(width)},
            na_filter=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
        )

    try:
        frame = read(np.float64)
        sound = all(frame[i].astype(bool).all() for i in needed)
    except UnicodeDecodeError:
        raise
    except ValueError:
        sound = False
    if not sound:
        _diagnose(path, separator, comma, titles, header, text)
        frame = read(str)
        for i in set(frame) - text:
            texts = frame[i].str.replace(",", ".") if comma else frame[i]
            frame[i] = pd.to_numeric(texts.str.strip().str.lower().replace(TRUTH), errors="coerce")

    def line(row: int) -> int:
        return _line(path, separator, row + header)

    return _sorted_out(path, frame, titles, label, name, maybe, asked, header, line)


def _first_rows(path: Path) -> tuple[str, list[list[str]]]:
    """The separator, and the first few rows.

    It is the first of tab, semicolon, bar and comma that is in each of them, as a decimal comma may be in all.
    """
    rows: list[list[str]] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for separator in "\t;|,":
            file.seek(0)
            lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
            rows = list(itertools.islice((row for row in lines if row), 20))
            if rows and all(len(row) > 1 for row in rows):
                break
    return separator, rows


def _line(path: Path, separator: str, n: int) -> int:
    """The line, counted from 1, in which the ``n``-th row of a text file ends, counted from 0 and with the header."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
        return next(itertools.islice((lines.line_num for row in lines if row), n, None))


def _has_decimal_commas(rows: list[list[str]]) -> bool:
    """Whether numbers have a comma before their fraction, and none has a point."""
    numbers = [value for row in rows for value in row if _COMMA.fullmatch(value.strip()) or _NUMBER.fullmatch(value)]
    return any("," in number for number in numbers) and not any("." in number for number in numbers)


def _with_point(value: str) -> str:
    """A number with a decimal comma as one with a point; other text as it is."""
    return value.replace(",", ".") if _COMMA.fullmatch(value.strip()) else value


def _is_header(first: list[str], second: Sequence[str] = ()) -> bool:
    """Whether the first row names the columns.

    It does if it has no number, has text above a number, or counts, as the columns of pandas and of images do.
    """
    numbers = [i for i, value in enumerate(first) if _NUMBER.fullmatch(value)]
    below = [i for i, value in enumerate(second) if _NUMBER.fullmatch(value)]
    if not numbers or any(i < len(first) and i not in numbers and first[i].lower() not in MISSING for i in below):
        return True
    titles = [first[i] for i in numbers]
    counts = titles[0].isdigit() and titles == [str(int(titles[0]) + i) for i in range(len(titles))]
    fractions = any(i < len(second) and not second[i].isdigit() for i in numbers)
    return counts and (len(titles) > 2 or fractions)


def _diagnose(path: Path, separator: str, comma: bool, titles: Sequence[str], header: bool, text: set[int]) -> None:
    """Refuse rows of another length than the first, and text where numbers should be.

    With a decimal ``comma``, a point is no part of a number, as it may stand for thousands.
    """
    found: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
        for n, row in enumerate(row for row in lines if row):
            if len(row) != len(titles) and not (header and n == 0):
                raise DataError(
                    f"{path} has {counted(len(row), 'value')} in line {lines.line_num}, but "
                    f"{counted(len(titles), 'column')}; "
                    "each row needs one value per column."
                )
            if n or not header:
                for i, value in enumerate(row):
                    number = (
                        _NUMBER.fullmatch(_with_point(value)) and "." not in value
                        if comma
                        else _NUMBER.fullmatch(value)
                    )
                    known = number or value.strip().lower() in (*MISSING, *TRUTH)
                    if i not in text and not known:
                        found.setdefault(titles[i], value)
    if found:
        _refuse_text(path, found)


# What columns are for.


def columns_of_frame(path: Path, frame: pd.DataFrame, asked: Asked) -> Columns:
    """The columns of a data frame that was read from ``path``; an index other than the usual one has the names.

    Args:
        path: for messages.
        frame: with one row or more and one column or more.
        asked: which of its columns are asked for.

    Raises:
        DataError: if it has text among the features or no features, or lacks a column that is asked for.
    """
    titles = [str(title) for title in frame.columns]
    frame = frame.set_axis(pd.RangeIndex(len(titles)), axis=1)
    for i in frame:
        if pd.api.types.infer_dtype(frame[i]) in DATES:  # dates are text, as they are in a text file
            frame[i] = frame[i].astype(str).where(frame[i].notna(), None)
    label = None if asked.labels is None else place(path, "column", titles, asked.labels)
    maybe = _may_name(titles, frame.iloc[0].tolist(), label) if isinstance(frame.index, pd.RangeIndex) else ()
    return _sorted_out(path, frame, titles, label, None, maybe, asked)


def _sorted_out(
    path: Path,
    frame: pd.DataFrame,
    titles: Sequence[str],
    label: int | None,
    name: int | None,
    maybe: Sequence[int],
    asked: Asked,
    header: bool = True,
    line: Line | None = None,
) -> Columns:
    """What the columns 0, 1, … of a frame are for, of which ``label`` and ``name`` are no features.

    The names are in the first column of ``maybe`` that can hold them, or else in that of ``name``, or in the index.
    """
    ignored = _ignored(path, titles, asked)
    # Of few rows any text differs, so it tells nothing, unless the column is the only one that is no feature.
    enough = len(frame) >= LEAST_NAMES or (len(maybe) == 1 and maybe[0] in ignored)
    able = (i for i in maybe if (enough or is_name_title(titles[i])) and (asked.only is None or i in ignored))
    by_text = next((i for i in able if _are_names(frame[i], is_name_title(titles[i]))), None)
    index, name = name, name if by_text is None else by_text
    named_by = None if by_text is None or is_name_title(titles[by_text]) else titles[by_text]
    ignored -= {label, name, index}
    features = [i for i in range(len(titles)) if i not in (label, name, index, *ignored)]
    text = {
        titles[i]: next((value for value in frame[i] if isinstance(value, str)), str(frame[i].iloc[0]))
        for i in features
        if frame[i].dtype.kind not in "biuf"
    }
    if text:
        _refuse_text(path, text)
    if not features:
        raise DataError(f"{path} has no columns of features.")
    rest = [titles[i] for i in sorted(ignored)]
    return Columns(frame, titles, header, features, label, name, named_by, rest, line)


def _ignored(path: Path, titles: Sequence[str], asked: Asked) -> set[int]:
    """Places of columns to ignore, and of those that were not asked for, unless none of those asked for is there."""
    for name in set(asked.ignore) - set(titles):
        place(path, "column", titles, name)
    known = set(titles if asked.only is None else asked.only)
    unknown = set(titles) - known if known & set(titles) else set()
    return {i for i, title in enumerate(titles) if title in unknown | set(asked.ignore)}


def is_name_title(title: str) -> bool:
    """Whether a column is called as those with the names of the rows are."""
    return title.lower() in NAME_COLUMNS


def _may_name(titles: Sequence[str], first: Sequence[Any], label: int | None) -> list[int]:
    """The columns that may hold the names of the rows, by their first value; those that are called so come first."""
    text = [i for i in range(len(first)) if i != label and _are_names(first[i : i + 1], is_name_title(titles[i]))]
    return sorted(text, key=lambda i: not is_name_title(titles[i]))


def _are_names(values: Iterable[Any], called_so: bool) -> bool:
    """Whether the values are text, differ from each other, and none is a number.

    Unless they are ``called_so``, none may be missing either, nor all of them quantities.
    """
    values = list(values)
    if not all(isinstance(value, str) for value in values) or len(set(values)) < len(values):
        return False
    if any(_NUMBER.fullmatch(value) for value in values):
        return False
    if called_so:
        return True
    quantities = all(_QUANTITY.fullmatch(value) and not _DATE.fullmatch(value) for value in values)
    return not quantities and not any("\n" in value or value.strip().lower() in (*MISSING, *TRUTH) for value in values)


def _refuse_text(path: Path, found: dict[str, str]) -> NoReturn:
    """Refuse columns that are not numbers, by a value that each holds."""
    name, value = next(iter(found.items()))
    if _COMMA.fullmatch(value.strip()):
        raise DataError(
            f"{path} has numbers with a comma, such as {value!r} in the column {name!r}; write a decimal point, and "
            "nothing between thousands."
        )
    if len(found) == 1:
        raise DataError(
            f"{path} has a column that is not numbers, {quoted(name)} (such as {quoted(value)} in {name!r}); if it has "
            "the labels, give it as --labels COLUMN; if it names the rows, call it name and let each row have another; "
            "or else drop it by --ignore COLUMN, or encode it as numbers."
        )
    raise DataError(
        f"{path} has columns that are not numbers, {first_few(found)} (such as {quoted(value)} in {name!r}); give the "
        "one with labels as --labels COLUMN, drop the others or encode them as numbers."
    )


def place(path: Path, what: str, known: Sequence[str], name: str) -> int:
    """The place of ``name`` among the ``known`` names of a ``what``, such as a column.

    Raises:
        DataError: if it is not among them, or more than once.
    """
    if known.count(name) == 1:
        return known.index(name)
    if name in known:
        raise DataError(f"{path} has more than one {what} {name!r}; rename all but the one with the labels.")
    raise DataError(f"{path} has no {what} {name!r}, only {first_few(known) or 'none'}{did_you_mean(name, known)}")


def numbered(n: int) -> list[str]:
    """Names of rows or columns that have none."""
    return [str(i) for i in range(n)]
