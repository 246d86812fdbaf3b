"""Words that messages share: numbers, also with their nouns, texts in quotes, and what a misspelt name may mean."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

MINUS = "\N{MINUS SIGN}"


def counted(n: int, noun: str) -> str:
    """The number with its noun, in the plural unless it is one: ``1 row``, ``1,000 rows``."""
    return f"{n:,} {noun}" + "s" * (n != 1)


def signed(value: float, digits: int = 2) -> str:
    """Number as text, with a minus sign instead of a hyphen, and zero without a sign."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", MINUS)  # -0.0 + 0.0 is 0.0


def with_sd(mean: float | None, sd: float | None, digits: int = 2) -> str:
    """A mean with its standard deviation, if there is one, as in ``84.12 ± 1.30``; a dash without a mean."""
    if mean is None:
        return "–"
    return signed(mean, digits) + ("" if sd is None else f" ± {sd:.{digits}f}")


def size(shape: Iterable[int]) -> str:
    """The sides of an image, such as ``8 × 8``."""
    return " × ".join(map(str, shape))


def quoted(text: str) -> str:
    """The text in quotes, without its middle if it is long."""
    short = reprlib.Repr()
    short.maxstring = 80
    return short.repr(text)


def first_few(items: Iterable[Any]) -> str:
    """The first few of ``items``, quoted, and how many more there are."""
    items = [quoted(str(item)) for item in items]
    return ", ".join(items[:4]) + (f" and {len(items) - 4} more" if len(items) > 4 else "")


def threshold(below: float | None, above: float | None) -> str:
    """What a mean has to be below or above, such as ``> 0.3``; empty without either."""
    if below is None and above is None:
        return ""
    return (f"< {below:g}" if below is not None else f"> {above:g}").replace("-", MINUS)


def asked_for(rows: Sequence[str]) -> str:
    """The first of the declared rows that a run is of, and how many others show it."""
    if not rows:
        return "settings of your own"
    return rows[0] + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.65, otherwise: str = ".") -> str:
    """The end of a sentence about an unknown ``name``: a question if one of the ``known`` is near, or ``otherwise``.

    Names are near from a similarity of ``cutoff`` on, which is 1 for the same ones.
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else otherwise
