"""Small files of the same formats as the real ones, and sources that describe them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse
import yaml
from PIL import Image

from genclust.data.readers import READERS

RNG = np.random.default_rng(0)
LABELS = RNG.integers(10, size=30)
GREY = RNG.integers(256, size=(30, 28, 28), dtype=np.uint8)
BITS = RNG.integers(2, size=(30, 784), dtype=np.uint8)
COLOUR = RNG.integers(256, size=(30, 32, 32, 3), dtype=np.uint8)
ZIPCODES = RNG.integers(-1000, 1001, size=(30, 256)) / 1000
PHOTOS = np.sort(np.arange(30) % 12)
ALPHABETS = ["Greek", "Latin", "Angelic"]


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path) -> None:
    for stem, part in (("train", slice(20)), ("t10k", slice(20, 30))):
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(GREY[part])))
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[part])))


PARTS = {"train": slice(20), "valid": slice(20, 25), "test": slice(25, 30)}


def write_binarized_npz(folder: Path) -> None:
    packed = {split: np.packbits(BITS[part][::-1], axis=1) for split, part in PARTS.items()}
    np.savez_compressed(folder / "binarized_mnist.npz", **packed)


def write_binarized_amat(folder: Path) -> None:
    for split, part in PARTS.items():
        lines = [" ".join(map(str, row)) + " \n" for row in BITS[part]]
        (folder / f"binarized_mnist_{split}.amat").write_text("".join(lines))


def drawing(mark: int) -> np.ndarray:
    """A white 105 x 105 sheet with a black bar, the further down the greater ``mark``."""
    sheet = np.full((105, 105), True)
    sheet[mark * 3 : mark * 3 + 8, 20:80] = False
    return sheet


def write_omniglot_zips(folder: Path, order: int = 1) -> None:
    """Six drawings an alphabet, four by drawers 1 and 15 and two by drawer 16: two alphabets in one archive, the third
    in the other."""
    for archive, alphabets in (("images_background", ALPHABETS[:2]), ("images_evaluation", ALPHABETS[2:])):
        with zipfile.ZipFile(folder / f"{archive}.zip", "w") as file:
            file.writestr(f"{archive}/", "")
            for alphabet in alphabets[::order]:
                for k in range(6):
                    png = io.BytesIO()
                    mark = 6 * ALPHABETS.index(alphabet) + k
                    Image.fromarray(drawing(mark)).convert("1").save(png, "png")
                    name = f"character0{1 + k // 3}/{k:04}_{(1, 15, 16)[k % 3]:02}.png"
                    file.writestr(f"{archive}/{alphabet}/{name}", png.getvalue())


def write_chardata(folder: Path) -> None:
    columns = (GREY / 255).transpose(0, 2, 1).reshape(30, 784).T
    one_hot = np.eye(10)[LABELS].T
    scipy.io.savemat(
        folder / "chardata.mat",
        {
            "data": columns[:, :20],
            "target": one_hot[:, :20],
            "testdata": columns[:, 20:],
            "testtarget": one_hot[:, 20:],
        },
        do_compression=True,
    )


def zipcode_text(part: slice) -> str:
    rows = zip(LABELS[part], ZIPCODES[part], strict=True)
    return "".join(f"{y:.4f} " + " ".join(f"{v:.3f}" for v in x) + " \n" for y, x in rows)


def write_usps(folder: Path) -> None:
    for split, part in (("train", slice(20)), ("test", slice(20, 30))):
        (folder / f"zip.{split}.gz").write_bytes(gzip.compress(zipcode_text(part).encode(), mtime=0))


def write_rcv1(folder: Path) -> None:
    rows = RNG.random((30, 50)) * (RNG.random((30, 50)) < 0.2) + np.eye(30, 50)
    unit = scipy.sparse.csr_matrix((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    np.savez_compressed(
        folder / "rcv1_10k.npz",
        data=unit.data,
        indices=unit.indices,
        indptr=unit.indptr,
        shape=np.array(unit.shape),
        labels=(LABELS % 4).astype(np.uint8),
        label_names=np.array(["CCAT", "GCAT", "MCAT", "ECAT"]),
    )


def write_house_numbers(folder: Path) -> None:
    np.savez_compressed(
        folder / "house_numbers.npz",
        images=COLOUR,
        labels=LABELS.astype(np.uint8),
        score=np.where(np.arange(30) % 10 == 0, -0.6, 0.4).astype(np.float32),
        photo=(np.arange(30) // 2).astype(np.int32),
    )


def write_svhn_10k(folder: Path) -> None:
    """All thirty images, two or three of each of twelve photographs."""
    labels = np.where(LABELS == 0, 10, LABELS).astype(np.uint8)[:, None]
    content = {"X": COLOUR.transpose(1, 2, 3, 0), "y": labels}
    scipy.io.savemat(folder / "test_32x32_first10000.mat", content, do_compression=True)
    np.savez_compressed(folder / "photo.npz", photo=PHOTOS.astype(np.uint16))


def write_svhn(folder: Path, *splits: str) -> None:
    for split in splits or ("train", "test"):
        part = slice(20) if split == "train" else slice(20, 30)
        labels = np.where(LABELS[part] == 0, 10, LABELS[part]).astype(np.uint8)[:, None]
        content = {"X": COLOUR[part].transpose(1, 2, 3, 0), "y": labels}
        scipy.io.savemat(folder / f"{split}_32x32.mat", content, do_compression=True)


WRITERS: dict[str, Callable[[Path], None]] = {
    "mnist": write_mnist,
    "binarized_mnist": write_binarized_npz,
    "omniglot": write_omniglot_zips,
    "usps": write_usps,
    "rcv1_10k": write_rcv1,
    "house_numbers": write_house_numbers,
    "svhn": write_svhn,
    "svhn_10k": write_svhn_10k,
}


def write_sources(path: Path, name: str, example: Path, **changes: object) -> None:
    """A source list in which ``name`` is the small data set in ``example``, with ``changes`` to its entry."""
    package = resources.files("genclust.data") / "sources.yaml"
    entries = yaml.safe_load(package.read_text(encoding="utf-8"))
    for each in {name, entries[name].get("folder")} & READERS.keys():  # and what it is drawn from
        data = READERS[each](example)
        counts = {split: len(rows) for split, rows in data.splits.items()}
        entries[each] |= {"splits": counts, "digest": data.digest(), "variants": {}}
    entries[name] |= changes
    path.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")
