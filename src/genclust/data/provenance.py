"""Where each data set comes from, and what it must hold: the entries of ``sources.yaml``."""

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
    """What is known of a data set before it is read.

    Attributes:
        title: its name in print.
        what: what its rows are, in a few words.
        citation: whom to thank.
        splits: rows of each split that a reader may give.
        digest: SHA-256 of the arrays (`DataSet.digest`), or None where it could not be verified.
        fidelity: how near it is to the data set of the papers.
        stands_in_for: the data set of the papers that it stands in for, or None if it is exactly that.
        licence: terms of use, where the source states them.
        files: what `fetch` downloads, each with the hash of the file (``md5:...``), or None.
        mirrors: addresses, each ending in ``/``, below which all the files are found.
        instead: a file that is read in place of ``files`` where a user has put it.
        beside: a file that is read as well where a user has put it.
        elsewhere: where in the data folder one of ``files`` is taken from if it is not in its own folder.
        obtain: how to come by files that have no public address.
        folder: the name of the folder of its files, where it is not that of the data set.
        heading: how tables call it, where that is not the title.
        variants: what is different when the data set is read from another form of the source.
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
        """The source of the form called ``name``."""
        return replace(self, **self.variants.get(name, {}))

    def present(self, folder: Path) -> bool:
        """Whether ``folder`` has all the files, whatever they hold; a gzipped one may be unpacked."""
        if self.instead and exists(folder / self.instead):
            return True
        return all(
            exists(folder / file)
            or exists(folder / file.removesuffix(".gz"))
            or (file in self.elsewhere and exists(folder.parent / self.elsewhere[file]))
            for file in self.files
        )

    def cure(self, name: str, folder: Path) -> str:
        """What a user can do about files that are missing or wrong."""
        if not self.mirrors:
            return self.obtain or "it needs no file, so the library that makes it has changed"
        by_hand = [file for file in (self.instead, self.beside) if file and exists(folder / file)]
        blame = f"replace or remove {' and '.join(by_hand)}, or " if by_hand else ""
        return f"{blame}get it by `genclust data fetch {name}`"


def sources() -> dict[str, Source]:
    """All data sets by name, in the order of the file.

    The file is the ``sources.yaml`` of this package, or the one that the environment variable
    ``GENCLUST_SOURCES`` names, so that a laboratory can use a mirror of its own.  A ``sources.yaml`` beside
    ``experiments/`` adds to it.

    Raises:
        DataError: if a file is missing or not a list of sources.
    """
    files = [Path(os.environ.get("GENCLUST_SOURCES") or Path(__file__).with_name("sources.yaml"))]
    with suppress(SettingError):  # the library is used without declarations
        files += [path for path in [root() / "sources.yaml"] if path.is_file()]
    found: dict[str, Source] = {}
    for path in files:
        try:
            found |= _sources(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is not a list of data sources: {' '.join(str(error).split())}") from None
    return found


@lru_cache(maxsize=2)  # a table of verdicts asks once a line
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
