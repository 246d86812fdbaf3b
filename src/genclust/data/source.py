"""Origin and expected contents of each data set: the entries of ``sources.yaml``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from os.path import exists  # which a path that cannot be does not upset
from pathlib import Path
from typing import Any

from genclust.data.base import DataError, Fidelity
from genclust.paths import root
from genclust.settings import SettingError, read
from genclust.strict_yaml import parse


@dataclass(frozen=True)
class Source:
    """Origin, files and expected contents of one data set.

    Attributes:
        title: name in print.
        what: short description of the rows.
        citation: reference to cite.
        splits: number of rows of each split that a reader may give.
        digest: SHA-256 of the arrays (`DataSet.digest`), or None if it could not be verified.
        fidelity: how close it is to the data set of the papers.
        stands_in_for: name of the papers' data set that it replaces, or None if it is exactly that.
        licence: terms of use, where the source states them.
        files: names of the files that `fetch` downloads, each with its hash (``md5:...``) or None.
        mirrors: addresses, each ending in ``/``, below which all the files are.
        instead: file that is read in place of ``files`` if a user has put it there.
        beside: file that is read in addition if a user has put it there.
        elsewhere: other place in the data folder of one of ``files``, used if it is not in its own folder.
        obtain: instruction for obtaining files that have no public address.
        folder: name of the folder of its files, if it is not that of the data set.
        heading: name in tables, if it is not the title.
        variants: fields that differ if the data set is read from another form of the source, by its name.
    """

    title: str
    what: str
    citation: str
    splits: Mapping[str, int]
    digest: str | None
    fidelity: Fidelity = "exact"
    stands_in_for: str | None = None
    licence: str | None = None
    files: Mapping[str, str | None] = field(default_factory=dict)
    mirrors: Sequence[str] = ()
    instead: str | None = None
    beside: str | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    obtain: str | None = None
    folder: str | None = None
    heading: str | None = None
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def variant(self, name: str) -> Source:
        """Source of the form called ``name``, with the fields in which it differs replaced."""
        return replace(self, **self.variants.get(name, {}))

    def present(self, folder: Path) -> bool:
        """Whether ``folder`` has all the files, with unchecked contents; a gzipped file may be unpacked."""
        if self.instead and exists(folder / self.instead):
            return True
        return all(
            exists(folder / file)
            or exists(folder / file.removesuffix(".gz"))
            or (file in self.elsewhere and exists(folder.parent / self.elsewhere[file]))
            for file in self.files
        )

    def cure(self, name: str, folder: Path) -> str:
        """Instruction to the user for files that are missing or wrong."""
        if not self.mirrors:
            if self.obtain:
                return self.obtain
            if not self.files:
                return "it needs no file, so the library that makes it has changed"
            return f"place the right {' and '.join(self.files)} there, or correct the digest in sources.yaml"
        by_hand = [file for file in (self.instead, self.beside) if file and exists(folder / file)]
        blame = f"replace or remove {' and '.join(by_hand)}, or " if by_hand else ""
        return f"{blame}get it by `genclust data fetch {name}`"


def sources() -> dict[str, Source]:
    """Sources of all data sets by name, in the order of ``sources.yaml``.

    The file is the ``sources.yaml`` of this package, or the one that the environment variable
    ``GENCLUST_SOURCES`` names, so that a laboratory can use a mirror of its own.  A ``sources.yaml`` beside
    ``experiments/`` adds to it.

    Raises:
        DataError: if a file is missing or not a list of sources.
    """
    files = [Path(os.environ.get("GENCLUST_SOURCES") or Path(__file__).with_name("sources.yaml"))]
    with suppress(SettingError):  # the library is used without declarations
        files += [path for path in [root() / "sources.yaml"] if path.is_file()]
    by_name: dict[str, Source] = {}
    for path in files:
        try:
            by_name |= _sources(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is not a list of data sources: {' '.join(str(error).split())}") from None
    return by_name


@lru_cache(maxsize=2)  # a table of verdicts asks once per line
def _sources(text: str) -> dict[str, Source]:
    entries = parse(text)
    if not isinstance(entries, dict):
        raise ValueError("no names in it")
    return {name: _source(name, entry) for name, entry in entries.items()}


def _source(name: str, entry: Any) -> Source:
    if not isinstance(entry, dict):
        raise ValueError(f"{name} is no mapping")
    source = read(Source, entry, name)
    for variant, changes in source.variants.items():
        _checked(read(Source, {**entry, **changes}, f"{name}.variants.{variant}"), f"{name}.variants.{variant}")
    return _checked(source, name)


def _checked(source: Source, where: str) -> Source:
    if (source.fidelity == "exact") != (source.stands_in_for is None):
        raise ValueError(f"{where}.stands_in_for must name a data set where fidelity is not exact, and nothing else")
    return source
