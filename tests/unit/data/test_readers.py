"""The readers, on small files of the real formats; and what they say when a file is missing or damaged."""

from __future__ import annotations

import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tiny_data as tiny
from typer.testing import CliRunner

from genclust import data
from genclust.cli import app
from genclust.data import bicubic, catalogue, readers
from genclust.data.coloured import HUES


def test_every_named_data_set_has_a_reader() -> None:
    assert sorted(data.names()) == sorted(readers.READERS)


def test_digits_are_grey_and_fully_split() -> None:
    digits = data.load("digits")
    train, test = digits.splits["train"], digits.splits["test"]
    assert (len(train), len(test)) == (1438, 359)
    assert train.x.dtype == np.uint8 and train.x.max() == 255 and digits.image_shape == (8, 8, 1)
    both = np.vstack([train.x, test.x])
    original = np.rint(readers.load_digits().data * 255 / 16)
    assert np.array_equal(np.sort(both, axis=0), np.sort(original, axis=0))  # nothing lost, nothing twice


@pytest.mark.parametrize("packed", [True, False])
def test_mnist(tmp_path: Path, packed: bool) -> None:
    tiny.write_mnist(tmp_path)
    if not packed:
        for path in list(tmp_path.glob("*.gz")):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    mnist = readers.mnist(tmp_path)
    assert np.array_equal(mnist.splits["train"].x, tiny.GREY[:20].reshape(20, 784))
    assert np.array_equal(mnist.splits["test"].x, tiny.GREY[20:].reshape(10, 784))
    assert np.array_equal(mnist.splits["test"].y, tiny.LABELS[20:])
    assert mnist.splits["train"].x.flags.writeable


def test_binarized_mnist_is_the_same_from_either_form(tmp_path: Path) -> None:
    tiny.write_binarized_amat(tmp_path)
    from_text = readers.binarized_mnist(tmp_path)
    tiny.write_binarized_npz(tmp_path)  # with its rows in another order
    (tmp_path / "binarized_mnist_train.amat").unlink()
    from_npz = readers.binarized_mnist(tmp_path)
    assert from_text.digest() == from_npz.digest()
    for split, part in tiny.PARTS.items():
        x = from_npz.splits[split].x
        assert from_npz.splits[split].y is None
        assert sorted(map(bytes, x)) == sorted(map(bytes, tiny.BITS[part] * np.uint8(255)))


def test_omniglot_from_drawings(tmp_path: Path) -> None:
    tiny.write_omniglot_zips(tmp_path)
    omniglot = readers.omniglot(tmp_path)
    assert omniglot.variant == "rebuilt"
    assert omniglot.class_names == ("Angelic", "Greek", "Latin")
    marks = {}
    for name, split in omniglot.splits.items():
        assert split.x.dtype == np.float32 and split.x.min() == 0 and split.x.max() <= 1
        marks[name] = set()
        for image, label in zip(split.x.reshape(-1, 28, 28), split.y, strict=True):
            assert image[:, 13].max() > 0.8 and image[:, 1].max() < 0.1  # bright ink in the middle, none at the margin
            mark = round((image[:, 13] @ (np.arange(28) + 0.5) / image[:, 13].sum() * 105 / 28 - 4) / 3)
            assert tiny.ALPHABETS[mark // 6] == omniglot.class_names[label]
            marks[name].add(mark)
    assert marks["train"] == {mark for mark in range(18) if mark % 3 < 2}  # drawers 1 and 15
    assert marks["test"] == {mark for mark in range(18) if mark % 3 == 2}  # drawer 16


def test_omniglot_does_not_depend_on_the_order_in_the_archive(tmp_path: Path) -> None:
    tiny.write_omniglot_zips(tmp_path)
    digest = readers.omniglot(tmp_path).digest()
    tiny.write_omniglot_zips(tmp_path, order=-1)
    assert readers.omniglot(tmp_path).digest() == digest


def cubic(t: float) -> float:
    """Keys' kernel with a = -1/2."""
    t = abs(t)
    if t < 1:
        return (1.5 * t - 2.5) * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


def test_the_filter_against_the_definition_pixel_by_pixel() -> None:
    """Every pixel as a weighted mean of all those that a kernel 2.25 times as wide can reach, the edge going on."""
    image = np.random.default_rng(0).random((9, 18))
    small = bicubic.reduce(np.stack([image, 1 - image]), 4)
    for row, column in np.ndindex(4, 4):
        total = share = 0.0
        for r, c in np.ndindex(60, 60):
            r, c = r - 20, c - 20
            weight = cubic((r + 0.5) / 2.25 - row - 0.5) * cubic((c + 0.5) / 4.5 - column - 0.5)
            total += weight * image[min(max(r, 0), 8), min(max(c, 0), 17)]
            share += weight
        assert small[0, row, column] == pytest.approx(total / share, abs=1e-12)
        assert small[1, row, column] == pytest.approx(1 - total / share, abs=1e-12)


def test_the_filter_leaves_an_image_of_the_same_size_and_keeps_to_the_unit_interval() -> None:
    image = (np.random.default_rng(1).random((12, 12)) < 0.5).astype(float)
    assert np.allclose(bicubic.reduce(image, 12), image, atol=1e-12)
    small = bicubic.reduce(image, 5)
    assert small.min() >= 0 and small.max() <= 1
    sharp = bicubic.reduce(np.kron(np.eye(2), np.ones((6, 6))), 5)
    assert (sharp.min(), sharp.max()) == (0, 1)  # where the kernel overshoots


def test_chardata_is_preferred_and_stands_upright(tmp_path: Path) -> None:
    tiny.write_omniglot_zips(tmp_path)
    tiny.write_chardata(tmp_path)
    omniglot = readers.omniglot(tmp_path)
    assert omniglot.variant == "chardata.mat"
    train, test = omniglot.splits["train"], omniglot.splits["test"]
    assert np.allclose(train.x, tiny.GREY[:20].reshape(20, 784) / 255)
    assert np.array_equal(test.y, tiny.LABELS[20:])
    assert train.x.dtype == np.float32


def test_usps_fills_the_unit_interval(tmp_path: Path) -> None:
    tiny.write_usps(tmp_path)
    train = readers.usps(tmp_path).splits["train"]
    pairs = {(y, bytes(x)) for x, y in zip(train.x, train.y, strict=True)}
    expected = ((tiny.ZIPCODES[:20] + 1) / 2).astype(np.float32)
    assert pairs == {(y, bytes(x)) for x, y in zip(expected, tiny.LABELS[:20], strict=True)}


def test_usps_does_not_depend_on_the_order_of_lines_nor_on_decimals(tmp_path: Path) -> None:
    tiny.write_usps(tmp_path)
    digest = readers.usps(tmp_path).digest()
    lines = tiny.zipcode_text(slice(20)).splitlines()
    padded = "\n".join(
        " ".join(word if "." not in word else word + "0" for word in line.split()) for line in lines[::-1]
    )
    (tmp_path / "zip.train.gz").write_bytes(gzip.compress(padded.encode()))
    assert readers.usps(tmp_path).digest() == digest


def test_rcv1_rows_have_the_scale_of_dec(tmp_path: Path) -> None:
    tiny.write_rcv1(tmp_path)
    rcv1 = readers.rcv1_10k(tmp_path)
    train = rcv1.splits["train"]
    assert train.x.dtype == np.float32 and train.x.shape == (30, 50)
    assert np.allclose((train.x**2).sum(1), 50, rtol=1e-5)
    assert rcv1.class_names == ("CCAT", "GCAT", "MCAT", "ECAT")


def test_house_numbers_keep_safe_crops_and_split_by_photograph(tmp_path: Path) -> None:
    tiny.write_house_numbers(tmp_path)
    splits = readers.house_numbers(tmp_path).splits
    crops = {bytes(image): k for k, image in enumerate(tiny.COLOUR)}
    where = {name: [crops[bytes(x)] for x in split.x] for name, split in splits.items()}
    assert sorted(where["train"] + where["test"]) == [k for k in range(30) if k % 10]
    assert not {k // 2 for k in where["train"]} & {k // 2 for k in where["test"]}
    assert len({k // 2 for k in where["test"]}) == 3  # a fifth of 15 photographs
    for name, split in splits.items():
        assert np.array_equal(split.y, tiny.LABELS[where[name]])


def test_svhn_10k_is_split_by_photograph(tmp_path: Path) -> None:
    tiny.write_svhn_10k(tmp_path)
    splits = readers.svhn_10k(tmp_path).splits
    images = {bytes(image): k for k, image in enumerate(tiny.COLOUR)}
    where = {name: [images[bytes(x)] for x in split.x] for name, split in splits.items()}
    assert sorted(where["train"] + where["test"]) == list(range(30)) and len(where["test"]) == 6
    for name, split in splits.items():
        assert np.array_equal(split.y, tiny.LABELS[where[name]])  # 10 in the file is the digit 0
        assert np.array_equal(split.groups, tiny.PHOTOS[where[name]])
    assert not set(splits["train"].groups) & set(splits["test"].groups)


def test_svhn_10k_is_the_same_cut_from_the_official_file(tmp_path: Path) -> None:
    own = tmp_path / "svhn_test10k"
    for folder in (own, tmp_path / "svhn"):
        folder.mkdir()
    tiny.write_svhn_10k(own)
    (tmp_path / "svhn" / "test_32x32.mat").write_bytes((own / "test_32x32_first10000.mat").read_bytes())
    np.savez(own / "photo.npz", photo=tiny.PHOTOS[:20])  # of the first twenty images only
    given = readers.svhn_10k(own)
    assert sum(map(len, given.splits.values())) == 20
    assert data.sources()["svhn_10k"].present(own)
    (own / "test_32x32_first10000.mat").unlink()
    assert readers.svhn_10k(own).digest() == given.digest()
    assert data.sources()["svhn_10k"].present(own)
    (own / "photo.npz").unlink()
    assert not data.sources()["svhn_10k"].present(own)
    with pytest.raises(data.MissingData, match=r"photo\.npz is missing .*, so place it there by hand") as missing:
        data.load("svhn_10k", tmp_path)
    assert "\n" not in str(missing.value)


def test_photographs_of_more_images_than_there_are_are_refused(tmp_path: Path) -> None:
    tiny.write_svhn_10k(tmp_path)
    np.savez(tmp_path / "photo.npz", photo=np.arange(31))
    with pytest.raises(data.DataError, match=r"30 images, fewer than the 31 of photo\.npz"):
        readers.svhn_10k(tmp_path)
    for wrong in (tiny.PHOTOS / 2, tiny.PHOTOS.reshape(2, 15)):
        np.savez(tmp_path / "photo.npz", photo=wrong)
        with pytest.raises(data.DataError, match=r"photo\.npz is damaged"):
            readers.svhn_10k(tmp_path)


def test_svhn(tmp_path: Path) -> None:
    tiny.write_svhn(tmp_path)
    svhn = readers.svhn(tmp_path)
    assert set(svhn.splits) == {"train", "test"}
    assert np.array_equal(svhn.splits["train"].x, tiny.COLOUR[:20].reshape(20, -1))
    assert np.array_equal(svhn.splits["train"].y, tiny.LABELS[:20])  # 10 in the file is the digit 0
    tiny.write_svhn(tmp_path, "extra")
    assert np.array_equal(readers.svhn(tmp_path).splits["extra"].y, tiny.LABELS[20:])


def test_first_rows_are_a_fair_sample() -> None:
    order = readers.settled(np.arange(256, dtype=np.uint8)[:, None])
    assert sorted(order) == list(range(256))
    assert 96 < np.mean(order[:100]) < 160


# ---- digits in colour


RANGES = {"ink": 8, "background": 8, "weight": 3, "slant": 3, "left": 2, "right": 2}


@pytest.fixture(scope="module")
def coloured_digits() -> data.DataSet:
    return data.load("coloured_digits")


@pytest.fixture
def tiny_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that has small files of MNIST, with sources that tell so of the coloured images drawn from it."""
    (tmp_path / "mnist").mkdir()
    tiny.write_mnist(tmp_path / "mnist")
    tiny.write_sources(tmp_path / "sources.yaml", "coloured_mnist", tmp_path / "mnist", digest=None)
    monkeypatch.setenv("GENCLUST_SOURCES", str(tmp_path / "sources.yaml"))
    monkeypatch.setenv("GENCLUST_DATA", str(tmp_path))
    return tmp_path


def assert_factors(split: data.Split) -> None:
    assert split.factors.keys() == RANGES.keys()
    for name, n in RANGES.items():
        labels = split.factors[name]
        assert labels.dtype == np.int64 and labels.shape == (len(split),)
        assert labels.min() >= 0 and labels.max() < n
    assert (split.factors["ink"] != split.factors["background"]).all()


def drawn_from(split: data.Split, size: int, shapes: np.ndarray, row: int) -> int:
    """Which of the shapes is most like the ink of an image, in the square that a shape fills, 13/16 of the side."""
    ground, ink = (HUES[split.factors[name][row]].astype(float) for name in ("background", "ink"))
    cover = (split.x[row].reshape(size, size, 3) - ground) @ (ink - ground)
    margin = 3 * size // 2  # sixteen pixels for each pixel of the image
    square = np.kron(cover, np.ones((16, 16)))[margin : 16 * size - margin, margin : 16 * size - margin].ravel()
    side = round(len(square) ** 0.5)
    nearest = (np.arange(side) * shapes.shape[1] // side)[:, None], np.arange(side) * shapes.shape[1] // side
    return int(np.argmax([np.corrcoef(square, shape[nearest].ravel())[0, 1] for shape in shapes.astype(float)]))


def test_coloured_digits_have_every_factor(coloured_digits: data.DataSet) -> None:
    assert coloured_digits.image_shape == (16, 16, 3) and coloured_digits.class_names == tuple("0123456789")
    for split, rows in (("train", 8628), ("test", 1077)):
        part = coloured_digits.splits[split]
        assert part.x.shape == (rows, 768) and part.x.dtype == np.uint8 and part.y.dtype == np.int64
        assert_factors(part)
        for name, n in RANGES.items():
            assert np.unique(part.factors[name]).tolist() == list(range(n))


def test_coloured_digits_are_the_shapes_of_their_split_time_after_time(coloured_digits: data.DataSet) -> None:
    """Every shape six times or three, and labelled as the digit that is to be seen."""
    digits = data.load("digits")
    for split, times in (("train", 6), ("test", 3)):
        part, grey = coloured_digits.splits[split], digits.splits[split]
        assert np.bincount(part.y).tolist() == (times * np.bincount(grey.y)).tolist()
        assert np.array_equal(part.y, np.tile(grey.y, times))
        shapes = grey.x.reshape(-1, 8, 8)[:100]
        upright = (part.factors["slant"] == 1) & (part.factors["weight"] == 1)
        alone = part.factors["left"] + part.factors["right"] == 0
        seen = [row for row in np.flatnonzero(upright & alone) if row % len(grey) < 100]
        assert len({row // len(grey) for row in seen}) > 1
        found = np.array([drawn_from(part, 16, shapes, row) for row in seen])
        assert (found == np.array(seen) % len(grey)).mean() > 0.9
        assert (grey.y[found] == part.y[seen]).mean() > 0.97


def test_one_shape_is_drawn_anew_every_time(coloured_digits: data.DataSet) -> None:
    train = coloured_digits.splits["train"]
    every = np.stack([train.factors[name] for name in RANGES], 1).reshape(6, -1, len(RANGES))
    same = (every[0] == every[1]).all(-1).mean()
    assert same < 0.01  # one of 2,016 combinations


def test_coloured_mnist_is_mnist_in_colour(tiny_mnist: Path) -> None:
    coloured = data.load("coloured_mnist")
    assert coloured.name == "coloured_mnist" and coloured.image_shape == (32, 32, 3)
    assert {name: split.x.shape for name, split in coloured.splits.items()} == {"train": (20, 3072), "test": (10, 3072)}
    for split, part in (("train", slice(20)), ("test", slice(20, 30))):
        drawn, shapes = coloured.splits[split], tiny.GREY[part]
        assert drawn.x.dtype == np.uint8
        assert np.array_equal(drawn.y, tiny.LABELS[part])
        assert_factors(drawn)
        seen = np.flatnonzero((drawn.factors["slant"] == 1) & (drawn.factors["weight"] > 0))
        assert len(seen) > 1
        assert [drawn_from(drawn, 32, shapes, row) for row in seen] == seen.tolist()


@pytest.mark.parametrize("name", ["coloured_mnist", "coloured_digits"])
def test_splits_in_colour_are_drawn_from_seeds_of_their_own(
    name: str, tiny_mnist: Path, request: pytest.FixtureRequest
) -> None:
    """With the same seed the first rows of both would have the same factors, whatever their shapes."""
    coloured = data.load(name) if name == "coloured_mnist" else request.getfixturevalue(name)
    train, test = (coloured.splits[split].rows(np.arange(10)) for split in ("train", "test"))
    same = [(train.factors[factor] == test.factors[factor]).mean() for factor in RANGES]
    assert np.mean(same) < 0.6
    combined = [np.stack([split.factors[factor] for factor in RANGES]) for split in (train, test)]
    assert (combined[0] == combined[1]).all(0).sum() == 0


def test_coloured_mnist_is_the_same_every_time(tiny_mnist: Path) -> None:
    first, again = data.load("coloured_mnist"), readers.coloured_mnist(tiny_mnist / "mnist")
    assert first.digest() == again.digest()
    for split, part in first.splits.items():
        assert np.array_equal(part.x, again.splits[split].x)
    tiny.write_sources(tiny_mnist / "sources.yaml", "coloured_mnist", tiny_mnist / "mnist")
    assert data.verify("coloured_mnist").state == "ok"  # with the digest of a third time


def test_coloured_mnist_is_read_from_the_files_of_mnist(tiny_mnist: Path) -> None:
    assert data.place("coloured_mnist") == data.place("mnist") == tiny_mnist / "mnist"
    assert data.place("coloured_mnist", "elsewhere") == Path("elsewhere") / "mnist"
    assert data.place("usps") == tiny_mnist / "usps" and data.place("coloured_digits").name == "coloured_digits"
    known = data.sources()
    assert (known["coloured_mnist"].files, known["coloured_mnist"].mirrors) == (
        known["mnist"].files,
        known["mnist"].mirrors,
    )
    assert [name for name, source in known.items() if source.folder in known] == ["coloured_mnist"]
    assert data.verify("coloured_mnist").state == "unverified"
    assert data.fetch("coloured_mnist", progress=False) == tiny_mnist / "mnist"  # and nothing is downloaded
    assert sorted(path.name for path in tiny_mnist.iterdir()) == ["mnist", "sources.yaml"]


def test_files_that_coloured_mnist_misses_are_looked_for_in_the_folder_of_mnist(tiny_mnist: Path) -> None:
    for path in sorted((tiny_mnist / "mnist").iterdir()):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(data.MissingData) as missing:
            data.load("coloured_mnist")
        message = str(missing.value)
        assert f"Data set 'coloured_mnist' is not in {tiny_mnist / 'mnist'}: {path.name} is missing" in message
        assert "`genclust data fetch coloured_mnist`" in message and "\n" not in message
        assert data.verify("coloured_mnist").state == "missing"
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(data.DataError, match=f"{path.name} is damaged or cut short"):
            data.load("coloured_mnist")
        path.write_bytes(content)
    data.load("coloured_mnist")


def test_the_list_of_data_sets_knows_whose_files_are_there(tiny_mnist: Path) -> None:
    def here() -> dict[str, str]:
        result = CliRunner().invoke(app, ["data", "list"], env={"COLUMNS": "250"})
        assert result.exit_code == 0, result.output
        lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
        return {cells[0]: cells[3] for cells in lines if len(cells) == 6}

    assert here().keys() == set(data.names())
    assert {name for name, there in here().items() if there == "yes"} == {
        *("digits", "arcs", "arcs_5000", "coloured_digits", "mnist", "coloured_mnist")
    }
    (tiny_mnist / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert here()["mnist"] == here()["coloured_mnist"] == "no"
    (tiny_mnist / "coloured_mnist").mkdir()
    tiny.write_mnist(tiny_mnist / "coloured_mnist")  # a folder that nobody reads
    assert here()["coloured_mnist"] == "no"


# ---- missing and damaged files


@pytest.fixture(params=sorted(tiny.WRITERS))
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """The name of a data set of which small files are in a data folder, and that folder."""
    name = request.param
    where = data.place(name, tmp_path / "data")
    where.mkdir(parents=True)
    tiny.WRITERS[name](where)
    tiny.write_sources(tmp_path / "sources.yaml", name, where)
    monkeypatch.setenv("GENCLUST_SOURCES", str(tmp_path / "sources.yaml"))
    data.load(name, tmp_path / "data")
    return name, tmp_path / "data"


def complaint(name: str, folder: Path) -> str:
    """What `load` says, which must be one sentence that names data set, folder and cure."""
    with pytest.raises(data.DataError) as caught:
        data.load(name, folder)
    message = str(caught.value)
    assert name in message and str(data.place(name, folder)) in message and "\n" not in message
    assert f"`genclust data fetch {name}`" in message or "by hand" in message
    assert caught.value.__suppress_context__  # no reader's traceback comes with it
    return message


def test_missing_files_are_named(small: tuple[str, Path]) -> None:
    name, folder = small
    for path in sorted(data.place(name, folder).iterdir()):
        content = path.read_bytes()
        path.unlink()
        message = complaint(name, folder)
        assert "is missing (expected: " in message
        assert data.verify(name, folder).state == "missing"
        if name != "binarized_mnist":  # of which the other form is asked for
            assert path.name in message
        path.write_bytes(content)
    data.load(name, folder)


@pytest.mark.parametrize("damage", ["halved", "cut", "emptied", "replaced", "scribbled"])
def test_damaged_files_are_named(small: tuple[str, Path], damage: str) -> None:
    name, folder = small
    for path in sorted(data.place(name, folder).iterdir()):
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(
            {
                "halved": content[:middle],
                "cut": content[:-10],
                "emptied": b"",
                "replaced": b"<html><body>404 Not Found</body></html>\n" * 20,
                "scribbled": content[: middle - 8]
                + bytes(255 - b for b in content[middle - 8 : middle + 8])
                + content[middle + 8 :],
            }[damage]
        )
        message = complaint(name, folder)
        assert "damaged or cut short" in message and path.name in message
        assert data.verify(name, folder).state == "altered"
        path.write_bytes(content)
    data.load(name, folder)


def test_no_single_wrong_byte_goes_unnoticed_or_ends_in_a_traceback(small: tuple[str, Path]) -> None:
    name, folder = small
    digest = data.load(name, folder).digest()
    rng = np.random.default_rng(1)
    refused = 0
    for path in sorted(data.place(name, folder).iterdir()):
        content = path.read_bytes()
        # Headers are short, but it is there that a wrong byte does the strangest things.
        for position in [*range(0, 40, 4), *rng.integers(len(content), size=15)]:
            wrong = bytearray(content)
            wrong[position] ^= 1 << rng.integers(8)
            path.write_bytes(wrong)
            try:
                assert data.load(name, folder).digest() == digest  # as when a file's date is what changed
            except data.DataError:
                refused += 1
        path.write_bytes(content)
    assert refused > 10


def rewrite_npz(path: Path, **arrays: np.ndarray) -> None:
    with np.load(path) as content:
        arrays = dict(content) | arrays
    np.savez(path, **arrays)  # type: ignore[arg-type]


def test_sound_containers_with_unsound_contents_are_refused(tmp_path: Path) -> None:
    for name in ("binarized_mnist", "rcv1_10k", "house_numbers", "omniglot", "usps"):
        (tmp_path / name).mkdir()
        tiny.WRITERS[name](tmp_path / name)
    rewrite_npz(tmp_path / "binarized_mnist" / "binarized_mnist.npz", train=np.arange(99))
    assert "binarized_mnist.npz is damaged" in complaint("binarized_mnist", tmp_path)
    rewrite_npz(tmp_path / "rcv1_10k" / "rcv1_10k.npz", shape=np.array([30, 3]))
    assert "rcv1_10k.npz is damaged" in complaint("rcv1_10k", tmp_path)
    rewrite_npz(tmp_path / "house_numbers" / "house_numbers.npz", labels=tiny.LABELS[:7])
    assert "house_numbers.npz is damaged" in complaint("house_numbers", tmp_path)
    (tmp_path / "usps" / "zip.test.gz").write_bytes(gzip.compress(b"6.0 0.1 0.2\n"))
    assert "3 numbers a line instead of 257" in complaint("usps", tmp_path)
    archive = tmp_path / "omniglot" / "images_evaluation.zip"
    with zipfile.ZipFile(archive) as file:
        name = file.namelist()[1]
        png = bytearray(file.read(name))
    png[png.index(b"IDAT") + 6] ^= 1
    for entry, content in ((name, bytes(png)), ("readme.txt", b"no drawing")):
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(entry, content)
        assert "images_evaluation.zip is damaged" in complaint("omniglot", tmp_path)


def test_no_more_is_decompressed_than_the_data_can_have(tmp_path: Path) -> None:
    """A few kilobytes can hold gigabytes of zeros; a header can announce them."""
    zeros = gzip.compress(bytes(readers.MOST_BYTES + 1), 1)
    for name in ("mnist", "usps", "rcv1_10k"):
        (tmp_path / name).mkdir()
        tiny.WRITERS[name](tmp_path / name)
    (tmp_path / "usps" / "zip.test.gz").write_bytes(zeros)
    assert "more than 67,108,864 bytes in it" in complaint("usps", tmp_path)
    images = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    header = struct.pack(">4I", 0x803, 10, 28, 28)
    images.write_bytes(gzip.compress(header + bytes(7840) + b"x"))
    assert "t10k-images-idx3-ubyte.gz is damaged" in complaint("mnist", tmp_path)
    images.write_bytes(gzip.compress(struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1)))
    assert "its header announces 79,228,162,458,924,105,385,300,197,375 bytes" in complaint("mnist", tmp_path)
    rewrite_npz(tmp_path / "rcv1_10k" / "rcv1_10k.npz", shape=np.array([30, 10**12]))
    assert "a table of the shape (30, 1000000000000)" in complaint("rcv1_10k", tmp_path)


def test_a_label_of_usps_that_is_no_digit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "usps").mkdir()
    tiny.write_usps(tmp_path / "usps")
    text = tiny.zipcode_text(slice(20, 30))
    for label in ("6.5", "10", "-1", "nan"):
        (tmp_path / "usps" / "zip.test.gz").write_bytes(gzip.compress(f"{label} {text.split(' ', 1)[1]}".encode()))
        assert "a label that is no digit" in complaint("usps", tmp_path)


def test_contents_of_matlab_files_that_no_digest_is_known_of_are_checked(tmp_path: Path) -> None:
    for name, write in (("svhn", tiny.write_svhn), ("omniglot", tiny.write_chardata)):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    svhn, chardata = tmp_path / "svhn" / "test_32x32.mat", tmp_path / "omniglot" / "chardata.mat"
    sound = {path: {k: v for k, v in scipy.io.loadmat(path).items() if k[0] != "_"} for path in (svhn, chardata)}
    target = sound[chardata]["target"]
    for path, changes, fault in (
        (svhn, {"y": np.zeros((10, 1), np.uint8)}, "y is not 1 … 10"),
        (svhn, {"y": np.full((10, 1), 3.5)}, "y is not 1 … 10"),
        (svhn, {"y": np.full((10, 1), np.nan)}, "y is not 1 … 10"),
        (svhn, {"X": sound[svhn]["X"] / 255}, "X is of type float64"),
        (svhn, {"X": sound[svhn]["X"].transpose(2, 0, 1, 3)}, "and shape (3, 32, 32, 10)"),
        (chardata, {"target": np.zeros_like(target)}, "target does not name one alphabet for every image"),
        (chardata, {"target": target * 0.5}, "target does not name one alphabet for every image"),
        (chardata, {"target": target.astype(object)}, "target of type object"),
        (chardata, {"testdata": sound[chardata]["testdata"] * 1j}, "testdata is of type complex128"),
    ):
        scipy.io.savemat(path, sound[path] | changes)
        message = complaint(path.parent.name, tmp_path)
        assert f"{path.name} is damaged" in message and fault in message


def test_labels_that_name_no_class_are_refused() -> None:
    x = np.zeros((3, 2), np.float32)
    for wrong in (2, -1):
        split = data.Split(x, np.array([0, wrong, 1]))
        with pytest.raises(data.DataError, match="its split train has labels that are not 0 … 1"):
            catalogue.check(data.DataSet("mine", {"train": split}, class_names=("a", "b")))


def test_altered_contents_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "mnist"
    where.mkdir()
    tiny.write_mnist(where)
    tiny.write_sources(tmp_path / "sources.yaml", "mnist", where)
    monkeypatch.setenv("GENCLUST_SOURCES", str(tmp_path / "sources.yaml"))
    grey = tiny.GREY[:20].copy()
    grey[3, 14, 14] ^= 1
    (where / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(tiny.idx(grey)))
    assert "contents are altered" in complaint("mnist", tmp_path)
    (where / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(tiny.idx(grey[:19])))
    assert "19 rows but 20 labels" in complaint("mnist", tmp_path)
    (where / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(tiny.idx(tiny.LABELS[:19])))
    assert "19 rows instead of 20" in complaint("mnist", tmp_path)


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    where = tmp_path / "usps"
    where.mkdir()
    tiny.write_usps(where)
    text = gzip.decompress((where / "zip.test.gz").read_bytes()).decode()
    first, rest = text.split(" ", 1)
    (where / "zip.test.gz").write_bytes(gzip.compress(f"{first} nan {rest.split(' ', 1)[1]}".encode()))
    assert "not finite" in complaint("usps", tmp_path)


def test_a_wrong_file_placed_by_hand_is_blamed(tmp_path: Path) -> None:
    where = tmp_path / "omniglot"
    where.mkdir()
    (where / "chardata.mat").write_bytes(b"not Matlab")
    assert "replace or remove chardata.mat" in complaint("omniglot", tmp_path)


def test_the_nearest_name_is_proposed() -> None:
    with pytest.raises(data.DataError, match="no data set 'minst'; did you mean 'mnist'"):
        data.load("minst")


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCLUST_DATA", str(tmp_path))
    assert data.folder() == tmp_path
    monkeypatch.delenv("GENCLUST_DATA")
    monkeypatch.delenv("GENCLUST_CACHE", raising=False)
    assert data.folder().name == "data" and "genclust" in str(data.folder())


def test_a_wrong_list_of_sources_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCLUST_SOURCES", str(tmp_path / "sources.yaml"))
    with pytest.raises(data.DataError, match=r"sources\.yaml is not a list of data sources"):
        data.names()
    sound = "mnist: {title: MNIST, what: digits, citation: nobody, splits: {train: 60000}, digest: null"
    (tmp_path / "sources.yaml").write_text(sound + "}")
    assert data.names() == ["mnist"]
    for wrong in (
        *("mnist: {colour: red}", "mnist", "5", "mnist: 5", "mnist: [", "[1]", "", "1: {}", "\\x00"),
        *(sound + ", digest: abc}", sound + ", mirrors: 5}", sound + ", mirrors: [5]}", sound + ", files: [a]}"),
        *(sound + ", files: {a: 5}}", sound + ", variants: {a: {colour: red}}}", sound + ", variants: {a: 5}}"),
        sound.replace("60000", "many") + "}",
    ):
        (tmp_path / "sources.yaml").write_text(wrong)
        with pytest.raises(data.DataError, match=r"sources\.yaml is not a list of data sources: .") as caught:
            data.names()
        assert "\n" not in str(caught.value)
    (tmp_path / "sources.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(data.DataError, match=r"sources\.yaml is not a list of data sources: 'utf-8' codec"):
        data.names()
