"""Tables of verdicts and claims as HTML; cells name their columns, so that a narrow screen can show rows as cards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Any

from genclust.experiments.claims import in_words
from genclust.experiments.papers import dataset_title, papers
from genclust.experiments.verdicts import remark
from genclust.metrics import title as metric_title
from genclust.wording import counted


def by_table(lines: list[dict[str, Any]], with_paper: bool = False) -> str:
    """A table per table of the papers, in the order of the book."""
    order = list(papers())
    lines = sorted(lines, key=lambda line: order.index(line["paper"]) if with_paper else 0)
    groups = groupby(lines, key=lambda line: (line["paper"], line["table"]))
    return "\n".join(
        verdict_table(f"{papers()[paper].title}, {table}" if with_paper else str(table), list(rows))
        for (paper, table), rows in groups
    )


def searchable(lines: list[dict[str, Any]]) -> str:
    """One table of all papers that scrolls in a box of its own, and that ``verdicts.js`` lets one sort and filter."""
    order = list(papers())
    lines = sorted(lines, key=lambda line: order.index(line["paper"]))
    table = verdict_table("", lines, with_paper=True)
    return f'<div class="searchable" tabindex="0" role="region" aria-label="All verdicts">{table}</div>'


def verdict_table(title: str, rows: list[dict[str, Any]], with_paper: bool = False) -> str:
    """One table as HTML; every cell names its column, so that a narrow screen can show it as a card."""
    bounds = any(bound(row) for row in rows)
    shown = [(cells(row, with_paper), row) for row in rows]
    names = [name for name in shown[0][0] if bounds or name != "Our bound"] if shown else []
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    parts = [f'<table class="verdict-table">{caption}<thead><tr>{head}</tr></thead><tbody>']
    for of_row, row in shown:
        about = {
            "paper": text(row, "paper"),
            "data": dataset_title(text(row, "dataset")),
            "verdict": text(row, "verdict"),
            "profile": text(row, "profile") or "none",
        }
        values = "".join(f' data-{key}="{escape(value)}"' for key, value in about.items()) if with_paper else ""
        place = f' id="{escape(text(row, "anchor"))}"' if with_paper and text(row, "anchor") else ""
        columns = "".join(f'<td data-label="{name}">{of_row[name]}</td>' for name in names)
        parts.append(f"<tr{place}{values}>{columns}</tr>")
    return "\n".join([*parts, "</tbody></table>"])


def cells(row: dict[str, Any], with_paper: bool) -> dict[str, str]:
    """HTML of every cell of a line, by the name of its column."""
    verdict = str(row["verdict"])
    badge = f'<span class="verdict {verdict.replace(" ", "-")}">{escape(verdict)}</span>'
    if remark(row):
        badge = f'<span>{badge} <small class="stand-in">{remark(row)}</small></span>'
    label = escape(text(row, "label") or text(row, "row"))
    if with_paper:
        label = f"<span>{label} <small class='stand-in'>{papers()[row['paper']].title}, {row['table']}</small></span>"
    return {
        "Row": label,
        "Data": data(row),
        "Metric": escape(metric_title(text(row, "metric"))),
        "Paper": spread(row, "reported") or "–",
        "Our bound": bound(row),
        "Measured": measured(row),
        "Verdict": badge,
    }


def bound(row: dict[str, Any]) -> str:
    """A bound that this project declares where a paper gives no number."""
    for which in ("below", "above"):
        if text(row, which):
            return f"{escape(text(row, 'name'))} <small>({which} {row[which]:g})</small>".replace("-", "−")
    return ""


def text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def data(row: dict[str, Any]) -> str:

    shown = escape(dataset_title(text(row, "dataset")))
    if stand_in := text(row, "stand_in"):
        relation = "of" if row["fidelity"] == "subset" else "for"
        measured_on = escape(dataset_title(stand_in))
        return f'<span>{measured_on} <small class="stand-in">{relation} {shown}</small></span>'
    return shown


def spread(row: dict[str, Any], which: str) -> str:
    mean, sd = row.get(f"{which}_mean"), row.get(f"{which}_sd")
    if mean is None or math.isnan(mean):
        return ""
    shown = f"{mean:.2f}".replace("-", "−")
    if sd is not None and not math.isnan(sd):
        shown += f" <small>± {sd:.2f}</small>"
    return f'<span class="number">{shown}</span>'


def measured(row: dict[str, Any]) -> str:
    shown = escape(text(row, "lost")) or spread(row, "measured")
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


def claims_table(found: Iterable[Any], with_anchors: bool) -> str:
    """Claims as HTML: the claim and where it stands, what it rests on, and the verdict."""
    names = ("Claim", "Rests on", "Verdict")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    parts = [f'<table class="verdict-table claims"><thead><tr>{head}</tr></thead><tbody>']
    for one in found:
        where = f"{papers()[one.paper].title}, {one.claim.where}" if with_anchors else one.claim.where
        verdict = f'<span class="verdict {one.verdict.replace(" ", "-")}">{one.verdict}</span>'
        if ground := grounds(one.evidence):
            verdict = f"<span>{verdict} <small class='stand-in'>{escape(ground)}</small></span>"
        evidence = "".join(f"<li>{evidence_in_words(part)}</li>" for part in one.evidence)
        claim = f"{escape(one.claim.text)} <small class='stand-in'>{escape(where)}</small>"
        rests_on = f"<ul>{evidence}</ul>"
        if with_anchors:  # one page has them all, and would be long
            rests_on = f"<details><summary>{counted(len(one.evidence), 'condition')}</summary>{rests_on}</details>"
        values = zip(names, (claim, rests_on, verdict), strict=True)
        columns = "".join(f'<td data-label="{name}">{value}</td>' for name, value in values)
        place = f' id="{escape(one.anchor)}"' if with_anchors else ""
        parts.append(f"<tr{place}>{columns}</tr>")
    return "\n".join([*parts, "</tbody></table>"])


def grounds(evidence: Sequence[Any]) -> str:
    """By which profiles a claim was judged, and on which data if not the paper's; or that nothing was run alike."""
    profiles = [part.profile for part in evidence if part.profile] or ["not run alike yet"]
    data = [f"on {dataset_title(part.stand_in)}" for part in evidence if part.stand_in]
    return ", ".join(dict.fromkeys([*profiles, *data]))


def evidence_in_words(part: Any) -> str:
    """A condition of a claim with what was measured for it, as one line of HTML."""
    what, value, rule, runs = map(escape, in_words(part))
    if not runs:
        return f"{what} {value}; {rule}"
    return f'{what} <span class="number">{value}</span>; {rule} <small>({runs})</small>'
