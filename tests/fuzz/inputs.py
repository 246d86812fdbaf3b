"""Hundreds of wrong inputs, to see that each is refused in one sentence or read as what it means.

Run by ``python -m tests.fuzz.inputs [seed]``; not a part of the test suite, since it takes minutes.  Every mutant
ends in one of four ways:

- ``refused``: an error of this library, in one sentence;
- ``harmless``: accepted, and what was read is what the input says;
- ``trace``: any other error, several lines, or a warning;
- ``wrong``: accepted, but what was read is not what the input says, or the input says nothing sensible.

The last two are printed one by one, and make the exit status 1.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import random
import re
import shutil
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import scipy.io
import yaml
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

import tiny_data as tiny

from genclust import cli, data
from genclust.data import DataError
from genclust.experiments import declaration, execution, store
from genclust.experiments.store import StoreError
from genclust.experiments.verdicts import summarise
from genclust.settings import SettingError

OUTCOMES = ("refused", "harmless", "trace", "wrong")
ONE_SENTENCE = (SettingError, DataError, StoreError)


@dataclass(frozen=True)
class Outcome:
    """How one mutant ended: its kind, what was done to the input, and what came of it."""

    kind: str
    mutation: str
    outcome: str
    detail: str


def attempt(kind: str, mutation: str, read: Callable[[], Any], right: Callable[[Any], bool]) -> Outcome:
    """Read a mutant; where it is accepted, ``right`` says whether that and what was read is as it should be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            value = read()
    except ONE_SENTENCE as error:
        told = str(error)
        return Outcome(kind, mutation, "trace" if "\n" in told or not told else "refused", told)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        return Outcome(kind, mutation, "trace", detail)
    return Outcome(kind, mutation, "harmless" if right(value) else "wrong", repr(value)[:100])


def never(value: Any) -> bool:
    """For mutants that say nothing sensible: they must be refused."""
    return False


# ---- bytes


def damaged(content: bytes, rng: random.Random, times: int) -> Iterator[tuple[str, bytes]]:
    """Copies of a file with wrong bits, and cut, emptied, lengthened, shuffled or replaced ones."""
    n = len(content)
    for _ in range(times):
        # Half of them near the ends, where headers and directories are.
        at = rng.choice([rng.randrange(n), rng.randrange(min(n, 200)), n - 1 - rng.randrange(min(n, 200))])
        wrong = bytearray(content)
        wrong[at] ^= 1 << rng.randrange(8)
        yield f"bit of byte {at} flipped", bytes(wrong)
    for at in sorted({rng.randrange(n) for _ in range(times // 4)}):
        yield f"cut after {at} bytes", content[:at]
        length = rng.choice([1, 4, 64])
        yield f"{length} bytes set to 255 at {at}", content[:at] + b"\xff" * length + content[at + length :]
        yield f"{length} bytes set to 0 at {at}", content[:at] + bytes(length) + content[at + length :]
        yield f"{length} bytes taken out at {at}", content[:at] + content[at + length :]
        yield f"{length} bytes repeated at {at}", content[: at + length] + content[at:]
    yield "emptied", b""
    yield "a byte appended", content + b"x"
    yield "twice over", content * 2
    yield "reversed", content[::-1]
    yield "a web page", b"<html><body>404 Not Found</body></html>\n" * 20
    yield "gzipped once more", gzip.compress(content, mtime=0)


# ---- data of one's own

X = np.random.default_rng(0).random((12, 6)).astype(np.float32)
Y = np.arange(12) % 3


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def own_bytes(rng: random.Random) -> Iterator[tuple[str, bytes, Callable[[Any], bool]]]:
    sound = npz(x_train=X, y_train=Y, x_test=X[:5] / 2, y_test=Y[:5])
    stored = io.BytesIO()
    np.savez(stored, x=X, y=Y)
    for name, content in (("compressed", sound), ("stored", stored.getvalue())):
        expected = _own(content).digest()
        for mutation, mutant in damaged(content, rng, 40):
            yield f"{name}: {mutation}", mutant, lambda read, expected=expected: read.digest() == expected


def _own(content: bytes) -> data.DataSet:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.npz"
        path.write_bytes(content)
        return data.load(str(path))


def own_arrays() -> Iterator[tuple[str, dict[str, Any], Callable[[Any], bool]]]:
    """Arrays of wrong or unusual types, shapes and values; what is accepted must be what was saved."""

    def same(x: np.ndarray, y: np.ndarray | None = None) -> Callable[[Any], bool]:
        wide = x.reshape(len(x), -1).astype(x.dtype if x.dtype == np.uint8 else np.float32)

        def right(read: data.DataSet) -> bool:
            train = read.splits["train"]
            labels = train.y is None if y is None else train.y is not None and [*map(int, y)] == train.y.tolist()
            return train.x.dtype.isnative and np.array_equal(train.x, wide) and labels

        return right

    for kind in ("f2", ">f2", "f4", ">f4", "f8", ">f8", "g"):
        yield f"x of type {kind}", {"x": X.astype(kind)}, same(X.astype(kind))
    for kind in ("i1", "i4", "i8", "u2", "?", "c8", "c16", "U3", "S3", "O", "M8[s]", "m8[s]", "V4"):
        x = np.zeros((12, 6), kind) if kind == "V4" else (X * 9).astype("i8").astype(kind)
        yield f"x of type {kind}", {"x": x}, never
    for kind in ("i1", "u1", "i2", ">i2", "i4", "u4", "i8", ">i8", "u8", ">u8"):
        yield f"y of type {kind}", {"x": X, "y": Y.astype(kind)}, same(X, Y)
    for kind in ("f4", "f8", "?", "c8", "U3", "S3", "O", "M8[s]"):
        yield f"y of type {kind}", {"x": X, "y": Y.astype(kind)}, never
    for shape in ((), (72,), (0, 6), (12, 0), (0,), (1, 72), (8, 9), (9, 8), (2, 6, 6), (1, 1, 72)):
        x = np.float32(1) if shape == () else np.resize(X, shape)
        yield f"x of shape {shape}", {"x": x}, never
    for shape in ((12, 1), (12, 2, 3), (12, 6, 1), (12, 6, 1, 1), (12, 1, 1, 1, 6), (18, 4), (10, 7)):
        yield f"x of shape {shape}", {"x": np.resize(X, shape)}, same(np.resize(X, shape))
    yield "colours first", {"x": np.zeros((12, 3, 8, 8), np.uint8)}, never
    for shape in ((), (0,), (11,), (13,), (12, 1), (1, 12), (6, 2)):
        yield f"y of shape {shape}", {"x": X, "y": np.zeros(shape, int)}, never
    for value in (math.nan, math.inf, -math.inf, 1e300, -1e39):
        yield f"{value} in x", {"x": np.where(X > 0.9, value, X.astype(float))}, never
    for value in (1e-300, 3e38, -5.0):
        x = np.where(X > 0.9, value, X.astype(float))
        yield f"{value} in x", {"x": x}, same(x)
    for value in (-1, -(2**63), 12, 1000, 10**12, 2**63 - 1):
        yield f"{value} in y", {"x": X, "y": np.where(Y == 1, value, Y)}, never
    for value in (2**63, 2**64 - 1):
        yield f"{value} in y of type u8", {"x": X, "y": np.where(Y == 1, value, Y.astype("u8")).astype("u8")}, never
    yield "11 in y", {"x": X, "y": np.where(Y == 1, 11, Y)}, same(X, np.where(Y == 1, 11, Y))
    for names in (
        "X",
        "x_train x",
        "x labels",
        "x y y_train",
        "y",
        "x_test",
        "x y_test",
        "x x_valid",
        "x X_test",
        "x arr_0",
    ):
        yield f"arrays {names}", {name: Y if name.startswith("y") else X for name in names.split()}, never
    yield "nothing", {}, never
    yield "x_test as x_train", {"x": X, "x_test": X}, never
    yield "x_test as x_train, another type", {"x": X, "x_test": X.astype(float)}, never
    for shape in ((5, 5), (5, 6, 1), (30,), (0, 6), (5, 2, 3)):
        yield f"x_test of shape {shape}", {"x": X, "x_test": np.zeros(shape, np.float32)}, never
    yield "x_test of type u1", {"x": X, "x_test": np.zeros((5, 6), np.uint8)}, never
    yield "y_test of another length", {"x": X, "x_test": X[:5], "y_test": Y}, never
    yield "10**6 in y_test", {"x": X, "x_test": X[:5], "y_test": Y[:5] * 10**6}, never


HEADER = "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}"


def npy(header: str, content: bytes, version: int = 1) -> bytes:
    text = header.encode("latin1", "replace") + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + content


def own_headers() -> Iterator[tuple[str, bytes, Callable[[Any], bool]]]:
    """Headers that do not fit their array, in an archive that is sound."""

    def archived(member: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x.npy", member)
        return file.getvalue()

    content = X.tobytes()
    for shape in (
        *("(12, 6, )", "(6, 12)", "(12, 7)", "(12, 5)", "(-12, -6)", "(12, -6)", "(12.0, 6)", "(None, 6)", "12", "()"),
        *("(10**9, 10**9)", "(999999999999, 999999999999)", "(99999, 99999)", "(12, 6, 0)", "[12, 6]", "'12, 6'"),
        *("(True, 72)", "(12, 6, " + "1, " * 70 + ")", "(" * 150 + ")" * 150, "9" * 5000, "(4611686018427387905, 4)"),
    ):
        right = never if shape != "(12, 6, )" else lambda read: np.array_equal(read.splits["train"].x, X)
        yield f"shape {shape[:30]}", archived(npy(HEADER.format("'<f4'", False, shape), content)), right
    for kind in (
        *("'<i4'", "'<U1'", "'|S4'", "'<U0'", "'|V0'", "'<f5'", "'f'*9999", "'|O'", "'O'", "'<c8'", "'<M8[s]'", "None"),
        *("[('a', '<f4')]", "[('a', '<f2'), ('b', '<f2')]", "[" * 300, "('<f4', (2,))", "5", "''", "'object'", "{}"),
    ):
        yield f"type {kind[:30]}", archived(npy(HEADER.format(kind, False, "(12, 6)"), content)), never
    turned = X.ravel().reshape(6, 12).T
    right = lambda read: np.array_equal(read.splits["train"].x, turned)  # noqa: E731
    yield "Fortran's order", archived(npy(HEADER.format("'<f4'", True, "(12, 6)"), content)), right
    yield "Fortran's order 5", archived(npy(HEADER.format("'<f4'", 5, "(12, 6)"), content)), never
    for header in ("", "{}", "5", "{'descr': '<f4'}", "{" * 5000, "'" * 9, "import os", "\x00", "x" * 60000, "{**{}}"):
        yield f"header {header[:30]!r}", archived(npy(header, content)), never
    for version in (0, 3, 4, 255):
        yield f"version {version}", archived(npy(HEADER.format("'<f4'", False, "(12, 6)"), content, version)), never
    for member in (
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00",
        b"\x80\x04\x95",
        b"PK\x03\x04",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
    ):
        yield f"member {member!r}", archived(member), never


def own_zips() -> Iterator[tuple[str, bytes, Callable[[Any], bool]]]:
    """Archives of odd members."""
    x = io.BytesIO()
    np.save(x, X)

    def archived(*names: str, compression: int = zipfile.ZIP_STORED) -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
            warnings.simplefilter("ignore")  # of names that stand twice
            for name in names:
                archive.writestr(name, x.getvalue())
        return file.getvalue()

    right = lambda read: np.array_equal(read.splits["train"].x, X)  # noqa: E731
    for kind in ("STORED", "DEFLATED", "BZIP2", "LZMA"):
        yield f"compressed by {kind}", archived("x.npy", compression=getattr(zipfile, f"ZIP_{kind}")), right
        for mutation, mutant in damaged(
            archived("x.npy", compression=getattr(zipfile, f"ZIP_{kind}")), random.Random(1), 6
        ):
            yield f"{kind}: {mutation}", mutant, right
    for names in (
        *(["x.npy", "x.npy"], ["x.npy", "x"], ["x"], ["x.npy", "a.txt"], ["../x.npy"], ["/x.npy"], ["x.npy", "x.npy/"]),
        *(
            ["X.NPY"],
            ["x.npy.npy"],
            ["x.npy", "x_train.npy"],
            ["x.npy\x00"],
            ["x.npy", "y_train.npy", "y.npy"],
            [],
        ),
    ):
        right_name = right if names == ["x.npy\x00"] else never  # zipfile cuts names at a zero byte
        yield f"members {names}", archived(*names), right_name
    sound = archived("x.npy")
    directory, end = sound.index(b"PK\x01\x02"), sound.index(b"PK\x05\x06")
    for name, at, value in (
        *(("encrypted", directory + 8, b"\x01\x00"), ("method 99", directory + 10, b"\x63\x00")),
        *(("size 0", directory + 24, bytes(4)), ("size of 4 GB", directory + 24, b"\xfe\xff\xff\xff")),
        *(("packed size 0", directory + 20, bytes(4)), ("packed size of 4 GB", directory + 20, b"\xfe\xff\xff\xff")),
        *(("offset of 4 GB", directory + 42, b"\xfe\xff\xff\xff"), ("needs version 99", directory + 6, b"\x63\x00")),
        *(("65,535 members", end + 8, b"\xff\xff\xff\xff"), ("directory of 4 GB", end + 12, b"\xfe\xff\xff\xff")),
        *(("comment of 64 KB", end + 20, b"\xff\xff"), ("strongly encrypted", directory + 8, b"\x41\x00")),
    ):
        harmless = name in ("packed size of 4 GB", "comment of 64 KB", "needs version 99")
        yield name, sound[:at] + value + sound[at + len(value) :], right if harmless else never
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy(HEADER.format("'|u1'", False, "(12, 6)"), bytes(30_000_000)))
    yield "more bytes than announced", bomb.getvalue(), never


def own(rng: random.Random) -> Iterator[Outcome]:
    for mutation, content, right in own_bytes(rng):
        yield attempt("own file, bytes", mutation, lambda content=content: _own(content), right)
    for mutation, arrays, right in own_arrays():
        yield attempt("own file, arrays", mutation, lambda arrays=arrays: _own(npz(**arrays)), right)
    for mutation, content, right in [*own_headers(), *own_zips()]:
        yield attempt("own file, container", mutation, lambda content=content: _own(content), right)
    for name in (
        "~no-such-user/a.npz",
        "/dev/null/a.npz",
        "a\x00.npz",
        "x" * 300 + ".npz",
        "/.npz",
        ".npz",
        "\ud800.npz",
    ):
        yield attempt("own file, container", f"path {name[:30]!r}", lambda name=name: data.load(name), never)


# ---- named data sets

FORMS: dict[str, tuple[str, Callable[[Path], None]]] = {name: (name, write) for name, write in tiny.WRITERS.items()} | {
    "binarized_mnist as text": ("binarized_mnist", tiny.write_binarized_amat),
    "omniglot from chardata.mat": ("omniglot", tiny.write_chardata),
}


#: As in the list of sources: what is read from their files cannot be compared with a digest.
DIGEST_UNKNOWN = ("svhn", "omniglot from chardata.mat")


def named(rng: random.Random) -> Iterator[Outcome]:
    """The files of every reader."""
    for form, (name, write) in FORMS.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = data.place(name, temporary)
            folder.mkdir()
            write(folder)
            changes = {"digest": None} if form in DIGEST_UNKNOWN else {}
            tiny.write_sources(Path(temporary) / "sources.yaml", name, folder, **changes)
            with mock.patch.dict(os.environ, GENCLUST_SOURCES=f"{temporary}/sources.yaml"):
                yield from _named(form, name, folder, rng)


def _named(kind: str, name: str, folder: Path, rng: random.Random) -> Iterator[Outcome]:
    expected = data.load(name, folder.parent).digest()
    paths = sorted(folder.iterdir())
    for path in paths:
        content = path.read_bytes()
        mutants = [*damaged(content, rng, 8)]
        mutants += [(f"as {other.name}", other.read_bytes()) for other in paths if other != path]
        for mutation, mutant in mutants:
            path.write_bytes(mutant)
            yield attempt(
                f"files of {kind}",
                f"{path.name}: {mutation}",
                lambda: data.load(name, folder.parent),
                lambda read: read.digest() == expected,
            )
        path.write_bytes(content)


def contents() -> Iterator[Outcome]:
    """Sound Matlab files of wrong contents, which no known digest would find."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, write in (("svhn", tiny.write_svhn), ("omniglot", tiny.write_chardata)):
            folder = Path(temporary) / name
            folder.mkdir()
            write(folder)
            tiny.write_sources(Path(temporary) / "sources.yaml", name, folder, digest=None)
            path = folder / ("chardata.mat" if name == "omniglot" else "test_32x32.mat")
            sound = {key: value for key, value in scipy.io.loadmat(path).items() if not key.startswith("__")}
            with mock.patch.dict(os.environ, GENCLUST_SOURCES=f"{temporary}/sources.yaml"):
                for mutation, content in mat_contents(sound):
                    scipy.io.savemat(path, content)
                    yield attempt(
                        f"contents of {path.name}", mutation, lambda name=name: data.load(name, temporary), never
                    )


def mat_contents(sound: dict[str, np.ndarray]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, array in sound.items():
        number = array.astype(float)
        first = (0,) * array.ndim
        # Grey values of chardata.mat may be any numbers.
        wrong_values = (math.nan, math.inf, *(() if key.endswith("data") else (-1.0, 0.5, 37.0, 256.0)))
        for value in wrong_values:
            wrong = number.copy()
            wrong[first] = value
            yield f"{key}: {value} in it", sound | {key: wrong}
        yield f"without {key}", {other: value for other, value in sound.items() if other != key}
        yield f"{key}: nothing", sound | {key: np.zeros((0, 0))}
        yield f"{key}: one less", sound | {key: array[:-1] if key == "y" else array[..., :-1]}
        yield f"{key}: two axes turned", sound | {key: array[:-1].T if array.ndim == 2 else array.transpose(3, 1, 2, 0)}
        for other in (
            array.astype(str),
            array.astype(complex) * 1j,
            array.astype(object),
            "text",
            {"a": 1},
            [[1], "x"],
        ):
            yield f"{key}: {type(other).__name__} {getattr(other, 'dtype', '')}", sound | {key: other}


# ---- declarations

#: Keys of which any text is right.
FREE = {"title", "label", "table", "dataset", "setting", "taken", "why", "name"}
WEIRD = (
    *("", "~", "null", "010", "0x10", "1_000", "5:30", "1e999", ".inf", "-.inf", ".nan", "-1", "2.5", "9" * 40, "true"),
    *("yes", "on", '""', '"5"', "text", "[]", "[1]", "[[1]]", "{}", "{a: 1}", "!!int 3", "!!python/none ''", "*nobody"),
    *(
        "2001-01-01",
        "<<",
        "=",
        "%",
        "@",
        "- 1",
        "&a [*a]",
        "'\\n'",
        "|",
        "?",
        "0o10",
        "+5",
        "1e-3",
        "NaN",
        "\x07",
        "\U0001f600",
    ),
)


def declaration_texts(text: str, rng: random.Random, times: int) -> Iterator[tuple[str, str, bool]]:
    """Mutation, mutated text, and whether it has to be refused."""
    lines = text.splitlines(keepends=True)
    keyed = [
        i for i, line in enumerate(lines) if re.match(r"\s*(- )?[\w-]+: ", line) and not line.lstrip().startswith("#")
    ]
    plain = [i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    for _ in range(times):
        i = rng.choice(plain)
        yield f"line {i + 1} deleted", "".join(lines[:i] + lines[i + 1 :]), False
        i = rng.choice(keyed)
        key, _, _ = lines[i].partition(": ")
        weird = rng.choice(WEIRD)
        yield (
            f"line {i + 1}: {key.strip()}: {weird}",
            "".join([*lines[:i], f"{key}: {weird}\n", *lines[i + 1 :]]),
            False,
        )
        numbers = list(re.finditer(r"(?<=[:\[,] )[0-9.]+(?=[,\]}\n])", text))
        if numbers:
            number = rng.choice(numbers)
            weird = rng.choice(WEIRD)
            yield (
                f"{number[0]} at {number.start()} -> {weird}",
                text[: number.start()] + weird + text[number.end() :],
                False,
            )
        i = rng.choice(keyed)
        if not lines[i].lstrip().startswith("-"):
            yield f"line {i + 1} twice", "".join([*lines[: i + 1], lines[i], *lines[i + 1 :]]), True
        i = rng.choice(plain)
        yield f"line {i + 1} indented", "".join([*lines[:i], "  " + lines[i], *lines[i + 1 :]]), False
    at = rng.randrange(len(text))
    yield f"cut after {at} characters", text[:at], False
    at = rng.randrange(len(text))
    flipped = text[:at] + chr(ord(text[at]) ^ 1 << rng.randrange(7)) + text[at + 1 :]
    yield f"character {at} changed", flipped, False


class AsText(yaml.SafeLoader):
    """Every value as text; only ``<<`` means something."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {"<": yaml.SafeLoader.yaml_implicit_resolvers["<"]}


def reads_as_written(text: str) -> Callable[[declaration.Experiment], bool]:
    """Whether a declaration is read as its text says: every setting, name and number as it stands there."""

    def right(experiment: declaration.Experiment) -> bool:
        for row in experiment.rows.values():  # as a user would ask for them
            for profile in row.profiles if row.settings is not None else ():
                row.config(profile), row.seeds(profile), row.evaluations(profile)
        written = yaml.load(text, AsText)
        if any(key in written and getattr(experiment, key) != written[key] for key in ("paper", "table", "title")):
            return False
        for name, row in written["rows"].items():
            read = experiment.rows[name]
            if (read.label, read.dataset) != (row["label"], row["dataset"]):
                return False
            for number, entry in zip(read.reported, row.get("reported", []), strict=True):
                if not all(said(value, getattr(number, key)) for key, value in entry.items()):
                    return False
            if "settings" not in row:
                continue
            for section in ("data", "model", "training"):
                above = written.get("settings", {}).get(section, {})
                own_settings = row["settings"].get(section, {})
                if section == "model" and own_settings.get("name", above.get("name")) != above.get("name"):
                    above = {}
                for key, value in {**above, **own_settings}.items():
                    if not isinstance(value, dict) and not said(value, read.settings[section][key]):
                        return False
        return True

    return right


def said(text: Any, value: Any) -> bool:
    """Whether ``value`` is what the text says: numbers in decimal notation, lists entry by entry."""
    if isinstance(text, list):
        return isinstance(value, (list, tuple)) and len(text) == len(value) and all(map(said, text, value))
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, (int, float)):
        return bool(re.fullmatch(r"[-+]?(0|[1-9]\d*)?(\.\d*)?(e[-+]?\d+)?", text, re.I)) and float(text) == value
    return text.lower() in ("", "~", "null") if value is None else value == text


def declarations(rng: random.Random) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory() as temporary:
        shutil.copytree(declaration.root() / "experiments", temporary, dirs_exist_ok=True)
        for path in sorted(Path(temporary).glob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            assert reads_as_written(text)(declaration._load(path))
            for mutation, mutant, hopeless in declaration_texts(text, rng, 3):
                path.write_text(mutant, encoding="utf-8")
                forget()
                yield attempt(
                    "declarations",
                    f"{path.name}: {mutation}",
                    lambda path=path: declaration._load(path),
                    never if hopeless else reads_as_written(mutant),
                )
            path.write_text(text, encoding="utf-8")
            forget()


def forget() -> None:
    """Read declarations anew."""
    declaration._load.cache_clear()
    declaration._declared.cache_clear()


# ---- command lines


RUN = ("run", "simple-table1", "--row", "proposed-mnist")


class Started(Exception):
    """A run would have begun."""


def command_lines() -> Iterator[Outcome]:
    wrong: list[tuple[str, ...]] = [
        *(
            (command, name)
            for command in ("run", "show", "list")
            for name in ("", "x", "..", "simple-table1.yaml", "[b]", "a\nb")
        ),
        *((command,) for command in ("run", "show", "go", "--go", "")),
        *(("show", "simple-table1", "--row", name) for name in ("", "x", "[red]", "proposed")),
        *(("show", "simple-table1", "--profile", name) for name in ("", "long", "Demo", "demo ")),
        *(
            (*RUN, "--seeds", seeds)
            for seeds in ("", "a", "1-", "-1", "2-1", "1,,2", "0-999999999", "1.5", "010", "1e3", "0,0")
        ),
        *((*RUN, "--minutes", minutes) for minutes in ("", "0", "-1", "nan", "-inf", "soon", "1,5")),
        *((*RUN, "--device", device) for device in ("", "gpu", "cuda:99", "cuda:-1", "meta", "mps", "cpu:x", "xpu")),
        *((*RUN, "--profile", profile) for profile in ("", "Demo", "long", "published")),
        *(
            (*RUN, "--set", text)
            for text in (
                *(
                    "",
                    "=",
                    "=5",
                    "epochs",
                    "epochs=",
                    "epochs=0",
                    "epochs=-1",
                    "epochs=1.5",
                    "epochs=.inf",
                    "epochs=.nan",
                ),
                *(
                    "epochs=010",
                    "epochs=5:30",
                    "epochs=1_0",
                    "epochs=0x10",
                    "epochs=true",
                    "epochs=[1]",
                    "epochs={a: 1}",
                ),
                *("epochs=1e999", "epochs=" + "9" * 5000, "epochs=!!int 3", "epochs=&a [*a]", "epochs=[", "epoch=3"),
                *(
                    "learning_rate=.inf",
                    "learning_rate=.nan",
                    "learning_rate=0",
                    "learning_rate=-1",
                    "learning_rate=1e999",
                ),
                *("learning_rate={shape: linear}", "learning_rate={shape: [a], start: 1, end: 1, epochs: 1}"),
                *("learning_rate={shape: linear, start: .inf, end: 1, epochs: 1}", "temperature=0", "temperature=~"),
                *(
                    "hidden=5",
                    "hidden=[0]",
                    "hidden=[a]",
                    "hidden=[[5]]",
                    "hidden=[1e9]",
                    "hidden={}",
                    "model.hidden=[true]",
                ),
                *(
                    "n_clusters=0",
                    "n_clusters=1e9",
                    "likelihood=poisson",
                    "likelihood=[bernoulli]",
                    "likelihood=5",
                    "init=~",
                ),
                *(
                    "model.name=gumble",
                    "model.name=",
                    "model.name=[gumbel]",
                    "model.name={a: b}",
                    "name=gumbel",
                    "revision=3",
                ),
                *(
                    "data.name=",
                    "data.name=5",
                    "data.name=x",
                    "data.name=x.npz",
                    "data.name=~no-such-user/x.npz",
                    "data.name=/",
                ),
                *(
                    "data.name=[mnist]",
                    "data.name=.npz",
                    "data.name=" + "x" * 300 + ".npz",
                    "data.digest=abc",
                    "data.digest=5",
                ),
                *(
                    "validation_fraction=1",
                    "validation_fraction=0",
                    "validation_fraction=1e-9",
                    "validation_fraction=.nan",
                ),
                *(
                    "test_fraction=-1",
                    "split_seed=-1",
                    "split_seed=a",
                    "also_train_on=x",
                    "also_train_on=train",
                    "n_labels=10",
                ),
                *(
                    "n_labels=-1",
                    "precision=float64",
                    "precision=16",
                    "snapshots=[0]",
                    "snapshots=5",
                ),
                *(
                    "data=5",
                    "model={}",
                    "training.model.x=1",
                    "a.b.c=1",
                    "data.=1",
                    ".=1",
                    "batch_size=1",
                    "clip_norm=-1",
                ),
            )
        ),
        *(
            (*RUN, "--seeds", "7777", "--store", folder)
            for folder in ("/dev/null", "/dev/null/x", "a\x00b", "/proc/nowhere", "x" * 300)
        ),
        *(("data", "fetch", name) for name in ("", "mnits", "x.npz", "..")),
        *(("data", "verify", name) for name in ("", "mnits", "x.npz", "../mnist")),
        ("data", "list", "x"),
        ("verdicts", "--jsn"),
    ]
    with tempfile.TemporaryDirectory() as cache:
        for arguments in wrong:
            yield command_line("command lines", arguments, {"GENCLUST_CACHE": cache})
        for variable, value in (
            *(("GENCLUST_DATA", value) for value in ("~no-such-user", "/dev/null", "x" * 300)),
            *(("GENCLUST_CACHE", value) for value in ("~no-such-user", "/dev/null", "x" * 300)),
            *(("GENCLUST_SOURCES", value) for value in ("/nowhere", "/dev/null", "/", "~no-such-user", "x" * 300)),
        ):
            for arguments in (("data", "list"), ("data", "verify", "mnist"), (*RUN, "--set", "data.name=mnist")):
                environment = {"GENCLUST_CACHE": cache, variable: value}
                yield command_line("environment", arguments, environment, f"{variable}={value[:20]} ")


def command_line(kind: str, arguments: tuple[str, ...], environment: dict[str, str], said: str = "") -> Outcome:
    """Invoke the command, up to where it would train."""
    with mock.patch.object(execution, "_results", side_effect=Started):
        result = CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200"} | environment)
    told = result.stderr.strip()
    accepted = result.exit_code == 0 or isinstance(result.exception, Started)
    if accepted:  # an environment that is not asked for does no harm
        outcome, detail = ("harmless" if said else "wrong"), result.stdout[:100]
    elif not isinstance(result.exception, SystemExit):
        outcome, detail = "trace", repr(result.exception)
    else:
        sentence = "Usage:" in told + result.stdout or (told and "\n" not in told)
        outcome, detail = ("refused" if sentence else "trace"), told
    return Outcome(kind, said + " ".join(arguments)[:100], outcome, detail)


# ---- published records


def records(rng: random.Random) -> Iterator[Outcome]:
    """A copy of a published record with wrong contents, read as tables and figures would."""
    row = declaration.load("simple-figure4").row("k10")
    config = row.config("demo")
    (found,) = store.find(config, [0], [store.published()]).values()
    metric = "test.acc_hungarian"
    with tempfile.TemporaryDirectory() as temporary:
        copy = store.Store(Path(temporary))
        path = copy.write(found, found.arrays()).path
        assert path is not None
        text, arrays = path.read_text(), path.with_suffix(".npz").read_bytes()

        def read() -> Any:
            record = copy.read(config, 0)
            if record is None:
                raise StoreError("There is no record.")
            summary = summarise([record], metric)
            curve = [point["epoch"] for point in record.curve]
            return record, record.arrays(), summary, curve

        sound = read()

        def sensible(value: Any) -> bool:
            """The same arrays, and a record of which a value may differ, but not so that it is none."""
            record, read_arrays, *_ = value
            scores = [number for name, number in record.metrics.items() if re.search(r"\.(acc|nmi)_", name)]
            return (
                record.config == sound[0].config
                and record.metrics.keys() == sound[0].metrics.keys()
                and record.data == sound[0].data
                and record.evaluations == sound[0].evaluations
                and all(type(number) in (int, float) and math.isfinite(number) for number in record.metrics.values())
                and all(0 <= score <= 100 for score in scores)
                and [sorted(point) for point in record.curve] == [sorted(point) for point in sound[0].curve]
                and all(np.array_equal(read_arrays[name], array) for name, array in sound[1].items())
            )

        for mutation, mutant in record_texts(text, metric):
            path.write_bytes(mutant)
            yield attempt("published records, JSON", mutation, read, never)
        for mutation, mutant in damaged(text.encode(), rng, 30):
            path.write_bytes(mutant)
            yield attempt("published records, JSON bytes", mutation, read, sensible)
        path.write_text(text)
        for mutation, mutant in damaged(arrays, rng, 30):
            path.with_suffix(".npz").write_bytes(mutant)
            yield attempt("published records, arrays", mutation, read, sensible)
        for mutation, mutant in record_arrays(arrays):
            path.with_suffix(".npz").write_bytes(mutant)
            yield attempt("published records, arrays", mutation, read, never)
        path.with_suffix(".npz").unlink()
        yield attempt("published records, arrays", "missing", read, never)


def record_texts(text: str, metric: str) -> Iterator[tuple[str, bytes]]:
    """Records that say nothing sensible."""
    content = json.loads(text)

    def changed(**changes: Any) -> bytes:
        return json.dumps(content | changes).encode()

    for key in content:
        yield f"without {key}", json.dumps({k: v for k, v in content.items() if k != key}).encode()
        for value in (None, "text", 5, [], {}, [5], True):
            sensible = value == content[key] or (key, value) in (("failed_at_step", 5), ("seconds", 5))
            if not sensible or value is True:
                yield f"{key}: {value!r}", changed(**{key: value})
    for value in (math.nan, math.inf, -math.inf, 250, -5, "62", None, True, [62], {}):
        yield f"{metric}: {value!r}", changed(metrics=content["metrics"] | {metric: value})
        yield (
            f"an epoch's accuracy: {value!r}",
            changed(curve=[content["curve"][0] | {"acc_hungarian": value}, *content["curve"][1:]]),
        )
    yield "without the metric", changed(metrics={k: v for k, v in content["metrics"].items() if k != metric})
    yield "an epoch twice", changed(curve=[content["curve"][0], *content["curve"]])
    yield "epochs backwards", changed(curve=content["curve"][::-1])
    for key, value in (
        ("seconds", -1),
        ("seconds", math.nan),
        ("failed_at_step", -1),
        ("failed_at_step", 1.5),
        ("seed", 0.0),
    ):
        yield f"{key}: {value}", changed(**{key: value})
    yield "an evaluation unknown", changed(evaluations=["clustering", "alchemy"])
    yield (
        "another configuration",
        changed(config=content["config"] | {"model": content["config"]["model"] | {"n_clusters": 3}}),
    )
    yield "sizes that are none", changed(data=content["data"] | {"sizes": {"test": -5}})
    yield "another data set", changed(data=content["data"] | {"name": "mnist"})
    yield "an entry more", changed(colour="red")
    yield "a list", b"[]"
    yield "null", b"null"
    yield "a key twice", text.replace('"seed":', '"seed": 3, "seed":', 1).encode()
    yield "deeply nested", b"[" * 100_000
    yield "a number of 5,000 digits", text.replace('"seed": 0', '"seed": ' + "9" * 5000).encode()
    yield "not UTF-8", text.encode("utf-16")
    yield "with a byte order mark", b"\xef\xbb\xbf" + text.encode()


def record_arrays(sound: bytes) -> Iterator[tuple[str, bytes]]:
    """Arrays that say nothing sensible."""
    with np.load(io.BytesIO(sound)) as file:
        content = dict(file)
    name = next(name for name, array in content.items() if array.ndim == 1 and array.dtype.kind in "iu")
    yield "without an array", npz(**{key: array for key, array in content.items() if key != name})
    yield "an array of objects", npz(**content | {name: content[name].astype(object)})
    yield "an array of text", npz(**content | {name: content[name].astype(str)})
    yield "an array cut short", npz(**content | {name: content[name][:-1]})
    yield "an array of another shape", npz(**content | {name: content[name][:, None]})
    yield "a cluster that is none", npz(**content | {name: np.full_like(content[name], 200)})
    yield "no array", npz()


def main(seed: int) -> int:
    """Run all mutants, print the table, and return how many ended in a trace or were silently wrong."""
    table: dict[str, Counter[str]] = {}
    bad = []
    for family in (own, named, lambda rng: contents(), declarations, lambda rng: command_lines(), records):
        for outcome in family(random.Random(seed)):
            table.setdefault(outcome.kind, Counter())[outcome.outcome] += 1
            if outcome.outcome in ("trace", "wrong"):
                bad.append(outcome)
                print(f"{outcome.outcome}: {outcome.kind}: {outcome.mutation}\n    {outcome.detail[:300]}", flush=True)
    print(f"\n{'kind':<60}{'mutants':>9}" + "".join(f"{name:>10}" for name in OUTCOMES))
    for kind, counts in [*table.items(), ("all", sum(table.values(), Counter()))]:
        print(f"{kind:<60}{counts.total():>9}" + "".join(f"{counts[name]:>10}" for name in OUTCOMES))
    return len(bad)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0) > 0)
