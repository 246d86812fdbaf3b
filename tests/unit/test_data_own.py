"""Data of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genclust import data

RNG = np.random.default_rng(0)
X = RNG.random((12, 5))
Y = np.arange(12) % 3


def save(tmp_path: Path, **arrays: object) -> str:
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def test_features(tmp_path: Path) -> None:
    mine = data.load(save(tmp_path, x=X, y=Y, x_test=X[:4], y_test=Y[:4].astype(np.uint8)))
    assert np.array_equal(mine.splits["train"].x, X.astype(np.float32))
    assert mine.splits["train"].x.dtype == np.float32 and mine.splits["test"].y.dtype == np.int64
    assert mine.class_names == ("0", "1", "2") and mine.image_shape is None


@pytest.mark.parametrize(("shape", "image_shape"), [((6, 4, 3), (4, 3, 1)), ((6, 4, 3, 2), (4, 3, 2))])
def test_images(tmp_path: Path, shape: tuple[int, ...], image_shape: tuple[int, int, int]) -> None:
    x = RNG.integers(256, size=shape, dtype=np.uint8)
    mine = data.load(save(tmp_path, x_train=x))
    train = mine.splits["train"]
    assert mine.image_shape == image_shape and train.y is None and mine.class_names == ()
    assert train.x.dtype == np.uint8 and np.array_equal(train.x, x.reshape(6, -1))


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"images": X}, "no array x_train"),
        ({"x": X[:, 0]}, "rows and features"),
        ({"x": X[:0]}, "rows and features"),
        ({"x": np.zeros((6, 3, 8, 8), np.uint8)}, "move the colours to the end"),
        ({"x": X.astype(int)}, "uint8 or floating"),
        ({"x": X.astype(str)}, "uint8 or floating"),
        ({"x": np.array([[1, None]], dtype=object)}, "damaged"),
        ({"x": np.where(X > 0.9, np.nan, X)}, "not finite"),
        ({"x": np.where(X > 0.9, 1e300, X)}, "not finite"),
        ({"x": X, "y": Y[:5]}, "12 rows but 5 labels"),
        ({"x": X, "y": Y / 2}, "whole number"),
        ({"x": X, "y": Y - 1}, "whole number"),
        ({"x": X, "y": np.eye(3, dtype=int)[Y]}, "whole number"),
        ({"x": X, "x_test": X[:, :3]}, "differ in length"),
        ({"x": X, "x_test": X.astype(np.uint8)}, "differ in length or type"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_unfit_data_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], fault: str) -> None:
    path = save(tmp_path, **arrays)
    with pytest.raises(data.DataError, match=fault) as caught:
        data.load(path)
    assert path in str(caught.value) and "\n" not in str(caught.value)


def test_missing_or_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(data.MissingData, match=r"mine\.npz is missing"):
        data.load(str(tmp_path / "mine.npz"))
    path = Path(save(tmp_path, x=X))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(data.DataError, match="damaged or cut short"):
        data.load(str(path))
