"""Numbers in the book as tracked references to records.

- ``{measured}`simple-table1/proposed-mnist/test.acc_hungarian/mean``` puts a measured number into a sentence;
- ``{choices} simple-table1`` lists what a paper leaves open, what was taken, and why;
- ``{verdict-table} simple`` sets what a paper reported beside what was measured; ``all`` is one table of every paper,
  which a script sorts and filters.
- ``{claims} simple`` lists what a paper claims in words, with the verdict that follows from the records;
- ``{gaps} simple`` lists the likeliest causes of its missed numbers, and what would tell them apart.

A page that uses one of them is rebuilt whenever a declaration or a record is changed, added or removed. A key
without a number is a warning, and so an error in a strict build.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from verdict_html import by_table, claims_table, searchable

logger = logging.getLogger(__name__)


def repository(env: BuildEnvironment) -> Path:
    """The repository that the book's gathered sources lie in."""
    for folder in Path(env.srcdir).parents:
        if (folder / "experiments").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    raise FileNotFoundError(f"no repository with experiments/ above {env.srcdir}")


def digest(env: BuildEnvironment) -> str:
    """What all measured pages depend on: declarations, records, the code that reads and shows them, and names."""
    root, result = repository(env), hashlib.sha256()
    library = "src/genclust/metrics.py", "src/genclust/data/sources.yaml", "src/genclust/pages"
    for part in ("experiments", "papers.yaml", "results", "src/genclust/experiments", "book/_ext", *library):
        for path in [root / part, *sorted((root / part).rglob("*"))]:
            if path.is_file() and path.suffix in (".yaml", ".json", ".py"):
                result.update(str(path.relative_to(root)).encode())
                result.update(path.read_bytes())
    return result.hexdigest()


def note(env: BuildEnvironment) -> None:
    """This page shows measured numbers."""
    pages(env).add(env.docname)


def pages(env: BuildEnvironment) -> set[str]:
    if not hasattr(env, "measured_pages"):
        env.measured_pages = set()  # type: ignore[attr-defined]
    return env.measured_pages  # type: ignore[attr-defined,no-any-return]


class Measured(SphinxRole):
    """A measured number, by its key ``experiment/row/metric/statistic``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        from genclust.experiments import number

        note(self.env)
        try:
            text = number(self.text)
        except KeyError as error:
            reason = error.args[0] if error.args else self.text
            logger.warning("no measured number: %s", reason, location=self.get_location(), type="measured")
            return [nodes.problematic(self.rawtext, f"[no number: {self.text}]")], []
        return [nodes.inline(self.rawtext, text, classes=["measured"])], []


class Choices(SphinxDirective):
    """The choices that an experiment declares: setting, what was taken, why."""

    required_arguments = 1
    has_content = False

    def run(self) -> list[nodes.Node]:
        path = repository(self.env) / "experiments" / f"{self.arguments[0]}.yaml"
        note(self.env)
        declared = yaml.safe_load(path.read_text(encoding="utf8")).get("choices", []) if path.is_file() else []
        if not declared:
            logger.warning("no choices in %s", path.name, location=self.get_location(), type="measured")
        table = nodes.table(classes=["choices"])
        group = nodes.tgroup(cols=3)
        table += group
        for width in (25, 25, 50):
            group += nodes.colspec(colwidth=width)
        head, body = nodes.thead(), nodes.tbody()
        group += head
        group += body
        head += self.row(nodes.Text(title) for title in ("Left open", "Chosen", "Why"))
        for choice in declared:
            name = str(choice["setting"])
            dotted = "." in name and " " not in name
            cell = nodes.literal(name, name) if dotted else nodes.Text(name)
            body += self.row([cell, nodes.Text(str(choice["taken"])), *self.inline(str(choice["why"]))], 3)
        return [table]

    def inline(self, text: str) -> Iterable[nodes.Node]:
        """``text`` with its inline markup."""
        parsed, _ = self.parse_inline(text)
        return parsed

    @staticmethod
    def row(cells: Iterable[nodes.Node], columns: int = 3) -> nodes.row:
        row, cells = nodes.row(), list(cells)
        for index in range(columns):
            content = cells[index:] if index == columns - 1 else cells[index : index + 1]
            row += nodes.entry("", nodes.paragraph("", "", *content))
        return row


class VerdictTable(SphinxDirective):
    """Reported numbers beside measured ones: a table per table of a paper, or one of ``all`` papers to search in."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        from genclust.experiments import verdicts

        note(self.env)
        paper = self.arguments[0]
        found = [one for one in verdicts() if paper in ("all", one.paper)]
        if not found:
            logger.warning("no verdicts for %s", paper, location=self.get_location(), type="measured")
        quoted = [one for one in found if one.quoted]
        own = [one for one in found if not one.quoted]
        show = searchable if paper == "all" else by_table
        html = show(own)
        if quoted:
            html += f"<details><summary>{len(quoted)} numbers of other methods, as the papers quote them</summary>"
            html += f"{by_table(quoted, with_paper=paper == 'all')}</details>"
        return [nodes.raw("", html, format="html")]


class Claims(SphinxDirective):
    """What a paper claims in words, or what ``all`` do, each with what was measured and the verdict that follows."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        from genclust.experiments.claims import judged_claims

        note(self.env)
        paper = self.arguments[0]
        found = judged_claims(None if paper == "all" else paper)
        if not found:
            logger.warning("no claims of %s", paper, location=self.get_location(), type="measured")
        with_anchors = paper == "all"
        return [nodes.raw("", claims_table(found, with_anchors), format="html")]


class Gaps(SphinxDirective):
    """Likeliest causes of the missed numbers of a paper's own model, as its declarations state them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        from genclust.pages.gaps import causes
        from genclust.pages.missed import missed

        note(self.env)
        found = [one for one in missed() if one.paper == self.arguments[0]]
        if not found:
            logger.warning("no gaps of %s", self.arguments[0], location=self.get_location(), type="measured")
        return self.parse_text_to_nodes(causes(found))


def outdated(app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]) -> set[str]:
    """All pages with measured numbers, if a declaration or a record is not what it was."""
    now = digest(env)
    before, env.measured_digest = getattr(env, "measured_digest", None), now  # type: ignore[attr-defined]
    return set() if before == now else pages(env) - removed


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    pages(env).discard(docname)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    pages(env).update(pages(other) & set(docnames))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_role("measured", Measured())
    app.add_directive("choices", Choices)
    app.add_directive("verdict-table", VerdictTable)
    app.add_directive("claims", Claims)
    app.add_directive("gaps", Gaps)
    app.connect("env-get-outdated", outdated)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
