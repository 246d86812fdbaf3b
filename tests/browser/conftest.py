"""One Chromium for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import chromium
import pytest


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    if chromium.PROGRAM is None:
        pytest.skip("no Chromium on this machine")
    with chromium.Browser(tmp_path_factory.mktemp("browser")) as running:
        yield running
    assert running.asked_of_network() == []
