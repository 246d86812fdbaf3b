"""A person's own files: every format is read exactly, and whatever is wrong is said in one sentence."""

from __future__ import annotations

import csv
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from PIL import Image

from genclust.data import DataError, MissingData
from genclust.data.columns import Asked, columns_of_frame
from genclust.data.tables import _from_columns, numberings, read_table

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 4)).astype(np.float32)
KINDS = np.array(["cat", "dog", "owl"])[np.arange(30) % 3]
GREY = RNG.integers(256, size=(6, 5, 7), dtype=np.uint8)
COLOUR = RNG.integers(256, size=(6, 5, 7, 3), dtype=np.uint8)
NUMBERS = [str(i) for i in range(30)]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write text or bytes to a file, and return its path."""

    def write(text: str | bytes, name: str = "mine.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refused(path: Path | str, labels: str | None = None, kind: type[DataError] = DataError) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(kind) as caught:
        read_table(path, labels)
    message = str(caught.value)
    assert str(path) in message or (labels is not None and labels in message)
    assert "\n" not in message and (message.endswith((".", "?")))
    return message


def rows(path: Path, *lines: list[object], separator: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf8") as file:
        csv.writer(file, delimiter=separator).writerows(lines)
    return path


# Arrays.


@pytest.mark.parametrize(
    ("kind", "read"),
    [("<f4", "f4"), (">f8", "f8"), ("<f2", "f4"), ("i8", "f8"), ("<i4", "f8"), ("u1", "f4"), ("?", "f4")],
)
def test_rows_of_any_number_become_the_shortest_floats_that_hold_them(tmp_path: Path, kind: str, read: str) -> None:
    x = (X * 50).astype(kind)
    np.save(tmp_path / "mine.npy", x)
    table = read_table(str(tmp_path / "mine.npy"))
    assert table.x.dtype == np.dtype(read) and np.array_equal(table.x, x)
    assert table.labels is None and table.columns is None and table.names == NUMBERS


def test_an_array_in_memory_is_no_part_of_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", X)
    table = read_table(tmp_path / "mine.npy")
    table.x[:] = 0
    assert type(table.x) is np.ndarray and np.array_equal(np.load(tmp_path / "mine.npy"), X)


@pytest.mark.parametrize(("x", "kind"), [(GREY, "u1"), (COLOUR, "u1"), (GREY / 255, "f8"), (GREY.astype(int), "f8")])
def test_arrays_of_images_keep_their_shape_and_grey_values(tmp_path: Path, x: np.ndarray, kind: str) -> None:
    np.save(tmp_path / "mine.npy", np.asfortranarray(x))
    table = read_table(tmp_path / "mine.npy")
    assert table.x.dtype == np.dtype(kind) and np.array_equal(table.x, x.astype(kind)) and table.x.flags.c_contiguous


def test_an_archive_has_one_array_or_x_and_y(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, anything=X)
    assert np.array_equal(read_table(path).x, X)
    np.savez_compressed(path, x=X, y=KINDS)
    table = read_table(path)
    assert np.array_equal(table.x, X) and table.labels is not None and table.labels.tolist() == KINDS.tolist()
    np.savez(path, x_train=X, y_train=np.arange(30, dtype=np.uint8)[:, None], x_test=X[:5], y_test=np.zeros(5))
    table = read_table(path)
    assert np.array_equal(table.x, X) and table.labels is not None
    assert table.labels.dtype == np.int64 and table.labels.tolist() == list(range(30))
    np.savez(path, pictures=GREY, species=KINDS[:6])
    table = read_table(path, "species")
    assert np.array_equal(table.x, GREY) and table.labels is not None and list(table.labels) == list(KINDS[:6])


@pytest.mark.parametrize(
    ("arrays", "labels", "fault"),
    [
        ({"x": X[0]}, None, r"an array 'x' of shape \(4,\), but it needs a row per example"),
        ({"x": X[:0]}, None, r"shape \(0, 4\)"),
        ({"x": X.astype(str)}, None, "type <U"),
        ({"x": X.astype(complex)}, None, "type complex128, but only numbers"),
        ({"x": np.zeros((6, 3, 8, 8))}, None, "move the colours to the end"),
        ({"x": X, "y": KINDS[:3]}, None, "3 labels for 30 rows"),
        ({"x": X, "y": X}, None, r"labels of type float32 and shape \(30, 4\)"),
        ({"x": X, "y": X[:, 0]}, None, "labels such as .*, but they should be text or whole numbers"),
        ({"x": X, "y": np.full(30, np.inf)}, None, "labels such as inf, but they should be text or whole numbers"),
        ({"x": X, "y": np.full(30, 1e30)}, None, r"labels such as 1e\+30, but"),
        ({"x": X, "y": np.full(30, np.nan)}, None, r"no label in 30 rows \(first: row 0\)"),
        ({"a": X, "b": X}, None, "has the arrays 'a', 'b'; let the one to be read be called x"),
        ({}, None, "has the arrays none; let"),
        ({"x": X, "kinds": KINDS}, "kind", "no array 'kind', only 'x', 'kinds'; did you mean 'kinds'"),
    ],
)
def test_unfit_arrays_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], labels: str | None, fault: str
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=fault):
        read_table(tmp_path / "mine.npz", labels)


def test_nothing_is_unpickled(write: Write, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / "mine.npy", np.array([[Trap()]], dtype=object))
    np.savez(tmp_path / "x.npz", x=np.array([[Trap()]], dtype=object))
    np.savez(tmp_path / "y.npz", x=X, y=np.array([Trap()] * 30, dtype=object))
    for path in (tmp_path / "mine.npy", tmp_path / "x.npz", tmp_path / "y.npz"):
        assert "holds pickled Python objects, which are never read" in refused(path)
    for name in ("plain.npy", "plain.npz"):
        assert "pickled" in refused(write(pickle.dumps(Trap()), name))
    np.save(tmp_path / "numbers.npy", X)
    assert "pickled" in refused(tmp_path / "numbers.npy", str(tmp_path / "mine.npy"))
    assert not (tmp_path / "sprung").exists()


def test_values_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    x = X.astype(float)
    x[3, 1] = x[5, 1] = np.nan
    x[5, 2], x[7, 2] = np.inf, 1e300
    np.save(tmp_path / "mine.npy", x)
    message = refused(tmp_path / "mine.npy")
    assert "2 missing (NaN) and 2 infinite or beyond float32" in message
    assert "in the columns '1', '2' and 3 rows (first: row 3)" in message
    np.save(tmp_path / "mine.npy", np.where(GREY > 250, np.nan, GREY))
    assert f"{(GREY > 250).sum()} missing (NaN) and 0 infinite or beyond float32, in " in refused(tmp_path / "mine.npy")


#: Days, seconds, metres and codes, of which float32 takes some for one another.
LARGE = np.array([2460000.30, 1.7e9, 5412345.82, 4006381333931]) + np.arange(6)[:, None] * [0.03, 1, 0.01, 1]


def test_numbers_with_a_large_offset_stay_apart(tmp_path: Path) -> None:
    frame = pd.DataFrame(LARGE, columns=list("abcd"))
    frame.to_csv(tmp_path / "mine.csv", index=False)
    frame.to_csv(tmp_path / "commas.tsv", index=False, sep="\t", decimal=",")
    frame.assign(a=[*frame.a[:5], "true"]).to_csv(tmp_path / "truth.csv", index=False)
    np.save(tmp_path / "mine.npy", LARGE)
    for file in ("mine.csv", "commas.tsv", "mine.npy"):
        assert np.array_equal(read_table(tmp_path / file).x, LARGE)
    assert np.array_equal(read_table(tmp_path / "truth.csv").x[:5], LARGE[:5])  # read in another way
    found = columns_of_frame(tmp_path, frame.astype({"d": "Int64"}), Asked(None))
    assert np.array_equal(_from_columns(tmp_path, found, False).x, LARGE)


def test_sparse_numbers_with_a_large_offset_stay_apart(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "mine.h5ad", "w") as file:
        sparse = scipy.sparse.csr_matrix(LARGE)
        x = file.create_group("X")
        x.attrs["encoding-type"], x.attrs["shape"] = "csr_matrix", LARGE.shape
        x["data"], x["indices"], x["indptr"] = sparse.data, sparse.indices, sparse.indptr
        for name, index in (("obs", list("uvwxyz")), ("var", list("abcd"))):
            file.create_group(name).attrs["_index"] = "names"
            file[name]["names"] = index
    assert np.array_equal(read_table(tmp_path / "mine.h5ad").x, LARGE)


# Text.


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("ending", ["csv", "tsv", "CSV"])
def test_numbers_in_text_are_read_exactly(tmp_path: Path, separator: str, header: bool, ending: str) -> None:
    path = rows(tmp_path / f"mine.{ending}", *[list("abcd")] * header, *X.tolist(), separator=separator)
    table = read_table(path)
    assert np.array_equal(table.x, X) and table.x.dtype == np.float64 and table.x.flags.c_contiguous
    assert table.columns == (list("abcd") if header else None)
    assert table.names == NUMBERS and table.labels is None


def test_numbers_as_people_write_them(write: Write) -> None:
    table = read_table(write('\ufeffa, b ,c\r\n\r\n 1, +2.,-.5e1 \r\n"3",4E+0,5\r\n\r\n'))
    assert table.x.tolist() == [[1, 2, -5], [3, 4, 5]] and table.columns == ["a", "b", "c"]
    assert read_table(write("a,b\nTrue,1\nFALSE,2\n")).x.tolist() == [[1, 1], [0, 2]]
    assert read_table(write("a,b\nTrue,1\n0,2\n")).x.tolist() == [[1, 1], [0, 2]]


@pytest.mark.parametrize("index", [True, False])
def test_what_pandas_writes_is_read(tmp_path: Path, index: bool) -> None:
    path = tmp_path / "mine.csv"
    frame = pd.DataFrame(X.astype(float), columns=list("abcd"), index=[f"plant {i}" for i in range(30)])
    frame.insert(2, "kind", KINDS)
    frame.to_csv(path, index=index)
    table = read_table(path, "kind")
    assert np.array_equal(table.x, X) and table.columns == list("abcd")
    assert table.labels is not None and table.labels.tolist() == KINDS.tolist()
    assert table.names == (list(frame.index) if index else NUMBERS)
    pd.DataFrame(X.astype(float)).to_csv(path, index=index)  # with a header 0, 1, 2, 3
    table = read_table(path)
    assert np.array_equal(table.x, X) and table.columns == ["0", "1", "2", "3"] and table.names == NUMBERS


@pytest.mark.parametrize(
    ("first", "second", "header"),
    [
        (["a", "b"], ["1", "2"], True),
        (["1", "2"], ["3", "4"], False),
        (["a", "1"], ["b", "2"], False),
        (["a", "x1"], ["b", "2"], True),
        (["label", "1", "2", "3"], ["7", "0", "0", "0"], True),
        (["country", "1990", "1991", "1992"], ["8", "1", "2", "3"], True),
        (["0", "1"], ["1", "0"], False),
        (["0", "1"], ["0.5", "0.25"], True),
        (["0.0", "1.0"], ["0.5", "0.25"], False),
        (["5", "2", "7"], ["0", "0", "0"], False),
        (["-1", "0", "1"], ["0", "0", "0"], False),
    ],
)
def test_headers_are_told_from_numbers(tmp_path: Path, first: list[str], second: list[str], header: bool) -> None:
    label = "0" if not header else first[0]
    table = read_table(rows(tmp_path / "mine.csv", first, second, second), label)
    assert len(table.x) == 3 - header and table.columns == (first[1:] if header else None)


def test_names_of_rows(write: Write) -> None:
    assert read_table(write(",x,y\na,1,2\na,3,4\n")).names == ["a", "a"]  # unnamed: whatever it holds
    assert read_table(write(",x\n7,1\n8,3\n")).names == ["7", "8"]
    assert read_table(write('"x" "y"\n'.replace(" ", ",") + '"r1",1,2\n"r2",3,4\n')).names == ["r1", "r2"]  # R's
    table = read_table(write("x,Name,y\n1,NA,2\n3,b,4\n"))
    assert table.names == ["NA", "b"] and table.columns == ["x", "y"] and table.x.tolist() == [[1, 2], [3, 4]]
    table = read_table(write("id,x\n7,1\n8,3\n"))  # a number may be a feature
    assert table.names == ["0", "1"] and table.columns == ["id", "x"]
    assert "a column that is not numbers, 'id' (such as 'a' in 'id')" in refused(write("id,x\na,1\na,3\n"))
    table = read_table(write("id,name,x\n7,a,1\n8,b,3\n"))
    assert table.names == ["a", "b"] and table.columns == ["id", "x"]
    table = read_table(write("name,x\na,1\nb,3\n"), "name")
    assert table.names == ["0", "1"] and table.labels is not None and table.labels.tolist() == ["a", "b"]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("lacking", [False, True])
def test_decimal_commas_are_read_where_another_sign_separates(tmp_path: Path, separator: str, lacking: bool) -> None:
    frame = pd.DataFrame({"a": [1.5, -2.25, 3e-7], "b": [1, 2, 3], "kind": ["1,5", "x", "y"]})
    path = tmp_path / "mine.csv"
    frame.to_csv(path, sep=separator, decimal=",", index=False)
    table = read_table(path, "kind")
    assert table.x.tolist() == frame[["a", "b"]].to_numpy(float).tolist() and table.columns == ["a", "b"]
    assert table.labels is not None and table.labels.tolist() == ["1,5", "x", "y"]
    frame.assign(b=[True, False, True]).drop(columns="kind").to_csv(path, sep=separator, decimal=",", index=False)
    assert read_table(path).x.tolist() == [[1.5, 1], [-2.25, 0], [3e-7, 1]]
    frame.drop(columns="kind").to_csv(path, sep=separator, decimal=",", index=False, header=False)
    assert read_table(path).x.tolist() == frame[["a", "b"]].to_numpy(float).tolist()


SAMPLES = ["S1", "2nd plant", "a", "80 mm gun", "2020-01-01"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_text_that_differs_in_every_row_names_the_rows(tmp_path: Path, ending: str) -> None:
    def written(name: str, titles: list[str], lines: list[list[object]]) -> Path:
        path = rows(tmp_path / f"{name}.csv", titles, *lines)
        if ending == ".parquet":
            pytest.importorskip("pyarrow")
            pd.read_csv(path).to_parquet(path.with_suffix(ending))
        return path.with_suffix(ending)

    lines = [[i, sample, f"note {i}", i / 2] for i, sample in enumerate(SAMPLES)]
    table = read_table(written("five", ["a", "sample", "remark", "b"], lines), "remark")
    assert table.names == SAMPLES and table.columns == ["a", "b"] and table.named_by == "sample"
    assert "not numbers, 'remark'" in refused(written("two", ["a", "sample", "remark", "b"], lines))
    table = read_table(written("called", ["a", "sample", "id", "b"], lines), "sample")
    assert table.names[0] == "note 0" and table.named_by is None  # as its name tells so
    # Too few rows to tell, text that comes twice, and quantities:
    assert "not numbers, 'sample'" in refused(written("few", ["a", "sample"], [line[:2] for line in lines[:4]]))
    twice = [[i, "S1" if i > 2 else f"S{i}"] for i in range(5)]
    assert "not numbers, 'sample'" in refused(written("twice", ["a", "sample"], twice))
    for unit in ("{}%", "€ {}", "{},5 kg", "-{}.5m", "{} mg/dl", "12{}/80", "1.{} ± 0.3", "{}2 years"):
        quantities = [[i, unit.format(i)] for i in range(5)]
        assert "'dose'" in refused(written("quantities", ["a", "dose"], quantities))
    # New rows for a model of a and b have names however few they are, if a single column can have them:
    table = read_table(written("new", ["a", "sample", "b"], [[1, "S1", 2]]), None, ["a", "b"])
    assert table.names == ["S1"] and list(table.ignored) == [] and table.named_by == "sample"
    table = read_table(written("newer", ["a", "sample", "remark", "b"], lines[:2]), None, ["a", "b"])
    assert table.names == ["0", "1"] and list(table.ignored) == ["sample", "remark"]
    table = read_table(written("more", ["a", "sample", "remark", "b"], lines), None, ["a", "b"])
    assert table.names == SAMPLES and list(table.ignored) == ["remark"]
    with pytest.raises(DataError, match="not numbers, 'sample'"):  # and not the names, as the model knows it
        read_table(written("feature", ["a", "sample"], [line[:2] for line in lines]), None, ["a", "sample"])


def test_columns_are_ignored_on_demand(tmp_path: Path) -> None:
    lines = [[i, "red", f"S{i}", i / 2, "x"] for i in range(6)]
    path = rows(tmp_path / "mine.csv", ["id", "colour", "sample", "a", "kind"], *lines)
    table = read_table(path, "kind", ignore=["colour", "id"])
    assert table.columns == ["a"] and table.names == [f"S{i}" for i in range(6)] and table.ignored == ["id", "colour"]
    (tmp_path / "kinds.txt").write_text("x\n" * 6)
    assert read_table(path, str(tmp_path / "kinds.txt"), ignore=["colour", "id", "kind"]).columns == ["a"]
    bare = rows(tmp_path / "bare.csv", *([line[3], "red", line[3]] for line in lines))
    assert read_table(bare, ignore=["1"]).x.tolist() == [[i / 2, i / 2] for i in range(6)]
    np.save(tmp_path / "mine.npy", np.eye(5))
    np.savez(tmp_path / "mine.npz", x=np.eye(5))
    for file, fault in (
        (path, "no column 'color', only .* did you mean 'colour'"),
        (tmp_path / "mine.npy", "no table of which the column 'color' can be ignored"),
        (tmp_path / "mine.npz", "no table of which the column 'color' can be ignored"),
    ):
        with pytest.raises(DataError, match=fault):
            read_table(file, ignore=["color"])


def test_an_index_of_pandas_names_no_rows_that_have_names(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sample": SAMPLES, "a": np.arange(5) / 2, "b": 1.0})
    frame.to_csv(tmp_path / "mine.csv")
    table = read_table(tmp_path / "mine.csv")
    assert table.names == SAMPLES and table.columns == ["a", "b"] and table.named_by == "sample"
    frame.drop(columns="sample").to_csv(tmp_path / "mine.csv")
    assert read_table(tmp_path / "mine.csv").names == ["0", "1", "2", "3", "4"]
    frame.set_index("sample").to_csv(tmp_path / "mine.csv", index_label="")
    assert read_table(tmp_path / "mine.csv").names == SAMPLES


@pytest.mark.parametrize(
    ("found", "labels"),
    [
        (["a", "", "b"], ["a", "", "b"]),
        (["7", "-1", "12"], ["7", "", "12"]),
        (["7", "", "12"], ["7", "", "12"]),
        (["7.0", "-1.0", "12.0"], ["7", "", "12"]),
        (["x", "NA", "none"], ["x", "", "none"]),
        (["x", "-", "y"], ["x", "-", "y"]),
        (["", "y", ""], ["", "y", ""]),
    ],
)
def test_labels_may_lack_where_some_are_enough(tmp_path: Path, found: list[str], labels: list[str]) -> None:
    lines = [[i, label, 2 * i] for i, label in enumerate(found)]
    path = rows(tmp_path / "mine.csv", ["a", "kind", "b"], *lines)
    (tmp_path / "kinds.txt").write_text("\n".join(found) + "\n")
    (tmp_path / "kinds.csv").write_text("kind\n" + "\n".join(found) + "\n")
    np.savez(tmp_path / "mine.npz", x=np.eye(3), y=np.array(found))
    plain = rows(tmp_path / "plain.csv", ["a", "b"], *(line[::2] for line in lines))
    apart = [(plain, str(tmp_path / name)) for name in ("kinds.txt", "kinds.csv")]
    for file, where in ((path, "kind"), *apart, (tmp_path / "mine.npz", "y")):
        known = read_table(file, where, partly=True).labels
        assert known is not None and known.tolist() == labels
    if "" in found:
        assert "has no label in" in refused(path, "kind")
    if found[0] == "7":  # as numbers, and as pandas reads them
        floats = pd.read_csv(path).kind.to_numpy(float)
        np.savez(tmp_path / "mine.npz", x=np.eye(3), y=floats)
        known = read_table(tmp_path / "mine.npz", partly=True).labels
        assert known is not None and known.tolist() == labels
        pytest.importorskip("pyarrow")
        pd.read_csv(path).to_parquet(tmp_path / "mine.parquet")
        known = read_table(tmp_path / "mine.parquet", "kind", partly=True).labels
        assert known is not None and known.tolist() == labels


@pytest.mark.parametrize(
    ("found", "labels"),
    [
        (["3", "-1", "0"], [3, -1, 0]),
        (["01", "2", "3"], ["01", "2", "3"]),
        (["1.0", "2", "3"], ["1.0", "2", "3"]),
        (["NA", "None", "nan"], ["NA", "None", "nan"]),
        (["a b", "x,y", 'say "z"'], ["a b", "x,y", 'say "z"']),
        (["9" * 30, "1", "2"], ["9" * 30, "1", "2"]),
        (["é", "ß", "日本"], ["é", "ß", "日本"]),
    ],
)
def test_labels_are_as_they_stand_in_the_file(tmp_path: Path, found: list[str], labels: list[object]) -> None:
    lines = [[i, label, 2 * i] for i, label in enumerate(found)]
    table = read_table(rows(tmp_path / "mine.csv", ["a", "kind", "b"], *lines), "kind")
    assert table.labels is not None and table.labels.tolist() == labels and table.columns == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "labels", "fault"),
    [
        ("\n\n", None, "is empty."),
        ("a,b\n", None, "has a header, but no rows"),
        ("a,b\n1,2\n", "c", "has no column 'c', only 'a', 'b'."),
        ("sepal,petal,species\n1,2,x\n", "specie", "has no column 'specie', only .* did you mean 'species'"),
        ("a,b,b\n1,2,3\n", "b", "more than one column 'b'"),
        ("a,b\n1,x\n2,y\n", "b", None),
        ("b\nx\ny\n", "b", "no columns of features"),
        (
            "a,city,b\n1,Rome,2\n2,Oslo,3\n",
            None,
            r"has a column that is not numbers, 'city' \(such as 'Rome' in 'city'\)",
        ),
        (
            "a,city,b\n1,Rome,2\n2,Oslo,3\n",
            None,
            "if it has the labels, give it as --labels COLUMN; if it names the rows, call it name and let each",
        ),
        ("1,2\n3,4\n5,oops\n", None, r"not numbers, '1' \(such as 'oops' in '1'\)"),
        ("a,b\n1,yes\n2,no\n", None, r"not numbers, 'b' \(such as 'yes' in 'b'\)"),
        (
            "a,b\n1,True\n,False\n",
            None,
            r"1 missing \(NaN\) and 0 infinite or beyond float32, in the column 'a' and 1 row \(row 1, line 3 of",
        ),
        ("a,b\n1,0x10\n2,1_0\n", None, r"not numbers, 'b' \(such as '0x10' in 'b'\)"),
        ("a;b\n1,5;2\n3.5;4\n", None, "numbers with a comma, such as '1,5' in the column 'a'"),
        ("1,5;2.5\n3,5;4,5\n", None, "numbers with a comma, such as"),
        ("a;b\n" + 30 * "1,5;2\n" + "1.234;4\n", None, r"not numbers, 'a' \(such as '1.234' in 'a'\)"),
        (
            "a;b\n" + 30 * "1,5;2\n" + "1.234,5;4\n",
            None,
            "'1.234,5' in the column 'a'; write a decimal point, and nothing",
        ),
        ('a,b\n"1,5",2\n"3,5",4\n', None, "numbers with a comma, such as '1,5' in the column 'a'"),
        ("a,b\n1,2\n3\n", None, "has 1 value in line 3, but 2 columns"),
        ("a,b\n1,2\n3,4,5\n", None, "has 3 values in line 3, but 2 columns"),
        ("a,b\n1,2,3,4\n3,4,5,6\n", None, "has 4 values in line 2, but 2 columns"),
        ("a,b,c,d\n1,2,3\n", None, "has 3 values in line 2, but 4 columns"),
        ("a,kind\n1,x\n3\n", "kind", "has 1 value in line 3, but 2 columns"),
        ("a,kind\n1,x\n3,\n", "kind", r"no label in 1 row \(row 1, line 3 of the file\)"),
        (
            "a,city,b\n1,Rome,x\n2,Oslo,3\n",
            None,
            "columns that are not numbers, 'city', 'b' .* drop the others or encode",
        ),
        ("a,b\n\n1,2\n\n3,\n", None, r"column 'b' and 1 row \(row 1, line 5 of the file\)"),
        ("1.5,2\n3,4\n5,\n", None, r"column '1' and 1 row \(row 2, line 3 of the file\)"),
        (
            "a,b\n1,2\n,4\n5,nan\nNA,?\n",
            None,
            r"4 missing \(NaN\) and 0 infinite .* columns 'a', 'b' and 3 rows \(first: row 1, line 3 of",
        ),
        ("a,b\n1,2\n3,inf\n", None, r"0 missing \(NaN\) and 1 infinite or beyond float32, in the column 'b' and"),
        ("a,b\n1,2\n3,1e300\n", None, r"0 missing \(NaN\) and 1 infinite"),
        (",b,c\nfirst,1,2\nsecond,,4\n", None, r"1 missing .* column 'b' and 1 row \('second', line 3 of the file\)"),
        ("a;b\n1.000,5;2\n", None, "'1.000,5' in the column 'a'; write a decimal point, and nothing between thousands"),
        (b"a,b\n1,2\n3,\xff4\n", None, "is not text in UTF-8; save it so"),
        ("a,b\n1,2\n".encode("utf-16"), None, "is not text in UTF-8"),
        ('a,b\n1,"2\n3,4\n', None, r"not numbers, 'b' \(such as '2\\n3,4\\n' in 'b'\)"),
    ],
)
def test_unfit_text_is_refused(write: Write, text: str | bytes, labels: str | None, fault: str | None) -> None:
    path = write(text)
    if fault is None:
        assert len(read_table(path, labels).x) == 2
        return
    with pytest.raises(DataError, match=fault):
        read_table(path, labels)


def test_text_deep_in_a_long_file_is_found(tmp_path: Path) -> None:
    lines: list[list[object]] = [[i, i / 7] for i in range(50_000)]
    table = read_table(rows(tmp_path / "mine.csv", ["a", "b"], *lines))
    assert np.array_equal(table.x, np.array(lines).astype(float))
    lines[49_000][1] = "broken"
    assert "'b' (such as 'broken' in 'b')" in refused(rows(tmp_path / "mine.csv", ["a", "b"], *lines))


# Labels apart.


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("ending", [".csv", ".txt"])
def test_labels_in_a_text_file_of_their_own(tmp_path: Path, write: Write, ending: str, header: bool) -> None:
    np.savez(tmp_path / "mine.npz", x=X, y=np.zeros(30))
    path = write("\n".join(["species"] * header + KINDS.tolist()) + "\n", f"kinds{ending}")
    labels = read_table(tmp_path / "mine.npz", str(path)).labels
    assert labels is not None and labels.tolist() == KINDS.tolist()


def test_labels_in_an_array_of_their_own(tmp_path: Path) -> None:
    path = rows(tmp_path / "mine.csv", list("abcd"), *X.tolist())
    for y in (np.arange(30), np.arange(30.0), np.arange(30).astype("S")):
        np.save(tmp_path / "y.npy", y)
        labels = read_table(path, str(tmp_path / "y.npy")).labels
        assert labels is not None and labels.dtype == np.int64 and labels.tolist() == list(range(30))


def test_unfit_files_of_labels_are_refused(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "mine.npy"
    np.save(path, X)

    def fault(text: str, name: str = "y.txt") -> str:
        return refused(path, str(write(text, name)))

    assert "29 labels for 30 rows" in fault("a\n" * 29)
    assert "31 labels for 30 rows" in fault("a\n" * 31)  # no header: others are the same
    assert "no label in 1 row (row 4)" in fault("a\n" * 4 + "\n" + "a\n" * 25)
    assert "2 values in a row, 'a', 'b', but should have one label per row" in fault("a,b\n" * 30, "y.csv")
    assert "is empty" in fault("")
    np.save(tmp_path / "y.npy", np.arange(31))
    assert "31 labels for 30 rows" in refused(path, str(tmp_path / "y.npy"))
    missing = str(tmp_path / "none.txt")
    assert refused(path, missing, MissingData) == f"There is no file or folder {missing}."
    assert "no columns with names; give the labels as a file that ends in .csv, .txt or .npy" in refused(path, "kind")


# Only some columns.


def test_columns_that_are_not_asked_for_may_hold_anything(tmp_path: Path) -> None:
    lines = [[1, "red", 3, ""], [4, "red", 6, 7]]
    for path in (rows(tmp_path / "mine.csv", ["a", "colour", "b", "c"], *lines), tmp_path / "mine.parquet"):
        if path.suffix == ".parquet":
            pytest.importorskip("pyarrow")
            pd.read_csv(tmp_path / "mine.csv").to_parquet(path)
        table = read_table(path, only=["b", "a", "d"])
        assert table.columns == ["a", "b"] and list(table.ignored) == ["colour", "c"]
        assert table.x.tolist() == [[1, 3], [4, 6]]
        labelled = read_table(path, "colour", ["a"])
        assert labelled.columns == ["a"] and list(labelled.ignored) == ["b", "c"]
        assert labelled.labels is not None and labelled.labels.tolist() == ["red", "red"]
        assert "not numbers, 'colour'" in refused_columns(path)


def refused_columns(path: Path) -> str:
    """What is said where none of the columns asked for is there."""
    with pytest.raises(DataError) as caught:
        read_table(path, only=["d"])
    return str(caught.value)


def test_a_column_that_numbers_the_rows_is_noticed(tmp_path: Path) -> None:
    lines = [[i, 7, i, i / 7] for i in range(30)]
    table = read_table(rows(tmp_path / "mine.csv", ["ID", "index", "count", "size"], *lines))
    assert numberings(table) == ["ID"]
    assert numberings(read_table(rows(tmp_path / "no.csv", ["a", "b", "c", "d"], *lines))) == []


# Files as such.


def test_a_file_of_nearly_the_same_name_is_proposed(tmp_path: Path, write: Write) -> None:
    write("a,b\n1,2\n", "mine.csv")
    assert refused(tmp_path / "mnie.csv", kind=MissingData).endswith("mnie.csv; did you mean 'mine.csv'?")
    assert refused(tmp_path / "yours.csv", kind=MissingData).endswith("yours.csv.")


def test_what_is_not_there_or_of_another_kind(tmp_path: Path, write: Write) -> None:
    for name in ("none.csv", "none.npy", "none.h5ad", "none.xlsx", "folder"):
        refused(tmp_path / name, kind=MissingData)
    message = refused(write("x", "mine.xlsx"))
    assert "ends in .xlsx; what can be read ends in .npy, .npz, .csv, .tsv, .parquet, .h5ad, or is a folder" in message
    assert "has no ending" in refused(write("x", "mine"))
    assert "is a single image; give the folder" in refused(write("x", "cat.PNG"))
    for ending in ("npy", "npz", "csv", "parquet", "h5ad"):
        assert "is empty." in refused(write("", f"mine.{ending}"))


def test_damaged_files(tmp_path: Path, write: Write) -> None:
    np.save(tmp_path / "mine.npy", X)
    np.savez(tmp_path / "mine.npz", x=X)
    for name in ("mine.npy", "mine.npz"):
        assert "is damaged" in refused(write((tmp_path / name).read_bytes()[:-40], f"cut-{name}"))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}\n"
    huge = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    assert "is damaged" in refused(write(huge, "huge.npy"))
    np.save(tmp_path / "array.npy", X)
    assert "is a single array; let its name end in .npy" in refused(
        write((tmp_path / "array.npy").read_bytes(), "array.npz")
    )
    assert "is an archive of arrays; let its name end in .npz" in refused(
        write((tmp_path / "mine.npz").read_bytes(), "mine.npy")
    )
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("x.csv", "1,2")
    assert "an array 'x.csv' of type |S3, but only numbers can be read" in refused(tmp_path / "text.npz")
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("x.npy", huge)
    assert "damaged" in (message := refused(tmp_path / "huge.npz")) or "does not fit into memory" in message


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "mine.npy", X)
    assert np.array_equal(read_table("~/mine.npy").x, X)


# Images.


def images(folder: Path, x: np.ndarray, ending: str = "png", classes: list[str] | None = None) -> list[str]:
    names = []
    for i, image in enumerate(x):
        name = f"{classes[i]}/{i}.{ending}" if classes else f"{i}.{ending}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)
        names.append(name)
    return names


@pytest.mark.parametrize("ending", ["png", "PNG", "bmp", "tif", "tiff"])
@pytest.mark.parametrize("x", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_folder_of_images_is_read_exactly(tmp_path: Path, x: np.ndarray, ending: str) -> None:
    names = images(tmp_path, x, ending)
    (tmp_path / ".hidden.png").write_text("no image")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "0.png").write_text("no image")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    table = read_table(tmp_path)
    assert table.x.dtype == np.uint8 and np.array_equal(table.x, x)
    assert table.names == names and table.labels is None and table.columns is None


def test_photographs_are_read_nearly(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(16), np.arange(12)).astype(np.uint8)[None] * 8
    images(tmp_path, smooth, "jpg")
    assert np.abs(read_table(tmp_path).x.astype(int) - smooth).max() < 8


def test_a_folder_per_class(tmp_path: Path, write: Write) -> None:
    classes = ["b", "a", "b", "a", "c", "b"]
    images(tmp_path / "images", GREY, classes=classes)
    table = read_table(tmp_path / "images")
    assert table.names == ["a/1.png", "a/3.png", "b/0.png", "b/2.png", "b/5.png", "c/4.png"]
    assert table.labels is not None and table.labels.tolist() == ["a", "a", "b", "b", "b", "c"]
    assert np.array_equal(table.x, GREY[[1, 3, 0, 2, 5, 4]])
    given = read_table(tmp_path / "images", str(write("1\n2\n3\n4\n5\n6\n", "y.txt"))).labels
    assert given is not None and given.tolist() == [1, 2, 3, 4, 5, 6]
    assert "no columns with names" in refused(tmp_path / "images", "kind")
    images(tmp_path / "digits", GREY, classes=["1", "0", "1", "0", "10", "1"])
    table = read_table(tmp_path / "digits")
    assert table.labels is not None and table.labels.tolist() == [0, 0, 1, 1, 1, 10]


def test_kinds_of_images_that_become_grey_or_colour(tmp_path: Path) -> None:
    opaque = np.concatenate([COLOUR[0], np.full((5, 7, 1), 255, np.uint8)], 2)
    (tmp_path / "colour").mkdir()
    Image.fromarray(opaque).save(tmp_path / "colour" / "0.png")
    Image.fromarray(COLOUR[1]).quantize(64).save(tmp_path / "colour" / "1.png")
    x, palette = read_table(tmp_path / "colour").x, Image.fromarray(COLOUR[1]).quantize(64)
    assert np.array_equal(x[0], COLOUR[0]) and np.array_equal(x[1], palette.convert("RGB"))
    (tmp_path / "grey").mkdir()
    Image.fromarray(GREY[0]).convert("LA").save(tmp_path / "grey" / "0.png")
    Image.fromarray(GREY[1] > 127).save(tmp_path / "grey" / "1.png")
    x = read_table(tmp_path / "grey").x
    assert np.array_equal(x[0], GREY[0]) and np.array_equal(x[1], 255 * (GREY[1] > 127))


def png16() -> bytes:
    """An image of 7 × 5 pixels with 16 bits per colour, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header, pixels = struct.pack(">IIBBBBB", 7, 5, 16, 2, 0, 0, 0), zlib.compress(bytes(5 * (1 + 7 * 6)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_unfit_images_are_refused(tmp_path: Path, write: Write) -> None:
    def fault(**files: Image.Image | bytes) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        images(folder, GREY, classes=None)
        for name, image in files.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            if isinstance(image, bytes):
                path.write_bytes(image)
            else:
                image.save(path)
        return refused(folder) if not files else refused_within(folder)

    def refused_within(folder: Path) -> str:
        with pytest.raises(DataError, match=str(folder)) as caught:
            read_table(folder)
        assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
        return str(caught.value)

    grey, large = Image.fromarray(GREY[0]), Image.new("L", (9, 8))
    message = fault(a_png=large, b_png=large, c_png=Image.new("L", (1, 1)))
    assert (
        "3 sizes (width × height), 7 × 5 (6, such as '0.png') and 9 × 8 (2, such as 'a.png'); give all one size"
        in message
    )
    message = fault(a_png=Image.fromarray(COLOUR[0]))
    assert (
        "2 kinds, grey (6, such as '0.png') and in colour (1, such as 'a.png'); make all grey or all in colour"
        in message
    )
    assert "a.png is partly transparent" in fault(a_png=Image.fromarray(GREY[0]).convert("LA").point(lambda v: v // 2))
    for image in (Image.fromarray(GREY[0].astype(np.uint16) * 257), png16()):
        assert "a.png has 16 bits per value, but images are read with 8" in fault(a_png=image)
    assert "a.tif has 16 bits per value" in fault(a_tif=Image.fromarray(GREY[0].astype(np.uint16) * 257))
    assert "a.tif has the colours F; save it in grey or RGB" in fault(a_tif=Image.fromarray(GREY[0].astype(np.float32)))
    assert "a.jpg has the colours CMYK" in fault(a_jpg=Image.new("CMYK", (7, 5)))
    assert "a.png is damaged" in fault(a_png=(tmp_path / "0" / "0.png").read_bytes()[:60])
    assert "a.png is damaged" in fault(a_png=b"no image")
    assert "a.png is empty" in fault(a_png=b"")
    assert "images such as '0.png', 'cat/a.png'; put all into this folder, or into one" in fault(cat__a_png=grey)
    images(tmp_path / "deep" / "train", GREY, classes=["a"] * 6)
    assert "images such as 'train/a/0.png'; put" in refused(tmp_path / "deep")
    (tmp_path / "none").mkdir()
    assert "has no images, which end in .png, .jpg" in refused(tmp_path / "none")
    stack = tmp_path / "stack"
    stack.mkdir()
    grey.save(stack / "a.tif", save_all=True, append_images=[grey, grey])
    with pytest.raises(DataError, match=r"a\.tif holds several images; save each as a file"):
        read_table(stack)


# Formats that need another package.


@pytest.mark.parametrize(("ending", "package"), [(".parquet", "pyarrow"), (".h5ad", "h5py")])
def test_a_package_that_is_lacking_is_named(
    write: Write, monkeypatch: pytest.MonkeyPatch, ending: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    path = write("x", f"mine{ending}")
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value) == f"Reading {ending} needs {package}: pip install {package}."


def test_parquet(tmp_path: Path, write: Write) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "mine.parquet"
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["whole"] = pd.array(np.arange(30), dtype="Int64")
    frame["yes"] = np.arange(30) % 2 == 0
    want = frame.to_numpy(np.float32)
    for labels in (KINDS, pd.Categorical(KINDS), np.arange(30), np.arange(30.0)):
        frame.assign(kind=labels).to_parquet(path)
        table = read_table(path, "kind")
        assert np.array_equal(table.x, want) and table.columns == [*"abcd", "whole", "yes"] and table.names == NUMBERS
        assert table.labels is not None and table.labels.tolist() == (
            list(range(30)) if not isinstance(labels[0], str) else KINDS.tolist()
        )
    named = [f"plant {i}" for i in range(30)]
    frame.assign(name=named).to_parquet(path)
    assert read_table(path).names == named and np.array_equal(read_table(path).x, want)
    frame.set_axis(named).to_parquet(path)
    assert read_table(path).names == named
    frame.assign(city="Rome").to_parquet(path)
    assert "not numbers, 'city' (such as 'Rome' in 'city')" in refused(path)
    assert "no column 'town', only 'a'" in refused(path, "town")
    frame.assign(day=pd.Timestamp("2020-01-01")).to_parquet(path)
    assert "not numbers, 'day'" in refused(path)
    frame.assign(whole=pd.array([None, *range(29)], dtype="Int64")).to_parquet(path)
    assert "1 missing (NaN) and 0 infinite or beyond float32, in the column 'whole'" in refused(path)
    frame.assign(kind=[None, *KINDS[1:]]).to_parquet(path)
    assert "no label in 1 row (row 0)" in refused(path, "kind")
    frame[:0].to_parquet(path)
    assert "has no rows" in refused(path)
    assert "is damaged" in refused(write("no table", "other.parquet"))


def test_dates_in_a_frame_name_rows_as_in_a_text_file() -> None:
    """As Parquet has them, of midnights, times with a zone, and days."""
    days = pd.date_range("2024-02-28", periods=5)
    for dates in (days, days.tz_localize("UTC"), list(days.date)):
        for title, named_by in (("name", None), ("day", "day")):
            frame = pd.DataFrame({"a": range(5), title: dates})
            table = _from_columns(Path("mine.parquet"), columns_of_frame(Path(), frame, Asked(None)), False)
            assert table.columns == ["a"] and table.named_by == named_by and table.names[1][:10] == "2024-02-29"
            assert frame[title].tolist() == list(dates)
    with pytest.raises(DataError, match=r"not numbers, 'day' \(such as '2024-02-28'"):
        columns_of_frame(Path(), pd.DataFrame({"a": range(5), "day": days[:1].repeat(5)}), Asked(None))
    with pytest.raises(DataError, match="no label in 1 row"):
        frame = pd.DataFrame({"a": range(5), "day": [*days[:4], None]})
        _from_columns(Path(), columns_of_frame(Path(), frame, Asked("day")), False)


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_matrix, scipy.sparse.csc_matrix])
def test_single_cells(tmp_path: Path, write: Write, make: Callable[[np.ndarray], object]) -> None:
    pytest.importorskip("h5py")
    anndata = pytest.importorskip("anndata")
    path, counts = tmp_path / "mine.h5ad", np.maximum(X, 0)
    obs = pd.DataFrame(
        {"kind": pd.Categorical(KINDS), "text": KINDS, "whole": np.arange(30)}, index=[f"cell {i}" for i in range(30)]
    ).astype({"text": object})
    obs["gaps"] = pd.Categorical([None, *KINDS[1:]])
    obs["masked"] = pd.array([None, *range(29)], dtype="Int64")
    cells = anndata.AnnData(make(counts), obs, pd.DataFrame(index=pd.Index(list("abcd"), dtype=object)))
    cells.obs_names = cells.obs_names.astype(object)
    cells.layers["log"] = cells.X
    cells.write_h5ad(path)
    table = read_table(path)
    assert np.array_equal(table.x, counts) and table.x.dtype == np.float32 and table.labels is None
    assert table.names == list(obs.index) and table.columns == list("abcd")
    for column in ("kind", "text", "whole"):
        labels = read_table(path, column).labels
        assert labels is not None and labels.tolist() == obs[column].tolist()
    for column in ("gaps", "masked"):
        assert "no label in 1 row (row 0)" in refused(path, column)
    assert "no column of obs 'kinds', only" in refused(path, "kinds")
    if hasattr(anndata.settings, "allow_write_nullable_strings"):
        with anndata.settings.override(allow_write_nullable_strings=True):
            new = anndata.AnnData(make(counts), obs.astype({"text": "string"}))
            new.obs_names = pd.Index(obs.index, dtype="string")
            new.write_h5ad(path)
        table = read_table(path, "text")
        assert table.names == list(obs.index) and table.labels is not None and table.labels.tolist() == KINDS.tolist()
    cells.X = make(np.where(counts > 1, np.nan, counts))
    cells.write_h5ad(path)
    assert f"{(counts > 1).sum()} missing (NaN)" in refused(path)
    cells.X = None
    cells.write_h5ad(path)
    assert "has no X" in refused(path)
    assert "is damaged" in refused(write("no cells", "other.h5ad"))
    assert "is damaged" in refused(write(path.read_bytes()[:-4000], "cut.h5ad"))


def test_single_cells_of_earlier_versions(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "mine.h5ad"
    with h5py.File(path, "w") as file:
        x = file.create_group("X")
        x.attrs["h5sparse_format"], x.attrs["h5sparse_shape"] = "csr", (3, 2)
        x["data"], x["indices"], x["indptr"] = [1.5, 2.0], [1, 0], [0, 1, 2, 2]
        for name, index in (("obs", ["a", "b", "c"]), ("var", ["g", "h"])):
            file.create_group(name).attrs["_index"] = "names"
            file[name]["names"] = index
        file["obs/__categories/kind"] = ["owl", "cat"]
        file["obs/kind"] = np.array([1, 0, 1], np.int8)
        file["obs/kind"].attrs["categories"] = file["obs/__categories/kind"].ref
    table = read_table(path, "kind")
    assert table.x.tolist() == [[0, 1.5], [2, 0], [0, 0]] and table.names == ["a", "b", "c"]
    assert table.columns == ["g", "h"] and table.labels is not None and table.labels.tolist() == ["cat", "owl", "cat"]
    with h5py.File(path, "w") as file:
        file["X"] = X
        file["obs"] = np.zeros(30, [("index", "S8")])
        file["var"] = np.zeros(4, [("index", "S8")])
    assert "has no obs and var as AnnData writes them since its version 0.7" in refused(path)
    with h5py.File(path, "w") as file:
        file["weights"] = X
    assert "has no obs and var" in refused(path)
