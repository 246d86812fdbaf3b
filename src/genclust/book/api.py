"""Pages of the API reference: one for each public module, found in the source tree.

Sphinx's ``autosummary`` would take a module for the function of the same name that its package exports, such as
``genclust.kernels.mixture``, and its lists of pages exclude a table of contents in a file of its own.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

#: Modules without a page, which are private ones, the command line, and this package.
INTERNAL = re.compile(r"genclust\.(cli|book)|\._")


def pages(source: Path) -> dict[str, str]:
    """Page of every public module in reStructuredText, by the module's dotted name.

    Args:
        source: the folder that holds ``genclust/``.
    """
    trees = {name: ast.parse(path.read_text(encoding="utf8")) for name, path in public_modules(source).items()}
    return {name: _page(name, trees) for name in trees}


def public_modules(source: Path) -> dict[str, Path]:
    """File of every public module and package, by its dotted name."""
    modules = {}
    for path in sorted((source / "genclust").rglob("*.py")):
        place = path.parent if path.name == "__init__.py" else path.with_suffix("")
        modules[".".join(place.relative_to(source).parts)] = path
    return {name: path for name, path in modules.items() if not INTERNAL.search(name)}


def _page(name: str, trees: dict[str, ast.Module]) -> str:
    """Page of one module, for autodoc; what a package exports is described where it is defined."""
    title = f"``{name.removeprefix('genclust.')}``"  # the sidebar cuts off what is longer
    lines = [title, "=" * len(title), "", f".. automodule:: {name}"]
    exported, imported = _exported(trees[name]), _imported(trees[name])
    defined_here = [export for export in exported if export not in imported]
    if defined_here:
        lines += [f"   :members: {', '.join(defined_here)}", "   :no-value:"]  # registries, with all that they hold
    elif not exported:
        lines.append("   :members:")
    elsewhere = [f":py:obj:`{export} <{imported[export]}>`" for export in exported if export in imported]
    if elsewhere:
        lines += ["", f"Exports {', '.join(elsewhere)}."]
    for inner, tree in trees.items():
        if inner.rpartition(".")[0] == name:
            first, *_ = (ast.get_docstring(tree) or "").split("\n\n")
            lines += ["", f":py:mod:`{inner}`", f"   {' '.join(first.split())}"]
    return "\n".join(lines) + "\n"


def _exported(tree: ast.Module) -> list[str]:
    """Names in ``__all__`` of a module; empty if it has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return []


def _imported(tree: ast.Module) -> dict[str, str]:
    """Definitions of what a module imports from others, anywhere in its code: dotted names by the local name."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
