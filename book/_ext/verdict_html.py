"""Tables of verdicts and claims as HTML; cells name their columns, so that a narrow screen can show rows as cards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Any

from genclust.experiments.claims import in_words
from genclust.experiments.papers import dataset_title, papers
from genclust.experiments.verdicts import Verdict
from genclust.metrics import title as metric_title
from genclust.wording import counted


def by_table(verdicts: list[Verdict], with_paper: bool = False) -> str:
    """A table per table of the papers, in the order of the book."""
    ordered = _by_paper(verdicts) if with_paper else sorted(verdicts, key=_is_of_this_book)
    groups = groupby(ordered, key=lambda one: (one.paper, one.table))
    return "\n".join(
        verdict_table(f"{papers()[paper].title}, {table}" if with_paper else table, list(of_table))
        for (paper, table), of_table in groups
    )


def searchable(verdicts: list[Verdict]) -> str:
    """One table of all papers that scrolls in a box of its own, and that ``verdicts.js`` lets one sort and filter."""
    table = verdict_table("", _by_paper(verdicts), with_paper=True)
    return f'<div class="searchable" tabindex="0" role="region" aria-label="All verdicts">{table}</div>'


def _by_paper(verdicts: list[Verdict]) -> list[Verdict]:
    """By paper in the order of the book; of each, its tables and figures before the experiments of this book."""
    order = list(papers())
    return sorted(verdicts, key=lambda one: (order.index(one.paper), _is_of_this_book(one)))


def _is_of_this_book(one: Verdict) -> bool:
    """Whether the experiment is no table or figure of the paper."""
    return not re.match(r"Table|Figure", one.table)


def verdict_table(title: str, verdicts: list[Verdict], with_paper: bool = False) -> str:
    """One table as HTML; every cell names its column, so that a narrow screen can show it as a card."""
    bounds = any(bound(one) for one in verdicts)
    shown = [(cells(one, with_paper), one) for one in verdicts]
    names = [name for name in shown[0][0] if bounds or name != "Our threshold"] if shown else []
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    parts = [f'<table class="verdict-table">{caption}<thead><tr>{head}</tr></thead><tbody>']
    for of_row, one in shown:
        about = {
            "paper": one.paper,
            "data": dataset_title(one.dataset),
            "verdict": one.verdict,
            "profile": one.profile or "none",
        }
        values = "".join(f' data-{key}="{escape(value)}"' for key, value in about.items()) if with_paper else ""
        place = f' id="{escape(one.anchor)}"' if with_paper else ""
        columns = "".join(f'<td data-label="{name}">{of_row[name]}</td>' for name in names)
        parts.append(f"<tr{place}{values}>{columns}</tr>")
    return "\n".join([*parts, "</tbody></table>"])


def cells(one: Verdict, with_paper: bool) -> dict[str, str]:
    """HTML of every cell of a line, by the name of its column."""
    badge = f'<span class="verdict {one.verdict.replace(" ", "-")}">{escape(one.verdict)}</span>'
    if one.remark:
        badge = f'<span>{badge} <small class="stand-in">{one.remark}</small></span>'
    label = escape(one.label)
    if with_paper:
        label = f"<span>{label} <small class='stand-in'>{papers()[one.paper].title}, {one.table}</small></span>"
    return {
        "Row": label,
        "Data": data(one),
        "Metric": escape(metric_title(one.metric)),
        "Paper": spread(one.reported_mean, one.reported_sd) or "–",
        "Our threshold": bound(one),
        "Measured": measured(one),
        "Verdict": badge,
    }


def bound(one: Verdict) -> str:
    """A bound that this project declares where a paper gives no number."""
    for which, value in (("below", one.below), ("above", one.above)):
        if value is not None:
            return f"{escape(one.name)} <small>({which} {value:g})</small>".replace("-", "−")
    return ""


def data(one: Verdict) -> str:
    """What was measured on, and which data set of the paper it stands for."""
    shown = escape(dataset_title(one.dataset))
    if one.stand_in:
        relation = "of" if one.fidelity == "subset" else "for"
        measured_on = escape(dataset_title(one.stand_in))
        return f'<span>{measured_on} <small class="stand-in">{relation} {shown}</small></span>'
    return shown


def spread(mean: float | None, sd: float | None) -> str:
    """A mean with its standard deviation, as far as there is one."""
    if mean is None:
        return ""
    shown = f"{mean:.2f}".replace("-", "−")
    if sd is not None:
        shown += f" <small>± {sd:.2f}</small>"
    return f'<span class="number">{shown}</span>'


def measured(one: Verdict) -> str:
    """The mean of the seeds, or which diverged, with their number and their profile if not the paper's."""
    shown = escape(one.lost or "") or spread(one.measured_mean, one.measured_sd)
    if not shown:
        return "–"
    details = []
    if one.n_seeds > 1:
        details.append(f"{one.n_seeds} seeds")
    if one.profile and one.profile != "paper":
        details.append(f"profile {escape(one.profile)}")
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
