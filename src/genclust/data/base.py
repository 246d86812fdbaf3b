"""Classes of data sets and splits: named arrays with labels, a digest, and how close they are to a paper's data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

#: How close a data set is to the one that a paper used.  ``exact`` is the same, ``subset`` real but with fewer rows,
#: ``rebuilt`` made anew by the known recipe with known differences, ``surrogate`` other data in its place.
Fidelity = Literal["exact", "subset", "rebuilt", "surrogate"]


class DataError(Exception):
    """Error for missing, damaged or unsuitable data; the message names data set, folder, file and remedy."""


class MissingData(DataError):
    """Error for a data set of which a file is missing."""


@dataclass(frozen=True)
class Split:
    """One split of a data set: inputs, labels and, where known, further factors and groups.

    Attributes:
        x: uint8 grey values 0 … 255 or float32 features, ``[N, D]``.
        y: int64 labels ``[N]``, or None where the data set has none.
        factors: further int64 labels ``[N]`` by the name of the factor, such as ``ink``; empty where only y is known.
        groups: int64 numbers ``[N]`` of groups of related rows, such as crops from the same photograph, so
            that a split takes all rows of a group or none; or None where rows are independent.
    """

    x: UInt8[np.ndarray, "N D"] | Float[np.ndarray, "N D"]
    y: Int[np.ndarray, " N"] | None
    factors: Mapping[str, Int[np.ndarray, " N"]] = field(default_factory=dict)
    groups: Int[np.ndarray, " N"] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, index: np.ndarray) -> Split:
        """Split with the rows at ``index``, in the order of ``index``."""
        factors = {name: labels[index] for name, labels in self.factors.items()}
        y, groups = (None if labels is None else labels[index] for labels in (self.y, self.groups))
        return Split(self.x[index], y, factors, groups)


def whole_groups(groups: Int[np.ndarray, " N"], order: Int[np.ndarray, " G"], n: int) -> Int[np.ndarray, " n"]:
    """Indices of at most ``n`` rows in whole groups: in the given order, every group that still fits.

    Args:
        groups: group of each row.
        order: order in which groups are tried, as indices into their sorted numbers.
        n: number of rows to take.

    Returns:
        The rows taken, ascending: ``n``, or fewer where no group is left that fits.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    taken = np.zeros(len(sizes), bool)
    for g in order:
        if sizes[g] <= n:
            taken[g] = True
            n -= sizes[g]
    return np.flatnonzero(taken[group])


@dataclass(frozen=True)
class DataSet:
    """A data set: its named splits, and how close it is to the data of the papers.

    Attributes:
        name: name by which it is loaded.
        splits: ``train`` and, where the source has them, ``test`` and others.
        image_shape: (height, width, channels) of a row, or None if the rows are not images.
        class_names: names of the classes 0 … K-1.
        fidelity: how close it is to the data set of the papers.
        stands_in_for: name of the papers' data set that this one replaces, or None if it is exactly that.
        variant: name of the form of the source that was read, where there are several.
    """

    name: str
    splits: Mapping[str, Split]
    image_shape: tuple[int, int, int] | None = None
    class_names: tuple[str, ...] = ()
    fidelity: Fidelity = "exact"
    stands_in_for: str | None = None
    variant: str = ""

    def digest(self) -> str:
        """SHA-256 digest of the names, shapes, types and contents of all arrays."""
        sha = hashlib.sha256()
        for split_name, split in sorted(self.splits.items()):
            arrays = [("x", split.x), ("y", split.y), *sorted(split.factors.items()), ("groups", split.groups)]
            for array_name, array in arrays:
                if array is not None:
                    sha.update(f"{split_name}.{array_name} {array.dtype.str} {array.shape}".encode())
                    sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    def join(self, split: str) -> DataSet:
        """Copy of the data set in which ``split`` is merged into the training split.

        Raises:
            DataError: if there is no such split.
        """
        if split == "train" or split not in self.splits:
            raise DataError(
                f"The data set {self.name} has no split {split!r} to train on as well, only {', '.join(self.splits)}."
            )
        other_splits = {name: part for name, part in self.splits.items() if name != split}
        parts = self.splits["train"], self.splits[split]
        labels = [part.y for part in parts if part.y is not None]
        y = np.concatenate(labels) if len(labels) == len(parts) else None
        shared = parts[0].factors.keys() & parts[1].factors.keys()
        factors = {name: np.concatenate([part.factors[name] for part in parts]) for name in sorted(shared)}
        numbers = [part.groups for part in parts if part.groups is not None]
        groups = np.concatenate(numbers) if len(numbers) == len(parts) else None
        joined = Split(np.concatenate([part.x for part in parts]), y, factors, groups)
        return replace(self, splits={**other_splits, "train": joined})

    def labelled(self, n: int, seed: int) -> Int[np.ndarray, " n"]:
        """Indices of ``n`` random training rows whose labels a model may see, the same number from each class.

        Raises:
            DataError: if the split has no labels, ``n`` is no multiple of its classes, or a class has too few rows.
        """
        y = self.splits["train"].y
        if y is None:
            raise DataError(f"The data set {self.name} has no labels to show to a model; leave data.n_labels at 0.")
        classes, counts = np.unique(y, return_counts=True)
        per_class, remainder = divmod(n, len(classes))
        if remainder or not per_class:
            raise DataError(
                f"{n} labels cannot be drawn evenly from the {len(classes)} classes of {self.name}; "
                f"set data.n_labels to a multiple of {len(classes)}."
            )
        if counts.min() < per_class:
            raise DataError(
                f"A class of {self.name} has only {counts.min()} rows to train on; "
                f"data.n_labels = {n} would take {per_class} of each class, "
                f"so set {counts.min() * len(classes)} or fewer."
            )
        rng = np.random.default_rng(seed)
        return np.concatenate([rng.choice(np.flatnonzero(y == c), per_class, replace=False) for c in classes])

    def hold_out(self, new: str, fraction: float, seed: int) -> DataSet:
        """Copy of the data set with a random ``fraction`` of the training split moved to a split called ``new``.

        Both parts keep the order that the rows had.  Rows of one group stay together; of groups that are large, the
        fraction may be somewhat less.

        Raises:
            DataError: if a part would be empty.
        """
        train = self.splits["train"]
        rng, n_new = np.random.default_rng(seed), round(fraction * len(train))
        if train.groups is None:
            held_out = np.sort(rng.permutation(len(train))[len(train) - n_new :])
        else:
            held_out = whole_groups(train.groups, rng.permutation(len(np.unique(train.groups))), n_new)
        if not 0 < len(held_out) < len(train):
            right = f"to {1 / len(train):.2g} or more" if n_new < len(train) else "to less"
            raise DataError(
                f"{fraction:g} of the {len(train)} training rows of {self.name} is "
                f"{'none' if n_new < len(train) else 'all of them'}; set data.{new}_fraction {right}."
            )
        rest = np.setdiff1d(np.arange(len(train)), held_out, assume_unique=True)
        return replace(self, splits={**self.splits, "train": train.rows(rest), new: train.rows(held_out)})
