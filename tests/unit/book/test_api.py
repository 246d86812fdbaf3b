"""The API reference: a page for every public module, and none for what is not."""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

import pytest

import genclust
from genclust.book import api

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = {
    "__init__.py": '"""Clusters."""',
    "cli.py": '"""The command line."""',
    "book/__init__.py": '"""The book."""',
    "book/build.py": '"""Building."""',
    "shapes/__init__.py": '''"""Shapes."""
from genclust.shapes.round import Circle as Disc
from genclust.shapes.round import hidden
#: By name.
SHAPES = {"disc": Disc}
__all__ = ["SHAPES", "Disc"]
''',
    "shapes/round.py": '"""Round\nshapes, ``r`` > 0.\n\nMore."""\nclass Circle: ...\ndef hidden(): ...',
    "shapes/_square.py": '"""Square ones."""',
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        path = tmp_path / "genclust" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_every_public_module_of_the_library_has_a_page() -> None:
    found = {module.name for module in pkgutil.walk_packages(genclust.__path__, "genclust.")} | {"genclust"}
    private = {name for name in found if any(part.startswith("_") for part in name.split("."))}
    parts = ("cli", "cli_book", "cli_data", "cli_errors", "cli_own", "cli_own_report", "cli_report")
    command_line = {f"genclust.{name}" for name in parts}
    book = {name for name in found if name.startswith("genclust.book")}
    assert set(api.pages(ROOT / "src")) == found - private - command_line - book


def test_every_public_module_says_what_it_is() -> None:
    modules = api.public_modules(ROOT / "src")
    assert [name for name, path in modules.items() if not ast.get_docstring(ast.parse(path.read_text("utf8")))] == []


def test_a_new_module_has_a_page_without_being_named_anywhere(source: Path) -> None:
    assert list(api.pages(source)) == ["genclust", "genclust.shapes", "genclust.shapes.round"]
    (source / "genclust" / "shapes" / "flat.py").write_text('"""Flat ones."""')
    assert list(api.pages(source)) == ["genclust", "genclust.shapes", "genclust.shapes.flat", "genclust.shapes.round"]


def test_a_page_is_headed_by_the_name_within_the_library(source: Path) -> None:
    found = {name: page.split("\n", 1)[0] for name, page in api.pages(source).items()}
    short = {"genclust": "``genclust``", "genclust.shapes": "``shapes``", "genclust.shapes.round": "``shapes.round``"}
    assert found == short


def test_a_package_shows_what_it_exports_and_what_is_in_it(source: Path) -> None:
    assert api.pages(source)["genclust.shapes"] == (
        "``shapes``\n==========\n\n.. automodule:: genclust.shapes\n"
        "   :members: SHAPES\n   :no-value:\n\n"
        "Exports :py:obj:`Disc <genclust.shapes.round.Circle>`.\n\n"
        ":py:mod:`genclust.shapes.round`\n   Round shapes, ``r`` > 0.\n"
    )


def test_a_module_shows_all_its_members(source: Path) -> None:
    assert api.pages(source)["genclust.shapes.round"].endswith(".. automodule:: genclust.shapes.round\n   :members:\n")
