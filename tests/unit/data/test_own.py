"""Data of the user's own."""

from __future__ import annotations

import warnings
import zipfile
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


@pytest.mark.parametrize(("shape", "image_shape"), [((12, 4, 3), (4, 3, 1)), ((12, 4, 3, 2), (4, 3, 2))])
def test_images(tmp_path: Path, shape: tuple[int, ...], image_shape: tuple[int, int, int]) -> None:
    x = RNG.integers(256, size=shape, dtype=np.uint8)
    mine = data.load(save(tmp_path, x_train=x))
    train = mine.splits["train"]
    assert mine.image_shape == image_shape and train.y is None and mine.class_names == ()
    assert train.x.dtype == np.uint8 and np.array_equal(train.x, x.reshape(12, -1))


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"images": X}, "no array x_train"),
        ({"x": X[:, 0]}, "rows and features"),
        ({"x": X[:0]}, "rows and features"),
        ({"x": np.zeros((6, 3, 8, 8), np.uint8)}, "move the colours to the end\\.$"),
        ({"x": X.astype(int)}, "uint8 or floating"),
        ({"x": X.astype(str)}, "uint8 or floating"),
        ({"x": X.astype(bool)}, "uint8 or floating"),
        ({"x": X.astype(complex)}, "uint8 or floating"),
        ({"x": X.astype("datetime64[s]")}, "uint8 or floating"),
        ({"x": np.zeros(12, [("a", float)])}, "uint8 or floating"),
        ({"x": np.float64(1)}, "rows and features"),
        ({"x": np.zeros((0, 5))}, "rows and features"),
        ({"x": np.array([[1, None]], dtype=object)}, "x.npy holds Python objects, which are not read"),
        ({"x": X, "y": np.array(["a"] * 12, dtype=object)}, "y.npy holds Python objects, which are not read"),
        ({"x": np.where(X > 0.9, np.nan, X)}, "not finite"),
        ({"x": np.where(X > 0.9, 1e300, X)}, "not finite"),
        ({"x": X, "y": Y[:5]}, "12 rows but 5 labels"),
        ({"x": X, "y": Y / 2}, "whole number"),
        ({"x": X, "y": Y - 1}, "whole number"),
        ({"x": X, "y": np.eye(3, dtype=int)[Y]}, "whole number"),
        ({"x": X, "y": Y.astype(str)}, "whole number"),
        ({"x": X, "y": Y.astype(bool)}, "whole number"),
        ({"x": X, "y": Y.astype(complex)}, "whole number"),
        ({"x": X, "y": np.int64(1)}, "whole number"),
        ({"x": X, "y": np.where(Y == 1, 10**12, Y)}, "y_train goes up to 1000000000000, .* no more than 12 classes"),
        ({"x": X, "y": np.where(Y == 1, 2**64 - 1, Y).astype(np.uint64)}, "y_train goes up to 18446744073709551615"),
        ({"x": X, "y": np.where(Y == 1, 12, Y)}, "y_train goes up to 12, but with 12 rows"),
        ({"x": X, "x_test": X[:4], "y_test": np.full(4, 99)}, "y_test goes up to 99"),
        ({"x": X, "y_test": Y}, "has y_test, but no x_test"),
        ({"x": X, "labels": Y}, r"has 'labels', but known are only x_train \(or x\)"),
        ({"x": X, "X_test": X}, "has 'X_test', but known are only"),
        ({"x": X, "x_train": X}, "has x_train twice"),
        ({"x": X, "x_test": X}, "x_test is the same as x_train"),
        ({"x": X[:1]}, "x_train has 1 rows, but 10 or more are needed to train, to validate and to test"),
        ({"x": X[:9]}, "x_train has 9 rows, but 10 or more are needed"),
        ({"x": X, "x_test": X[:, :3]}, r"x_train has the shape \(12, 5\) and x_test \(12, 3\)"),
        ({"x": X.reshape(12, 5, 1), "x_test": X.reshape(12, 1, 5)}, "only their first numbers may differ"),
        ({"x": X, "x_test": X[:4].astype(np.uint8)}, "differ in length or type"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_unfit_data_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], fault: str) -> None:
    path = save(tmp_path, **arrays)
    with pytest.raises(data.DataError, match=fault) as caught:
        data.load(path)
    assert path in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [">f4", ">f8", "<f2", "f8", np.longdouble])
@pytest.mark.parametrize("label", ["u1", "i1", ">i4", "u8"])
def test_every_floating_type_and_byte_order_is_read_as_what_it_means(tmp_path: Path, kind: str, label: str) -> None:
    mine = data.load(save(tmp_path, x=X.astype(kind), y=Y.astype(label))).splits["train"]
    assert mine.x.dtype == np.dtype(np.float32) and mine.x.dtype.isnative
    assert np.array_equal(mine.x, X.astype(kind).astype(np.float32))
    assert mine.y is not None and mine.y.dtype == np.dtype(np.int64) and np.array_equal(mine.y, Y)


def test_as_many_classes_as_rows_are_possible(tmp_path: Path) -> None:
    assert len(data.load(save(tmp_path, x=X, y=np.arange(12))).class_names) == 12


def test_a_home_folder_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(data.DataError, match=r"~no-such-user/mine\.npz begins with the home folder of a user who"):
        data.load("~no-such-user/mine.npz")
    monkeypatch.setenv("GENCLUST_DATA", "~no-such-user/data")
    with pytest.raises(data.DataError, match="~no-such-user/data begins with the home folder of a user who"):
        data.load("mnist")


def npy(header: str, content: bytes = b"") -> bytes:
    """An array in NumPy's format, of which the header can be anything."""
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


HEADER = "{{'descr': {}, 'fortran_order': False, 'shape': {}}}"


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (npy(HEADER.format("'<f4'", "(1000000000000, 1000000000000)"), bytes(480)), "size than its header announces"),
        (npy(HEADER.format("'<f4'", "(100000, 100000)"), bytes(480)), "size than its header announces"),
        (npy(HEADER.format("'<f4'", "(12, 9)"), bytes(480)), "size than its header announces"),
        (npy(HEADER.format("'<f4'", "(12, 11)"), bytes(480)), "size than its header announces"),
        (npy(HEADER.format("'<f4'", "(-12, -10)"), bytes(480)), "damaged"),
        (npy(HEADER.format("'<U0'", "(12, 10)")), "size than its header announces"),
        (npy(HEADER.format("'<f4'", "12"), bytes(480)), "damaged"),
        (npy(HEADER.format("'<f5'", "(12, 10)"), bytes(480)), "damaged"),
        (npy("{" * 5000), "damaged"),
        (npy("(" * 200), "damaged"),
        (npy("'" + "x" * 20000 + "'"), "damaged"),
        (npy(HEADER.format("'|O'", "(12, 10)"), bytes(480)), "Python objects"),
        (b"\x93NUMPY\x03\x00" + bytes(100), "a version that NumPy does not write for numbers"),
        (b"\x93NUMPY\x01\x00", "damaged"),
        (b"", "damaged"),
        (b"no array", "damaged"),
    ],
)
def test_headers_that_do_not_fit_are_refused_before_memory_is_asked_for(
    tmp_path: Path, file: bytes, fault: str
) -> None:
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("x.npy", file)
    with pytest.raises(data.DataError, match=fault) as caught:
        data.load(str(tmp_path / "mine.npz"))
    assert "\n" not in str(caught.value)


def test_no_single_wrong_byte_hides_an_array(tmp_path: Path) -> None:
    """The length of a comment in an archive's directory can be such that the comment is the other arrays."""
    path = Path(save(tmp_path, x_train=X, y_train=Y, x_test=X[:4]))
    sound, digest = path.read_bytes(), data.load(str(path)).digest()
    refused = 0
    for position in range(sound.index(b"PK\x01\x02"), len(sound)):
        for bit in (0, 7):
            path.write_bytes(sound[:position] + bytes([sound[position] ^ 1 << bit]) + sound[position + 1 :])
            try:
                assert data.load(str(path)).digest() == digest  # as when a file's date is what changed
            except data.DataError:
                refused += 1
    assert refused > 100


def test_archives_that_are_odd_are_refused(tmp_path: Path) -> None:
    path = Path(save(tmp_path, x=X))
    sound = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        x = archive.read("x.npy")
    directory = sound.index(b"PK\x01\x02")

    def changed(at: int, value: int) -> bytes:
        return sound[:at] + bytes([value]) + sound[at + 1 :]

    path.write_bytes(changed(directory + 8, 1))  # the flag of encryption
    with pytest.raises(data.DataError, match=r"damaged or cut short .*encrypted"):
        data.load(str(path))
    path.write_bytes(changed(directory + 10, 99))  # the method of compression
    with pytest.raises(data.DataError, match="damaged or cut short"):
        data.load(str(path))
    for entries, fault in (
        (["x.npy", "readme.txt"], "has 'readme.txt', but known are only"),
        (["x.npy", "x"], "has 'x', but known are only"),
        (["x.npy", "../y.npy"], "has '../y', but known are only"),
        (["x.npy", "x.npy"], "has x_train twice"),
        ([], "no array x_train .* but only nothing"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for entry in entries:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of the double name
                    archive.writestr(entry, x)
        with pytest.raises(data.DataError, match=fault):
            data.load(str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(data.DataError, match=r"mine\.npz is damaged"):
        data.load(str(path))


@pytest.mark.parametrize(("fraction", "cure"), [(0.01, "to 0.083 or more"), (1.0, "to less"), (0.99, "to less")])
def test_a_split_that_would_be_empty_is_refused(tmp_path: Path, fraction: float, cure: str) -> None:
    mine = data.load(save(tmp_path, x=X))
    with pytest.raises(data.DataError, match=f"of the 12 training rows of .*; set data.validation_fraction {cure}"):
        mine.hold_out("validation", fraction, 0)
    held = mine.hold_out("validation", 0.083, 0)
    assert len(held.splits["validation"]) == 1 and len(held.splits["train"]) == 11


def test_missing_or_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(data.MissingData, match=r"mine\.npz is missing"):
        data.load(str(tmp_path / "mine.npz"))
    path = Path(save(tmp_path, x=X))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(data.DataError, match="damaged or cut short"):
        data.load(str(path))
