"""Readers of the named data sets, one function for each: from the files in its folder to arrays.

A reader knows the format of the files and nothing else.  Its errors are one phrase that begins with the name of the
file; numbers of rows, digests and how to get the files again are left to `genclust.data.catalogue`.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from os.path import exists  # which a path that cannot be does not upset
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse
from PIL import Image
from sklearn.datasets import load_digits

from genclust.data import bicubic, synthetic
from genclust.data.base import DataSet, Split, whole_groups
from genclust.data.coloured import coloured_digits as draw_in_colour
from genclust.data.files import MOST_BYTES, npz_arrays, reading

DIGITS = tuple("0123456789")

Reader = Callable[[Path], DataSet]
#: Readers by the names of data sets.
READERS: dict[str, Reader] = {}


def reader(function: Reader) -> Reader:
    """Decorator that registers a function as the reader of the data set of the same name."""
    READERS[function.__name__] = function
    return function


def shuffled(n: int) -> np.ndarray:
    """Fixed random permutation of 0 … n-1, from which all fixed splits are made.

    ``RandomState`` and not a newer generator, because NumPy promises that its stream never changes.
    """
    return np.random.RandomState(0).permutation(n)


def settled(rows: np.ndarray) -> np.ndarray:
    """Indices that put ``rows`` in a canonical order, which depends on their values and not on their file order.

    Copies of a file that differ in the order of their rows so become the same data set.  The
    sorted rows are shuffled, so that the first n of them are a fair sample.
    """
    keys = np.ascontiguousarray(rows).view(f"S{rows.shape[1] * rows.itemsize}").ravel()
    return np.argsort(keys, kind="stable")[shuffled(len(rows))]


@reader
def digits(folder: Path) -> DataSet:
    """The 8 x 8 digits that come with scikit-learn, with grey values scaled from 0 … 16 to 0 … 255.

    Neither scikit-learn nor the papers split them; a fifth is set aside for testing, because
    experiments on real data score on a test split and the demo is to take the same path.
    """
    bunch = load_digits()
    examples = Split(np.rint(bunch.data * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int64))
    order = shuffled(len(examples))
    n_test = len(examples) // 5
    return DataSet(
        "digits", {"train": examples.rows(order[n_test:]), "test": examples.rows(order[:n_test])}, (8, 8, 1), DIGITS
    )


@reader
def arcs(folder: Path) -> DataSet:
    """Synthetic arcs: 10,000 training points (seed 0), 2,000 for validation (seed 1) and 2,000 for testing (seed 2)."""
    return _arcs("arcs", 10_000)


@reader
def arcs_5000(folder: Path) -> DataSet:
    """Synthetic arcs with 5,000 training points, as in the GMVAE authors' file; other splits as in `arcs`."""
    return _arcs("arcs_5000", 5_000)


def _arcs(name: str, n: int) -> DataSet:
    splits = {"train": synthetic.arcs(n), "validation": synthetic.arcs(2000, 1), "test": synthetic.arcs(2000, 2)}
    return DataSet(name, splits, class_names=tuple(f"arm {k}" for k in range(synthetic.N_ARCS)))


@reader
def mnist(folder: Path) -> DataSet:
    """MNIST from its four IDX files, gzipped or not."""
    splits = {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        images = _idx(folder / f"{stem}-images-idx3-ubyte.gz", 3)
        labels = _idx(folder / f"{stem}-labels-idx1-ubyte.gz", 1)
        splits[split] = Split(images.reshape(len(images), math.prod(images.shape[1:])), labels.astype(np.int64))
    return DataSet("mnist", splits, (28, 28, 1), DIGITS)


def _idx(path: Path, n_dims: int) -> np.ndarray:
    plain = path.with_suffix("")
    with reading(path):
        with plain.open("rb") if exists(plain) and not exists(path) else gzip.open(path) as file:
            kind, *shape = struct.unpack(f">{1 + n_dims}I", file.read(4 + 4 * n_dims))
            if kind != 0x800 + n_dims:
                raise ValueError(f"not an IDX file of bytes with {n_dims} dimensions")
            if math.prod(shape) > MOST_BYTES:
                raise ValueError(f"its header announces {math.prod(shape):,} bytes")
            content = file.read(math.prod(shape) + 1)  # one more, to see that there is none
        # A copy, because an array over `bytes` cannot be written to, which PyTorch warns of.
        return np.frombuffer(content, np.uint8).reshape(shape).copy()


@reader
def coloured_digits(folder: Path) -> DataSet:
    """scikit-learn's digits drawn in colour, 16 x 16 x 3: training shapes six times, test shapes three times."""
    return _coloured("coloured_digits", digits(folder), 16, {"train": 6, "test": 3})


@reader
@lru_cache(maxsize=1)  # a minute's work, and a run asks for its data twice
def coloured_mnist(folder: Path) -> DataSet:
    """MNIST drawn in colour, 32 x 32 x 3, every shape once."""
    return _coloured("coloured_mnist", mnist(folder), 32, {"train": 1, "test": 1})


def _coloured(name: str, shapes: DataSet, size: int, times: Mapping[str, int]) -> DataSet:
    """Data set ``shapes`` drawn in colour, with a seed of its own for each split; the label is the digit."""
    splits = {}
    for seed, (split, n) in enumerate(times.items()):
        digit_shapes = shapes.splits[split]
        assert digit_shapes.y is not None and shapes.image_shape is not None
        x = np.tile(digit_shapes.x.reshape(-1, *shapes.image_shape[:2]), (n, 1, 1))
        images, factors = draw_in_colour(x, np.tile(digit_shapes.y, n), size, seed)
        y = factors.pop("identity")
        splits[split] = Split(images.reshape(len(images), size * size * 3), y, factors)
    return DataSet(name, splits, (size, size, 3), DIGITS)


@reader
def binarized_mnist(folder: Path) -> DataSet:
    """MNIST in Larochelle's fixed binarisation, as grey values 0 and 255, without labels.

    Read from ``binarized_mnist.npz`` (rows of 98 bytes, eight pixels each) where there is one,
    from the three original text files otherwise.  The two may differ in the order of their rows.
    """
    names = ("train", "valid", "test")
    path = folder / "binarized_mnist.npz"
    if exists(path):
        content = npz_arrays(path, *names)
        with reading(path):
            packed = {name: content[name].astype(np.uint8).reshape(-1, 28 * 28 // 8) for name in names}
    else:
        packed = {name: _amat(folder / f"binarized_mnist_{name}.amat") for name in names}
    splits = {
        name: Split(np.unpackbits(rows[settled(rows)], axis=1) * np.uint8(255), None) for name, rows in packed.items()
    }
    return DataSet("binarized_mnist", splits, (28, 28, 1))


def _amat(path: Path) -> np.ndarray:
    with reading(path):
        text = np.frombuffer(path.read_bytes(), np.uint8)
        pixels = text[text > ord(" ")] - ord("0")
        if pixels.max() > 1:
            raise ValueError("something other than 0 and 1")
        return np.packbits(pixels.reshape(-1, 28 * 28), axis=1)


#: Number of people, of the twenty who drew each OMNIGLOT character, whose drawings are training images.
TRAINING_DRAWERS = 15


@reader
def omniglot(folder: Path) -> DataSet:
    """OMNIGLOT in 28 x 28 pixels, bright ink on dark ground, labelled by alphabet.

    Where the folder has Burda's ``chardata.mat``, the data of the papers, that is read, with its
    own split (variant ``chardata.mat``).  Otherwise it is rebuilt from the official 105 x 105 drawings
    as its authors made it (variant ``rebuilt``): reduced by `genclust.data.bicubic`, with drawers 1 to 15 of
    every character for training and 16 to 20 for testing, in an order drawn at random.  Two things differ:
    the original has older drawings of the alphabet Angelic, perhaps 75 of the 24,345, and it leaves out 45 of the
    8,115 test images; which ones is not known.
    """
    if exists(folder / "chardata.mat"):
        return _chardata(folder / "chardata.mat")
    images = _drawings(folder / "images_background.zip") | _drawings(folder / "images_evaluation.zip")
    keys = sorted(images)
    alphabets = sorted({alphabet for alphabet, *_ in keys})
    examples = Split(
        np.stack([images[key] for key in keys]),
        np.array([alphabets.index(alphabet) for alphabet, *_ in keys], np.int64),
    )
    order = shuffled(len(examples))
    training = np.array([drawer <= TRAINING_DRAWERS for *_, drawer in keys])[order]
    splits = {"train": examples.rows(order[training]), "test": examples.rows(order[~training])}
    return DataSet("omniglot", splits, (28, 28, 1), tuple(alphabets), variant="rebuilt")


def _drawings(path: Path) -> dict[tuple[str, str, int], np.ndarray]:
    """Images of an official archive, reduced to 28 x 28, by (alphabet, character, drawer 1 to 20)."""
    images = {}
    with reading(path), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".png"):
                *_, alphabet, character, file = entry.filename.split("/")
                if entry.file_size > MOST_BYTES:
                    raise ValueError(f"{file} has {entry.file_size:,} bytes")
                with Image.open(io.BytesIO(archive.read(entry))) as drawing:
                    ink = 1 - np.asarray(drawing.convert("L")) / 255
                drawer = int(file.removesuffix(".png").split("_")[1])  # as in 0709_20.png
                # To six decimals, of which no processor's way to sum changes any.
                images[alphabet, character, drawer] = bicubic.reduce(ink, 28).round(6).astype(np.float32).ravel()
        if not images:
            raise ValueError("no drawings in it")
    return images


def _chardata(path: Path) -> DataSet:
    with reading(path), path.open("rb") as file:
        content = scipy.io.loadmat(file)
        splits = {}
        for split, prefix in (("train", ""), ("test", "test")):
            # Matlab runs down the columns of an image first: transposed, the characters stand upright.
            x = content[prefix + "data"].T.reshape(-1, 28, 28).transpose(0, 2, 1).reshape(-1, 28 * 28)
            target = content[prefix + "target"]
            if x.dtype.kind not in "uif" or target.dtype.kind not in "uif":
                raise ValueError(f"{prefix}data is of type {x.dtype} and {prefix}target of type {target.dtype}")
            if not (np.isin(target, (0, 1)).all() and (target.sum(axis=0) == 1).all()):
                raise ValueError(f"{prefix}target does not name one alphabet for every image")
            splits[split] = Split(x.astype(np.float32), target.argmax(axis=0))
        alphabets = tuple(f"alphabet {k}" for k in range(len(content["target"])))
    return DataSet("omniglot", splits, (28, 28, 1), alphabets, variant=path.name)


@reader
def usps(folder: Path) -> DataSet:
    """USPS digits from the text files of *The Elements of Statistical Learning*, scaled from [-1, 1] to [0, 1]."""
    splits = {split: _zipcodes(folder / f"zip.{split}.gz") for split in ("train", "test")}
    return DataSet("usps", splits, (16, 16, 1), DIGITS)


def _zipcodes(path: Path) -> Split:
    with reading(path):
        with gzip.open(path) as file:
            content = file.read(MOST_BYTES + 1)
        if not 0 < len(content) <= MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes in it" if content else "nothing in it")
        lines = content.decode("ascii").splitlines()
        table = np.loadtxt(lines, ndmin=2)
        if table.shape[1] != 1 + 16 * 16:
            raise ValueError(f"{table.shape[1]} numbers a line instead of 257")
        if not np.isin(table[:, 0], np.arange(10)).all():
            raise ValueError("a label that is no digit")
    x = ((table[:, 1:] + 1) / 2).astype(np.float32)
    y = table[:, 0].astype(np.int64)
    return Split(x, y).rows(settled(np.column_stack([y.astype(np.float32), x])))


@reader
def rcv1_10k(folder: Path) -> DataSet:
    """10,000 Reuters stories as tf-idf of 2,000 terms; the squares of each row sum to 2,000, as in DEC's recipe."""
    path = folder / "rcv1_10k.npz"
    content = npz_arrays(path, "data", "indices", "indptr", "shape", "labels", "label_names")
    with reading(path):
        if math.prod(map(int, content["shape"])) > MOST_BYTES:
            raise ValueError(f"a table of the shape {tuple(map(int, content['shape']))}")
        unit = scipy.sparse.csr_matrix(
            (content["data"], content["indices"], content["indptr"]), shape=tuple(content["shape"])
        )
        unit.check_format(full_check=True)
        x = unit.toarray() * np.float32(np.sqrt(unit.shape[1]))
        train = Split(x, content["labels"].astype(np.int64))
    return DataSet("rcv1_10k", {"train": train}, class_names=tuple(map(str, content["label_names"])))


@reader
def house_numbers(folder: Path) -> DataSet:
    """House-number digits that a machine cut out of street-view photographs, 32 x 32 x 3.

    Only crops whose score exceeds -0.5 are kept, as the labels of the others are too often wrong.
    A fifth of the *photographs* is set aside for testing: crops of one photograph look alike.
    """
    path = folder / "house_numbers.npz"
    content = npz_arrays(path, "images", "labels", "score", "photo")
    with reading(path):
        safe = content["score"] > -0.5
        photo = content["photo"][safe]
        examples = Split(
            content["images"][safe].reshape(len(photo), 32 * 32 * 3), content["labels"][safe].astype(np.int64)
        )
    photos = np.unique(photo)
    test = np.isin(photo, photos[shuffled(len(photos))[: len(photos) // 5]])
    splits = {"train": examples.rows(np.flatnonzero(~test)), "test": examples.rows(np.flatnonzero(test))}
    return DataSet("house_numbers", splits, (32, 32, 3), DIGITS)


@reader
def svhn_10k(folder: Path) -> DataSet:
    """The first 10,000 images of SVHN's test file, as many as ``photo.npz`` gives the photographs for.

    They are read from ``test_32x32_first10000.mat`` or, where that is not there, cut from ``svhn/test_32x32.mat``
    beside the folder.  A fifth is set aside for testing, in whole photographs: digits of one house number look alike.
    """
    photo = npz_arrays(folder / "photo.npz", "photo")["photo"]
    with reading(folder / "photo.npz"):
        if photo.dtype.kind not in "iu" or photo.ndim != 1:
            raise ValueError(f"photo is of type {photo.dtype} and shape {photo.shape}")
    extract, official = folder / "test_32x32_first10000.mat", folder.parent / "svhn" / "test_32x32.mat"
    path = official if exists(official) and not exists(extract) else extract
    examples = _cropped(path)
    with reading(path):
        if len(examples) < len(photo):
            raise ValueError(f"{len(examples):,} images, fewer than the {len(photo):,} of photo.npz")
    first = examples.rows(np.arange(len(photo)))
    first = Split(first.x, first.y, groups=photo.astype(np.int64))
    test = whole_groups(photo, shuffled(len(np.unique(photo))), len(photo) // 5)
    rest = np.setdiff1d(np.arange(len(photo)), test)
    return DataSet("svhn_10k", {"train": first.rows(rest), "test": first.rows(test)}, (32, 32, 3), DIGITS)


@reader
def svhn(folder: Path) -> DataSet:
    """Street View House Numbers (SVHN), 32 x 32 x 3, with the split ``extra`` if its file is there."""
    splits = {split: _cropped(folder / f"{split}_32x32.mat") for split in ("train", "test")}
    if exists(folder / "extra_32x32.mat"):
        splits["extra"] = _cropped(folder / "extra_32x32.mat")
    return DataSet("svhn", splits, (32, 32, 3), DIGITS)


def _cropped(path: Path) -> Split:
    with reading(path), path.open("rb") as file:
        content = scipy.io.loadmat(file, variable_names=["X", "y"])
        images, y = content["X"], content["y"].ravel()
        if images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3):
            raise ValueError(f"X is of type {images.dtype} and shape {images.shape}")
        if not np.isin(y, np.arange(1, 11)).all():
            raise ValueError("y is not 1 … 10")
        x = images.transpose(3, 0, 1, 2).reshape(-1, 32 * 32 * 3)
        return Split(x, y.astype(np.int64) % 10)  # the files call the digit zero 10
