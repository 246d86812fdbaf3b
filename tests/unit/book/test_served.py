"""Links that need a network stand in a book that is served from the web, and in no other."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "book" / "_ext"))
served = pytest.importorskip("served")


def options(monkeypatch: pytest.MonkeyPatch, address: str | None) -> dict:
    if address is None:
        monkeypatch.delenv("GENCLUST_REPOSITORY", raising=False)
    else:
        monkeypatch.setenv("GENCLUST_REPOSITORY", address)
    config = SimpleNamespace(html_theme_options={"use_repository_button": False, "launch_buttons": {}})
    served.configure(None, config)
    return config.html_theme_options


@pytest.mark.parametrize("address", [None, ""])
def test_a_book_that_opens_from_disk_has_none(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    assert options(monkeypatch, address) == {"use_repository_button": False, "launch_buttons": {}}


def test_a_book_on_the_web_launches_its_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = options(monkeypatch, "https://example.org/someone/clusters/")
    assert found["repository_url"] == "https://example.org/someone/clusters" and found["use_repository_button"]
    assert "binderhub_url" in found["launch_buttons"]
