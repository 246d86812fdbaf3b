"""Reading files that may be damaged: errors that name the file, and arrays of npz files in bounded memory."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io.matlab import MatReadError

from genclust.data.base import DataError, MissingData

#: Limit for files of named data sets that are decompressed as a whole; the largest, MNIST's, has 47 million bytes.
MOST_BYTES = 1 << 26
#: Largest number of colours of an image (with transparency); a larger last axis is taken for a misplaced side.
MOST_COLOURS = 4

# What the readers of gzip, zip, PNG, NumPy, Matlab and text files raise when bytes are wrong, lacking or too many.
DAMAGE = (
    EOFError,
    IndexError,
    KeyError,
    MatReadError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Image.DecompressionBombError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def refuse_misplaced_colours(what: str, shape: Sequence[int], kind: type[Exception] = DataError) -> None:
    """Refuse images with their colours before height and width, as PyTorch has them.

    Args:
        what: the array, in the words that begin the sentence.
        shape: of the array; anything but images in colour passes.
        kind: of the error.

    Raises:
        DataError: or an error of ``kind``, for the shape of such images.
    """
    if len(shape) == 4 and shape[3] > MOST_COLOURS >= shape[1]:
        raise kind(
            f"{what} has the shape {tuple(shape)}, but images are [N, height, width, colours]; move the colours to the "
            "end."
        )


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Context manager that turns any error in reading ``path`` into a `DataError` that names the file."""
    try:
        yield path
    except FileNotFoundError:
        raise MissingData(f"{path.name} is missing") from None
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path.name} is damaged or cut short ({reason})") from None


def npz_arrays(path: Path, *keys: str) -> dict[str, np.ndarray]:
    """Arrays of an npz file by name, for all ``keys``."""
    with reading(path), zipfile.ZipFile(path) as archive:
        return {key: _array(archive, f"{key}.npy") for key in keys}


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Array ``name`` of an npz archive, if its header agrees with its size, so that no more memory is allocated."""
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{name} is of a version that NumPy does not write for numbers")
        shape, _, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, which are not read; save it as numbers")
        if dtype.itemsize == 0 or file.tell() + math.prod(shape) * dtype.itemsize != archive.getinfo(name).file_size:
            raise ValueError(f"{name} is of another size than its header announces")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
