"""Numbers in the book as tracked references to records.

- ``{measured}`simple-table1/proposed-mnist/test.acc_hungarian/mean``` puts a measured number into a sentence;
- ``{choices} simple-table1`` lists what a paper leaves open, what was taken, and why;
- ``{verdict-table} simple`` sets what a paper reported beside what was measured (``all``: every paper).

A page that uses one of them is rebuilt whenever a declaration or a record is changed, added or removed. A key
without a number is a warning, and so an error in a strict build.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

logger = logging.getLogger(__name__)


def repository(env: BuildEnvironment) -> Path:
    """The repository that the book's gathered sources lie in."""
    for folder in Path(env.srcdir).parents:
        if (folder / "experiments").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    raise FileNotFoundError(f"no repository with experiments/ above {env.srcdir}")


def digest(env: BuildEnvironment) -> str:
    """What all measured pages depend on: declarations, records, the code that reads them, and names."""
    root, result = repository(env), hashlib.sha256()
    library = "src/genclust/metrics.py", "src/genclust/data/sources.yaml"
    for part in ("experiments", "papers.yaml", "results", "src/genclust/experiments", *library):
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
        head += self.row(nodes.Text(title) for title in ("Left open", "Taken", "Why"))
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
    """Reported numbers beside measured ones, a table a table of the paper.

    ``:table: Table 1`` takes one of them, ``:own:`` leaves out the rows quoted from others.
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {"table": directives.unchanged, "own": directives.flag}

    def run(self) -> list[nodes.Node]:
        from genclust.experiments import verdicts

        note(self.env)
        frame = verdicts()
        paper = self.arguments[0]
        if paper != "all":
            frame = frame[frame["paper"] == paper]
        if "table" in self.options:
            frame = frame[frame["table"] == self.options["table"]]
        if "own" in self.options:
            frame = frame[~frame["quoted"].astype(bool)]
        if frame.empty:
            logger.warning("no verdicts for %s", paper, location=self.get_location(), type="measured")
        return [nodes.raw("", verdict_tables(frame, paper), format="html")]


def verdict_tables(frame: pd.DataFrame, paper: str) -> str:
    """The tables of one paper or, each under the paper's title and in the order of the book, of ``all``."""
    from genclust.experiments.papers import papers

    groups = list(frame.groupby(["paper", "table"], sort=False))
    if paper == "all":
        order = list(papers())
        groups.sort(key=lambda group: order.index(group[0][0]))
    return "\n".join(
        verdict_table(f"{papers()[name].title}, {table}" if paper == "all" else str(table), rows.to_dict("records"))
        for (name, table), rows in groups
    )


def verdict_table(title: str, rows: Iterable[dict[str, Any]]) -> str:
    """One table as HTML; every cell names its column, so that a narrow screen can show it as a card."""
    from genclust.experiments.verdicts import remark
    from genclust.metrics import title as metric

    head = "".join(f"<th>{name}</th>" for name in ("Row", "Data", "Metric", "Paper", "Measured", "Verdict"))
    lines = [
        '<div class="verdicts"><table class="verdict-table">',
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>",
    ]
    for row in rows:
        verdict = str(row["verdict"])
        badge = f'<span class="verdict {verdict.replace(" ", "-")}">{escape(verdict)}</span>'
        if remark(row):
            badge = f'<span>{badge} <small class="stand-in">{remark(row)}</small></span>'
        cells = {
            "Row": escape(text(row, "label") or text(row, "row")),
            "Data": data(row),
            "Metric": escape(metric(text(row, "metric"))),
            "Paper": spread(row, "reported") or "–",
            "Measured": measured(row),
            "Verdict": badge,
        }
        lines.append("<tr>" + "".join(f'<td data-label="{key}">{cell}</td>' for key, cell in cells.items()) + "</tr>")
    lines.append("</tbody></table></div>")
    return "\n".join(lines)


def text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def data(row: dict[str, Any]) -> str:
    from genclust.experiments.papers import dataset_title

    shown = escape(dataset_title(text(row, "dataset")))
    if stand_in := text(row, "stand_in"):
        relation = "of" if row["fidelity"] == "subset" else "for"
        measured_on = escape(dataset_title(stand_in))
        return f'<span>{measured_on} <small class="stand-in">{relation} {shown}</small></span>'
    return shown


def spread(row: dict[str, Any], which: str) -> str:
    mean, sd = row.get(f"{which}_mean"), row.get(f"{which}_sd")
    if which == "reported" and text(row, "below"):
        return f"{escape(text(row, 'name'))} <small>(below {row['below']:g})</small>"
    if which == "reported" and text(row, "above"):
        return f"{escape(text(row, 'name'))} <small>(above {row['above']:g})</small>"
    if mean is None or math.isnan(mean):
        return ""
    shown = f"{mean:.2f}".replace("-", "−")
    if sd is not None and not math.isnan(sd):
        shown += f" <small>± {sd:.2f}</small>"
    return f'<span class="number">{shown}</span>'


def measured(row: dict[str, Any]) -> str:
    shown = spread(row, "measured")
    if not shown:
        return "–"
    details = []
    count = row.get("n_seeds")
    if count is not None and not math.isnan(count) and count > 1:
        details.append(f"{int(count)} seeds")
    profile = text(row, "profile")
    if profile and profile != "paper":
        details.append(f"profile {escape(profile)}")
    return f'<span>{shown} <small class="seeds">{", ".join(details)}</small></span>' if details else shown


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
    app.connect("env-get-outdated", outdated)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
