"""Words that messages share: numbers with their nouns, and what a misspelt name may mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def counted(n: int, noun: str) -> str:
    """The number with its noun, in the plural unless it is one: ``1 row``, ``1,000 rows``."""
    return f"{n:,} {noun}" + "s" * (n != 1)


def size(shape: Iterable[int]) -> str:
    """The sides of an image, such as ``8 × 8``."""
    return " × ".join(map(str, shape))


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.65) -> str:
    """The end of a sentence about an unknown ``name``: a question if one of the ``known`` is near, or a full stop.

    Names are near from a similarity of ``cutoff`` on, which is 1 for the same ones.
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else "."
