"""What is written by hand keeps up with the lists it repeats."""

from pathlib import Path

import pytest

from genclust.experiments.papers import papers

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("page", ["README.md", "book/intro.md"])
def test_a_table_on_the_first_page_has_a_line_for_every_paper(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf8").splitlines()
    named = [line.split("|")[1] for line in lines if line.startswith("|")]
    assert [one.title for one in papers().values() if not any(one.title in name for name in named)] == []
