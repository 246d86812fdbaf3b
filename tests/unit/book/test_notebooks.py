"""Committed notebooks are thin, whole and ready for papermill and nbval."""

from __future__ import annotations

import ast
import importlib.util
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
def test_every_figure_says_what_it_shows(path: Path) -> None:
    """A cell describes its picture and gives it a caption, so it draws one only."""
    for cell in nbformat.read(path, as_version=4).cells:
        outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
        pictures = [data for data in outputs if any(kind.startswith("image/") for kind in data)]
        if pictures:
            told = cell.metadata.get("mystnb", {})
            alt, caption = told.get("image", {}).get("alt", ""), told.get("figure", {}).get("caption", "")
            assert len(alt.split()) > 5 and alt.endswith("."), cell.source
            assert caption.rstrip("*").endswith("."), cell.source
            assert len(pictures) == 1 and "image/svg+xml" in pictures[0], cell.source


@every_notebook
def test_the_kernel_is_that_of_the_environment(path: Path) -> None:
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == KERNEL


@every_notebook
def test_nothing_of_the_machine_it_ran_on_is_in_it(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    assert str(Path.home()) not in text and str(ROOT) not in text and '"papermill"' not in text


def test_nbval_is_given_what_the_executed_copy_holds(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("replayed", ROOT / "notebooks" / "conftest.py")
    replayed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(replayed)
    printed = nbformat.v4.new_output("stream", text="1")
    shown = nbformat.v4.new_output("execute_result", data={"text/plain": "2"}, execution_count=1)
    cells = [nbformat.v4.new_code_cell("f(1)", outputs=[printed, shown]), nbformat.v4.new_code_cell("f(2)")]
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Of f."), *cells]), tmp_path / "copy")
    kernel = replayed.Executed(tmp_path / "copy")
    first = kernel.execute_cell_input("f(1)")
    messages = [kernel.get_message() for _ in range(3)]
    assert [message["msg_type"] for message in messages] == ["stream", "execute_result", "status"]
    assert {message["parent_header"]["msg_id"] for message in messages} == {first}
    assert messages[0]["content"] == {"name": "stdout", "text": "1"}
    assert messages[1]["content"]["data"] == {"text/plain": "2"}
    assert messages[2]["content"] == {"execution_state": "idle"}
    with pytest.raises(AssertionError, match="another cell"):
        kernel.execute_cell_input("f(3)")
    with pytest.raises(AssertionError, match="another cell"):
        kernel.execute_cell_input("f(2)")  # there is no further one


def test_a_notebook_really_trains_with_new_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    parameters = {"profile": "demo", "seeds": "40-41", "epochs": 2, "weights": "w1", "w_categorical": 0.5}
    execute(ROOT / "notebooks" / "simple-figure3.ipynb", tmp_path / "figure3.ipynb", parameters)
    outputs = nbformat.read(tmp_path / "figure3.ipynb", as_version=4).cells[-1].outputs
    assert "w_G&nbsp;=&nbsp;1" in str(outputs)
    assert len(list((tmp_path / "cache" / "results").rglob("seed-004?.json"))) == 2
