"""Examples in the documentation run."""

import ast
import doctest
import importlib

import pytest
import torch

from genclust.book.api import public_modules
from genclust.models import MODELS
from genclust.paths import root

FILES = public_modules(root() / "src")
#: Modules with an example.
MODULES = [name for name, path in FILES.items() if ">>> " in path.read_text(encoding="utf8")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), extraglobs={"torch": torch})
    assert result.failed == 0 and result.attempted > 0


def test_every_model_and_estimator_has_an_example() -> None:
    kinds = {kind for kind, _ in MODELS.values() if kind.__module__.startswith("genclust.models")}
    for kind in sorted(kinds, key=lambda kind: kind.__name__):
        assert ">>> " in (kind.__doc__ or ""), kind
    for name in ("clustering", "density"):
        for node in ast.parse(FILES[f"genclust.estimators.{name}"].read_text(encoding="utf8")).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "model_name" for part in node.body
            ):
                assert ">>> " in (ast.get_docstring(node) or ""), node.name
