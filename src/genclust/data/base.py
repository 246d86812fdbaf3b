"""What a data set is: named arrays with their splits, a digest and a known source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int, UInt8


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
    """

    x: UInt8[np.ndarray, "N D"] | Float[np.ndarray, "N D"]
    y: Int[np.ndarray, " N"] | None
    factors: Mapping[str, Int[np.ndarray, " N"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, index: np.ndarray) -> Split:
        """The rows at ``index``, in its order."""
        factors = {name: labels[index] for name, labels in self.factors.items()}
        return Split(self.x[index], None if self.y is None else self.y[index], factors)


@dataclass(frozen=True)
class DataSet:
    """Named splits with their provenance.

    Attributes:
        name: the name it is loaded by.
        splits: ``train`` and, where the source has them, ``test`` and others.
        image_shape: (height, width, channels) of a row, or None if rows are not images.
        class_names: what the labels 0 … K-1 stand for.
        surrogate_for: the data set of the papers that this one stands in for, or None.
        variant: which of several forms of the source was read, where there are several.
    """

    name: str
    splits: Mapping[str, Split]
    image_shape: tuple[int, int, int] | None = None
    class_names: tuple[str, ...] = ()
    surrogate_for: str | None = None
    variant: str = ""

    def digest(self) -> str:
        """SHA-256 over names, shapes, types and contents of all arrays."""
        sha = hashlib.sha256()
        for split_name, split in sorted(self.splits.items()):
            for array_name, array in (("x", split.x), ("y", split.y), *sorted(split.factors.items())):
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
        return replace(self, splits={**kept, "train": Split(np.concatenate([part.x for part in parts]), y, factors)})

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

        Both parts keep the order that the rows had.

        Raises:
            DataError: if a part would be empty.
        """
        train = self.splits["train"]
        order = np.random.default_rng(seed).permutation(len(train))
        n_train = len(train) - round(fraction * len(train))
        if not 0 < n_train < len(train):
            right = f"to {1 / len(train):.2g} or more" if n_train else "to less"
            raise DataError(
                f"{fraction:g} of the {len(train)} training rows of {self.name} is "
                f"{'none' if n_train else 'all of them'}; set data.{new}_fraction {right}."
            )
        return replace(
            self,
            splits={
                **self.splits,
                "train": train.rows(np.sort(order[:n_train])),
                new: train.rows(np.sort(order[n_train:])),
            },
        )
