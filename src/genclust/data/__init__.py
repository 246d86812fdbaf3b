"""Data sets: read from a folder, fetched there from their sources, and checked against known digests.

Example:
    >>> from genclust import data
    >>> digits = data.load("digits")
    >>> digits.splits["train"].x.shape
    (1438, 64)
"""

from typing import Any

from genclust.data.base import DataError, DataSet, Fidelity, MissingData, Split
from genclust.data.catalogue import Report, folder, load, names, place, verify
from genclust.data.source import Source, sources


def __getattr__(name: str) -> Any:
    """Import ``fetch`` on first use, since only downloads need pooch and requests."""
    if name == "fetch":
        from genclust.data.download import fetch

        return fetch
    raise AttributeError(f"module 'genclust.data' has no attribute {name!r}")


__all__ = [
    "DataError",
    "DataSet",
    "Fidelity",
    "MissingData",
    "Report",
    "Source",
    "Split",
    "fetch",
    "folder",
    "load",
    "names",
    "place",
    "sources",
    "verify",
]
