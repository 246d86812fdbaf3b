"""``{dependencies}``: every dependency that ``pyproject.toml`` names, with the reason that stands beside it."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from measured import repository
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ENTRY = re.compile(r'^\s*"(?P<name>[A-Za-z0-9_.-]+)(?P<version>[^"]*)",\s*#\s*(?P<why>.+)$')


class Dependencies(SphinxDirective):
    """A definition list of packages and reasons."""

    def run(self) -> list[nodes.Node]:
        path = repository(self.env) / "pyproject.toml"
        self.env.note_dependency(str(path))
        result = nodes.definition_list()
        declared, _, _ = path.read_text(encoding="utf8").partition("[project.scripts]")
        for line in declared.splitlines():
            if match := ENTRY.match(line):
                term = nodes.term("", "", nodes.literal("", match["name"] + match["version"]))
                definition = nodes.definition("", nodes.paragraph("", match["why"].strip()))
                result += nodes.definition_list_item("", term, definition)
        return [result]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("dependencies", Dependencies)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
