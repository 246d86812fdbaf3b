"""Weights and other numbers as text in a script: one or two printable characters per number.

A page that was opened from disk may load scripts and nothing else, so numbers travel as text.  Base64 would take four
characters for three bytes.  Here the 93 printable characters that a JavaScript string may hold as they are stand for
levels: one character for a weight of a large layer, which keeps two decimal digits of it, and two for everything that
is small, which keep four.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from jaxtyping import Float, Int

#: All printable characters of ASCII but the quotation mark and the backslash.
ALPHABET = "".join(chr(code) for code in range(32, 127) if chr(code) not in '"\\')
BASE = len(ALPHABET)
#: Layers with more weights than this have one character per weight, so that every widget stays below a megabyte.
LARGE = 9_000


def encode(levels: Int[np.ndarray, "*shape"], characters: int) -> str:
    """Integers as text, the most significant character first.

    Args:
        levels: between 0 and 93 ** ``characters`` - 1.
        characters: number of characters per integer.
    """
    flat = np.asarray(levels, np.int64).ravel()
    digits = np.stack([flat // BASE**place % BASE for place in reversed(range(characters))], -1)
    return np.array(list(ALPHABET))[digits].tobytes().decode("utf-32-le")


def quantise(values: Float[np.ndarray, "*rows n"], characters: int) -> dict[str, Any]:
    """Rows of numbers as text, each row with a scale of its own.

    Returns:
        ``text``, ``characters`` per number, and ``scales``, text too, with ``largest``, the largest of them: number n
        of row r is (level - middle) · scale r, the middle being (93 ** characters - 1) / 2.
    """
    values = np.asarray(values, np.float64)
    middle = (BASE**characters - 1) // 2
    largest = float(np.abs(values).max()) / middle or 1.0
    steps = np.ceil(np.abs(values).max(-1) / middle / largest * (BASE**2 - 1)).astype(np.int64).clip(1)
    scales = steps / (BASE**2 - 1) * largest
    levels = np.rint(values / scales[..., None]).astype(np.int64).clip(-middle, middle) + middle
    return {
        "characters": characters,
        "largest": largest,
        "scales": encode(steps, 2),
        "text": encode(levels, characters),
    }


def as_script(name: str, content: dict[str, Any]) -> str:
    """Script that hands ``content`` to the page under a name."""
    return f"genclustWidgets.data[{json.dumps(name)}] = {json.dumps(content, ensure_ascii=False)};\n"
