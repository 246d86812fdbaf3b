"""``{own-numbers}``, ``{tally}`` and ``{claims-by-paper}``: what the first page shows of all records.

All are drawn as HTML and SVG in the colours of the page, so that they follow a light or dark theme, can be read aloud,
and every row is a link to its place among the verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from docutils import nodes
from measured import note
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

#: Height of a strip, and of its dots, in units of which the strip is 100 wide before it is stretched.
HEIGHT, RADIUS = 20, 3.2


class OwnNumbers(SphinxDirective):
    """Every own number of the papers that was measured: seeds as dots, the paper's number and interval behind them."""

    def run(self) -> list[nodes.Node]:
        from genclust.experiments.papers import papers
        from genclust.metrics import BEST
        from genclust.pages.overview import own_numbers

        note(self.env)
        measured = [one for one in own_numbers() if one.seeds and not one.metric.endswith(BEST)]
        parts = [_group(papers()[name].title, list(of)) for name, of in groupby(measured, key=lambda one: one.paper)]
        legend = (
            '<p class="own-numbers-legend"><span class="seed" aria-hidden="true">●</span> one seed '
            '<span class="paper" aria-hidden="true">▌</span> the paper’s number, with the 95 % interval of its mean '
            "(five runs assumed) where the paper gives a spread. At the right: the mean of our seeds, then the paper’s "
            "number.</p>"
        )
        return [nodes.raw("", f'<div class="own-numbers">{legend}{"".join(parts)}</div>', format="html")]


def _group(title: str, numbers: Sequence[Any]) -> str:
    """All numbers of a paper; those of one metric share an axis."""
    from genclust.experiments.papers import dataset_title
    from genclust.metrics import title as metric_title

    parts = [f"<h4>{escape(title)}</h4>"]
    for unit, rows in groupby(numbers, key=lambda one: "nats" if "likelihood" in one.metric else "per cent"):
        of_axis = list(rows)
        values = [value for one in of_axis for value in (*one.seeds, one.reported_mean, *(one.reported_interval or ()))]
        low, high = _rounded(min(values), max(values))
        if unit == "per cent":
            low, high = max(low, 0), min(high, 100)
        parts.append("<table><tbody>")
        for one in of_axis:
            name = f"{one.label}, {metric_title(one.metric)}"
            where = f"{one.table}, {dataset_title(one.stand_in or one.dataset)}"
            parts.append(
                f'<tr><th scope="row"><a href="verdicts.html#{escape(one.anchor)}">{escape(name)}</a> '
                f"<small>{escape(where)}{'' if one.profile == 'paper' else f', {one.profile}'}</small></th>"
                f'<td>{_strip(one, low, high)}</td><td class="values">{_values(one)}</td></tr>'
            )
        ends = f"<span>{_signed(low)}</span><span>{_signed(high)} {unit}</span>"
        parts.append(f'</tbody><tfoot><tr><th></th><td>{ends}</td><td class="values"></td></tr></tfoot></table>')
    return "".join(parts)


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis: the next multiples of a power of ten times 1 or 5 outside of the values."""
    step = 10 ** math.floor(math.log10(max(high - low, 1e-9)))
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _values(one: Any) -> str:
    """The mean of a row beside the paper's number."""
    mean = "–" if one.measured_mean is None else f"{one.measured_mean:.1f}"
    return f"{mean} <small>paper {one.reported_mean:.1f}</small>".replace("-", "−")


def _strip(one: Any, low: float, high: float) -> str:
    """The seeds of a row as an SVG of dots over the paper's number, with the same in words for who cannot see it."""

    def x(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    words = f"measured {', '.join(f'{seed:.1f}' for seed in one.seeds)}; the paper {one.reported_mean:.1f}"
    words = words.replace("-", "−")
    middle, reported = HEIGHT / 2, x(one.reported_mean)
    parts = [f'<svg role="img" aria-label="{words}" height="{HEIGHT}"><title>{words}</title>']
    if one.reported_interval:
        a, b = (min(max(end, low), high) for end in one.reported_interval)
        parts.append(f'<line class="interval" x1="{x(a)}" x2="{x(b)}" y1="{middle}" y2="{middle}"/>')
    parts.append(f'<line class="reported" x1="{reported}" x2="{reported}" y1="3" y2="{HEIGHT - 3}"/>')
    parts += [f'<circle class="seed" cx="{x(seed)}" cy="{middle}" r="{RADIUS}"/>' for seed in one.seeds]
    return "".join([*parts, "</svg>"])


class Tally(SphinxDirective):
    """How many ``claims``, or reported ``numbers``, have each verdict, as one bar."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        from genclust.pages import overview

        note(self.env)
        of = self.arguments[0]
        counts = {"claims": overview.tally_of_claims, "numbers": overview.tally_of_numbers}[of]()
        return [nodes.raw("", tally(f"reported {of}" if of == "numbers" else of, counts), format="html")]


def tally(what: str, counts: Mapping[str, int]) -> str:
    """One bar of the counts, each part as wide as its share, with a list of them below."""
    total = sum(counts.values())
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    bars: Iterable[str] = (
        f'<span class="part {verdict.replace(" ", "-")}" style="flex-grow: {count}">{count}</span>'
        for verdict, count in counts.items()
    )
    keys: Iterable[str] = (
        f'<li><span class="part {verdict.replace(" ", "-")}"></span> {count} {escape(verdict)}</li>'
        for verdict, count in counts.items()
    )
    return (
        f'<div class="tally"><p>{total} {what}:</p><div class="bar" role="img" aria-label="{escape(words)}">'
        f"{''.join(bars)}</div><ul>{''.join(keys)}</ul></div>"
    )


class ClaimsByPaper(SphinxDirective):
    """How many claims of each paper have each verdict; a paper is a link to its claims."""

    def run(self) -> list[nodes.Node]:
        from genclust.experiments.claims import VERDICTS
        from genclust.experiments.papers import papers
        from genclust.pages.overview import tally_of_claims

        note(self.env)
        counts = {name: (paper.title, tally_of_claims(name)) for name, paper in papers().items()}
        return [nodes.raw("", claims_by_paper(VERDICTS, counts), format="html")]


def claims_by_paper(verdicts: Sequence[str], counts: Mapping[str, tuple[str, Mapping[str, int]]]) -> str:
    """Table of the papers by name, with title and tally of each, over the verdicts."""
    heads = "".join(f'<th scope="col">{escape(verdict)}</th>' for verdict in verdicts)
    rows = "".join(
        f'<tr><th scope="row"><a href="{escape(name)}.html#its-claims-judged">{escape(title)}</a></th>'
        + "".join(f"<td>{of.get(verdict, 0) or '–'}</td>" for verdict in verdicts)
        + "</tr>"
        for name, (title, of) in counts.items()
    )
    return (
        f'<table class="table claims-by-paper"><thead><tr><th scope="col">claims of</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("own-numbers", OwnNumbers)
    app.add_directive("claims-by-paper", ClaimsByPaper)
    app.add_directive("tally", Tally)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
