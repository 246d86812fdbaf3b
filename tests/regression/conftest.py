"""Each file of these tests reads every data set once, however many runs of it are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from genclust import data


@pytest.fixture(scope="module", autouse=True)
def data_sets_are_read_once() -> Iterator[None]:
    """Keep what was read of each folder: drawing or decoding a data set takes up to ten seconds.

    How a run divides it is made anew each time, and so is the digest that its records are compared with.
    """
    read = cache(data.load)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: read(name, data.folder()))
        yield
