"""Between people's arrays and what models see: rows in units of the model, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from scipy import sparse
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from genclust.data.files import refuse_misplaced_colours
from genclust.settings import SettingError

#: ``auto``, or how columns are scaled.
Scale = Literal["auto", "none", "minmax", "standard", "log"]
#: How far outside [0, 1] new rows may lie before they are taken for values of another unit.
BEYOND = 0.5
#: Rows that are converted, and shown to a model, at once.
CHUNK = 2000


def as_rows(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Images as rows of their values, and the shape of one; rows, tables and sparse matrices as they are, and None.

    Args:
        X: rows ``[N, D]``, or images ``[N, H, W]`` or ``[N, H, W, C]``; NumPy, pandas, SciPy sparse, PyTorch or lists.

    Raises:
        ValueError: if images differ in shape, have their colours before height and width or more axes than these, or
            are still Pillow's.
    """
    if isinstance(X, Tensor):
        X = X.detach().cpu().to_dense()  # as NumPy has no sparse arrays
        X = X.float().numpy() if X.dtype == torch.bfloat16 else X.numpy()
    if isinstance(X, (list, tuple)) and len(X):
        if isinstance(X[0], Image.Image):  # whose values may be numbers of colours in a palette
            raise ValueError(
                "X holds images of Pillow; give an array, such as "
                "np.stack([np.asarray(image.convert('RGB')) for image in X]), with 'L' in place of 'RGB' for grey ones."
            )
        if np.ndim(X[0]) > 1:
            X = _stacked(X)
    if getattr(X, "ndim", 2) > 4:
        raise ValueError(
            f"X has {X.ndim} dimensions; give rows × columns, or images as N × height × width or "
            "N × height × width × colours."
        )
    if getattr(X, "ndim", 2) > 2:
        images = np.asarray(X)
        refuse_misplaced_colours("X", images.shape, ValueError)
        return images.reshape(len(images), math.prod(images.shape[1:])), images.shape[1:]
    return X, None


def _stacked(images: Sequence[Any]) -> np.ndarray:
    shapes = sorted({tuple(np.shape(image)) for image in images})
    if len(shapes) > 1:
        raise ValueError(f"Images must all have one shape, and there are some of {shapes[0]} and some of {shapes[1]}.")
    return np.stack([np.asarray(image) for image in images])


def in_unit_interval(rows: Any) -> bool:
    """Whether all values lie in [0, 1], but for rounding errors such as scikit-learn's MinMaxScaler makes."""
    return bool(rows.min() >= -1e-6 and rows.max() <= 1 + 1e-6)


@dataclass(frozen=True)
class Scaling:
    """How columns are scaled for a model, and generated values back: ``x = (X - shift) / scale``.

    Attributes:
        kind: ``none`` (values are used as they are), ``grey`` (uint8 levels 0 … 255, or numbers in [0, 1]),
            ``minmax``, ``standard``, or ``log``, which is ``standard`` of log(1 + X).
        shift: of every column, or one for all.
        scale: likewise, positive.
    """

    kind: Literal["none", "grey", "minmax", "standard", "log"]
    shift: Float[np.ndarray, " D"]
    scale: Float[np.ndarray, " D"]

    @classmethod
    def fitted(cls, rows: Any, asked: Scale, unit_interval: bool, images: bool) -> Scaling:
        """The scaling of the rows to fit.

        Args:
            rows: ``[N, D]``, dense or sparse.
            asked: ``auto`` leaves values in [0, 1] as they are, takes other uint8 as grey levels, and otherwise brings
                columns to [0, 1] (``minmax``) for a model that needs them there, or to mean 0 and variance 1.  ``log``
                takes the logarithm of 1 + X first, which is for counts.
            unit_interval: whether the model needs values in [0, 1].
            images: whether all columns share one range, as pixels do.

        Raises:
            SettingError: if ``asked`` leaves values outside [0, 1] for a model that needs them there, or takes
                logarithms of negative values.
        """
        low, high = rows.min(), rows.max()
        inside = in_unit_interval(rows)
        if rows.dtype == np.uint8 and not inside and asked in ("auto", "none"):
            return cls("grey", np.zeros(1), np.full(1, 255.0))
        kind = asked
        if asked == "auto":
            kind = "none" if inside else "minmax" if unit_interval else "standard"
        if unit_interval and (kind in ("standard", "log") or (kind == "none" and not inside)):
            raise SettingError(
                f"The model needs values in [0, 1], and X spans {low:g} to {high:g}; take scale='auto' or 'minmax', "
                "or, where the model has a Gaussian likelihood, likelihood='gaussian'."
            )
        if kind == "none":
            return cls("none", np.zeros(1), np.ones(1))
        if kind == "minmax":
            if images:
                least, most = np.full(1, float(low)), np.full(1, float(high))
            else:
                least, most = dense(rows.min(axis=0)), dense(rows.max(axis=0))
            return cls("minmax", least, _positive(most - least))
        if kind == "log":
            if low < 0:
                raise SettingError(
                    f"scale='log' is for counts, from 0 on, and X goes down to {low:g}; take scale='standard'."
                )
            rows = _log1p(rows)
        scaler = StandardScaler(with_mean=False).fit(rows)  # in float64, whatever the rows are
        mean, sd = scaler.mean_, scaler.scale_
        if images:
            sd = np.full(1, np.sqrt(scaler.var_.mean() + mean.var()))
            mean = np.full(1, mean.mean())
        return cls("log" if kind == "log" else "standard", mean, _positive(sd))

    def apply(self, rows: Any) -> Float[Tensor, "N D"]:
        """Rows as the model sees them, in float32; what lies outside the range that ``minmax`` fitted is put on its
        edge."""
        x = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
        if self.kind == "none" or (self.kind == "grey" and x.dtype != np.uint8):
            return torch.from_numpy(x.astype(np.float32))
        if self.kind == "grey":
            return torch.from_numpy(x.astype(np.float32) / np.float32(255))
        x = _log1p(x) if self.kind == "log" else x
        scaled = ((x - self.shift) / self.scale).astype(np.float32)
        return torch.from_numpy(scaled.clip(0, 1) if self.kind == "minmax" else scaled)

    def refuse_other_units(self, rows: Any, bits: bool) -> None:
        """Refuse other values where a model was fitted on values in [0, 1], and numbers that are no grey levels.

        Args:
            rows: to be shown to a model that was fitted on rows of this scaling.
            bits: whether the model needs values in [0, 1].

        Raises:
            ValueError: if their units are others.
        """
        if self.kind == "grey" and rows.dtype != np.uint8 and not (rows.min() >= 0 and rows.max() <= 1):
            raise ValueError(
                "The model was fitted on grey levels of the type uint8, and X is of another type, spanning "
                f"{rows.min():g} to {rows.max():g}; give uint8, or values in [0, 1]."
            )
        if self.kind == "log" and rows.min() < 0:
            raise ValueError(f"The model was fitted on logarithms of counts, and X goes down to {rows.min():g}.")
        # New rows that are scaled as those of the fit may lie somewhat outside, as MinMaxScaler has them.
        if self.kind == "none" and bits and (rows.min() < -BEYOND or rows.max() > 1 + BEYOND):
            fitted = "The model was fitted on values in [0, 1], and X"
            if rows.dtype == np.uint8:
                raise ValueError(f"{fitted} holds grey levels; divide them by 255.")
            raise ValueError(f"{fitted} spans {rows.min():g} to {rows.max():g}; scale it as the rows of the fit.")

    def chunks(self, rows: Any) -> Iterator[Float[Tensor, "B D"]]:
        """Some rows at a time, so that memory does not grow with their number."""
        for start in range(0, rows.shape[0], CHUNK):
            yield self.apply(rows[start : start + CHUNK])

    def restore(self, x: Float[Tensor, "*B D"]) -> Float[np.ndarray, "*B D"]:
        """Generated values in the units of X; grey levels stay numbers in [0, 1]."""
        values = x.cpu().numpy()
        if self.kind in ("none", "grey"):
            return values
        restored = values * self.scale + self.shift
        # A Gaussian of logarithms may go below that of 1 + 0, and counts do not.
        return (np.expm1(restored).clip(0) if self.kind == "log" else restored).astype(np.float32)

    def to_unit(self, x: Float[Tensor, "*B D"]) -> Float[np.ndarray, "*B D"]:
        """Rows as the model sees them, as brightness from 0 to 1 for pictures."""
        values = x.cpu().numpy()
        return (values / 6 + 0.5 if self.kind in ("standard", "log") else values).clip(0, 1)


def _log1p(rows: Any) -> Any:
    """log(1 + X) in float64, of dense or sparse rows."""
    rows = rows.astype(np.float64)
    return rows.log1p() if sparse.issparse(rows) else np.log1p(rows)


def dense(row: Any) -> Float[np.ndarray, " D"]:
    """One row of a dense or sparse matrix as an array of float64."""
    return np.asarray(row.toarray() if sparse.issparse(row) else row, dtype=np.float64).ravel()


def _positive(scale: np.ndarray) -> Float[np.ndarray, " D"]:
    """1 for columns that hold one value only, which the shift then takes to 0."""
    return np.where(scale > 0, scale, 1)
