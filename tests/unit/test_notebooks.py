"""Committed notebooks are thin, whole and ready for papermill and nbval."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
import pytest

from genclust.book.build import pages
from genclust.book.notebooks import KERNEL, problems

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def test_the_book_shows_every_notebook() -> None:
    assert {page.removeprefix("notebooks/") for page in pages(ROOT) if "/" in page} == {p.stem for p in NOTEBOOKS}


@every_notebook
def test_outputs_are_stored_and_whole(path: Path) -> None:
    """A notebook without outputs would pass nbval whatever it does."""
    assert problems(path) == []
    assert any(cell.outputs for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")


@every_notebook
def test_every_parameter_says_what_it_means(path: Path) -> None:
    parameters = papermill.inspect_notebook(str(path))
    assert parameters, "no cell tagged `parameters`"
    assert [name for name, entry in parameters.items() if not entry["help"]] == []


@every_notebook
def test_the_kernel_is_that_of_the_environment(path: Path) -> None:
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == KERNEL


@every_notebook
def test_nothing_of_the_machine_it_ran_on_is_in_it(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    assert str(Path.home()) not in text and str(ROOT) not in text and '"papermill"' not in text
