"""Committed notebooks are thin, whole and ready for papermill and nbval."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import papermill
import pytest

from genclust.book.build import pages
from genclust.book.notebooks import KERNEL, execute, problems

ROOT = Path(__file__).resolve().parents[3]
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
def test_what_is_computed_is_computed_in_the_library(path: Path) -> None:
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    functions = [node for source in cells for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == []


@every_notebook
def test_the_kernel_is_that_of_the_environment(path: Path) -> None:
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == KERNEL


@every_notebook
def test_nothing_of_the_machine_it_ran_on_is_in_it(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    assert str(Path.home()) not in text and str(ROOT) not in text and '"papermill"' not in text


def test_a_notebook_really_trains_with_new_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    parameters = {"profile": "demo", "seeds": "40-41", "epochs": 2, "weights": "w1", "w_categorical": 0.5}
    execute(ROOT / "notebooks" / "simple-figure3.ipynb", tmp_path / "figure3.ipynb", parameters)
    outputs = nbformat.read(tmp_path / "figure3.ipynb", as_version=4).cells[-1].outputs
    assert "w_G&nbsp;=&nbsp;1" in str(outputs)
    assert len(list((tmp_path / "cache" / "results").rglob("seed-004?.json"))) == 2
