"""What a data set is: named arrays with their splits, a digest and a known source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

#: How near a data set is to the one that a paper used: the same; real, but fewer rows; made anew by the known recipe,
#: with known differences; or other data in its place.
Fidelity = Literal["exact", "subset", "rebuilt", "surrogate"]


class DataError(Exception):
    """Data that is missing, damaged or unsuitable; the message names data set, folder, file and cure."""


class MissingData(DataError):
    """Data of which a file is not there."""


@dataclass(frozen=True)
class Split:
    """Rows of a data set.

    Attributes:
        x: uint8 grey values 0 … 255 or float32 features, ``[N, D]``.
        y: int64 labels ``[N]``, or None where the data set has none.
        factors: further int64 labels ``[N]`` by what they are about, such as ``ink``; nothing where only y is known.
        groups: int64 numbers ``[N]`` of what rows have in common, such as the photograph that they were cut from, so
            that a split takes all rows of a group or none; or None where rows are independent.
    """

    x: UInt8[np.ndarray, "N D"] | Float[np.ndarray, "N D"]
    y: Int[np.ndarray, " N"] | None
    factors: Mapping[str, Int[np.ndarray, " N"]] = field(default_factory=dict)
    groups: Int[np.ndarray, " N"] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, index: np.ndarray) -> Split:
        """The rows at ``index``, in its order."""
        factors = {name: labels[index] for name, labels in self.factors.items()}
        y, groups = (None if labels is None else labels[index] for labels in (self.y, self.groups))
        return Split(self.x[index], y, factors, groups)


def whole_groups(groups: Int[np.ndarray, " N"], order: Int[np.ndarray, " G"], n: int) -> Int[np.ndarray, " n"]:
    """Rows of whole groups: in the given order, every group that still fits into ``n`` rows.

    Args:
        groups: the group of each row.
        order: the order in which groups are tried, as places among their sorted numbers.
        n: how many rows to take.

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
    """Named splits with their provenance.

    Attributes:
        name: the name it is loaded by.
        splits: ``train`` and, where the source has them, ``test`` and others.
        image_shape: (height, width, channels) of a row, or None if rows are not images.
        class_names: what the labels 0 … K-1 stand for.
        fidelity: how near it is to the data set of the papers.
        stands_in_for: the data set of the papers that this one stands in for, or None if it is exactly that.
        variant: which of several forms of the source was read, where there are several.
    """

    name: str
    splits: Mapping[str, Split]
    image_shape: tuple[int, int, int] | None = None
    class_names: tuple[str, ...] = ()
    fidelity: Fidelity = "exact"
    stands_in_for: str | None = None
    variant: str = ""

    def digest(self) -> str:
        """SHA-256 over names, shapes, types and contents of all arrays."""
        sha = hashlib.sha256()
        for split_name, split in sorted(self.splits.items()):
            arrays = [("x", split.x), ("y", split.y), *sorted(split.factors.items()), ("groups", split.groups)]
            for array_name, array in arrays:
                if array is not None:
                    sha.update(f"{split_name}.{array_name} {array.dtype.str} {array.shape}".encode())
                    sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    def join(self, split: str) -> DataSet:
        """Append the split to the training split, in which it disappears.

        Raises:
            DataError: if there is no such split.
        """
        if split == "train" or split not in self.splits:
            raise DataError(
                f"The data set {self.name} has no split {split!r} to train on as well, only {', '.join(self.splits)}."
            )
        kept = {name: part for name, part in self.splits.items() if name != split}
        parts = self.splits["train"], self.splits[split]
        labels = [part.y for part in parts if part.y is not None]
        y = np.concatenate(labels) if len(labels) == len(parts) else None
        shared = parts[0].factors.keys() & parts[1].factors.keys()
        factors = {name: np.concatenate([part.factors[name] for part in parts]) for name in sorted(shared)}
        numbers = [part.groups for part in parts if part.groups is not None]
        groups = np.concatenate(numbers) if len(numbers) == len(parts) else None
        joined = Split(np.concatenate([part.x for part in parts]), y, factors, groups)
        return replace(self, splits={**kept, "train": joined})

    def labelled(self, n: int, seed: int) -> Int[np.ndarray, " n"]:
        """Rows of the training split whose labels a model may see: as many of each class, drawn at random.

        Raises:
            DataError: if the split has no labels, ``n`` is no multiple of its classes, or a class has too few rows.
        """
        y = self.splits["train"].y
        if y is None:
            raise DataError(f"The data set {self.name} has no labels to show to a model; leave data.n_labels at 0.")
        classes, counts = np.unique(y, return_counts=True)
        each, left = divmod(n, len(classes))
        if left or not each:
            raise DataError(
                f"{n} labels cannot be drawn evenly from the {len(classes)} classes of {self.name}; "
                f"set data.n_labels to a multiple of {len(classes)}."
            )
        if counts.min() < each:
            raise DataError(
                f"A class of {self.name} has only {counts.min()} rows to train on; "
                f"data.n_labels = {n} would take {each} of each class, so set {counts.min() * len(classes)} or fewer."
            )
        rng = np.random.default_rng(seed)
        return np.concatenate([rng.choice(np.flatnonzero(y == c), each, replace=False) for c in classes])

    def hold_out(self, new: str, fraction: float, seed: int) -> DataSet:
        """Move a random ``fraction`` of the training split to a split called ``new``.

        Both parts keep the order that the rows had.  Rows of one group stay together; of groups that are large, the
        fraction may be somewhat less.

        Raises:
            DataError: if a part would be empty.
        """
        train = self.splits["train"]
        rng, n_new = np.random.default_rng(seed), round(fraction * len(train))
        if train.groups is None:
            held = np.sort(rng.permutation(len(train))[len(train) - n_new :])
        else:
            held = whole_groups(train.groups, rng.permutation(len(np.unique(train.groups))), n_new)
        if not 0 < len(held) < len(train):
            right = f"to {1 / len(train):.2g} or more" if n_new < len(train) else "to less"
            raise DataError(
                f"{fraction:g} of the {len(train)} training rows of {self.name} is "
                f"{'none' if n_new < len(train) else 'all of them'}; set data.{new}_fraction {right}."
            )
        rest = np.setdiff1d(np.arange(len(train)), held, assume_unique=True)
        return replace(self, splits={**self.splits, "train": train.rows(rest), new: train.rows(held)})
