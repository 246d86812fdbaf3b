"""Tables, numbers for figures, and sentences of the page on missed numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from IPython.display import Markdown

from genclust.experiments.papers import dataset_title, paper
from genclust.experiments.planning import paces
from genclust.experiments.store import published
from genclust.experiments.verdicts import number
from genclust.figures.tails import TailPanel
from genclust.metrics import title as metric_title
from genclust.pages import speed
from genclust.pages.costs import Price, Rates
from genclust.pages.guide import SAME
from genclust.pages.missed import (
    KINDS,
    RISING,
    TO_THE_END,
    Missed,
    Outlook,
    error,
    missed,
    predicted,
    steps_at,
    trials_near,
)
from genclust.pages.missed import outlook as outlook_of
from genclust.pages.tails import QUANTITIES, SHAPES, Trial, trials
from genclust.wording import counted, with_sd

#: Points of accuracy by which a curve may move and still counts as flat, in the test of that rule.
FLAT = 5.0
#: Generated data, which most of the published configurations are of.
GENERATED = "arcs"
#: Steps for which the table of errors has lines.
STEPS = (500, 2000, 8000, 32000)
#: Steps from which on predictions are shown one by one.
WORTHWHILE = 1000
_NUMBER = re.compile(r"\{measured\}`([^`]+)`")


@dataclass(frozen=True)
class Gaps:
    """What the page shows: the rows with missed numbers, trials of the fits, and what tells the cost of runs."""

    rows: tuple[Missed, ...]
    trials: tuple[Trial, ...]
    rates: Rates

    @classmethod
    def read(cls) -> Gaps:
        """All of it, from the published store and the results of the benchmarks.

        Raises:
            StoreError: if a record is damaged.
            ResultsError: if results of the benchmarks are missing or damaged.
        """
        records = list(published().every())
        results = {name: speed.read("benchmarks/results", name)["measurements"] for name in ("networks", "products")}
        rates = Rates(paces(records), results["networks"]["networks"], results["products"]["products"])
        return cls(tuple(missed()), tuple(trials(records)), rates)

    def of_paper(self, paper: str) -> list[Missed]:
        """Rows of one paper."""
        return [one for one in self.rows if one.paper == paper]

    def outlook(self, one: Missed) -> Outlook:
        """What the learning curves of a row say."""
        return outlook_of(one, self.trials)

    def price(self, one: Missed) -> Price | None:
        """Cost of the row at the paper's size, with the changes of the declared experiment; None if that was run."""
        if one.is_at_papers_size:
            return None
        return self.rates.price(one.target, one.at_papers_size, steps_at(one.at_papers_size))

    def finding(self) -> str:
        """Paragraph on how many numbers were missed by too little training, and how many in spite of enough."""
        told = {one.row.place: self.outlook(one) for one in self.rows}
        short = [one for one in self.rows if told[one.row.place].short]
        whole = [one for one in self.rows if not told[one.row.place].short]
        parts = [100 * one.steps / steps_at(one.target.config("paper")) for one in short]
        rising = sum(told[one.row.place].kind == RISING for one in short)
        trained_out = [one for one in whole if told[one.row.place].kind == TO_THE_END]
        elsewhere = [one for one in trained_out if one.verdicts[0].verdict == "surrogate data"]
        over = [one for one in trained_out if one not in elsewhere]
        by_paper = {one.paper: "; ".join(name(o, self.rows) for o in over if o.paper == one.paper) for one in over}
        names = ", ".join(f"{paper(short_name).title} ({rows})" for short_name, rows in by_paper.items())
        text = (
            f"{counted(len(self.rows), 'row')} of the papers' own models were measured and are not, or not in all "
            f"numbers, reproduced. **{len(short)} were too short**"
        )
        if short:
            text += f": they made {min(parts):.0f} to {max(parts):.0f} % of the steps of a run at the paper's size. "
            text += f"{rising} of them {'was' if rising == 1 else 'were'} still rising when training ended, by the "
            text += "rule below; for the others the rule gives no answer. "
        text += f"**{len(over)} ran at the paper's size and were trained to the end**"
        text += f", {names}: more of the same training is not expected to bring what they miss. " if over else ". "
        if elsewhere:
            where = "; ".join(name(one, self.rows) for one in elsewhere)
            text += f"{len(elsewhere)} more ({where}) did so on surrogate data, and the number is not compared. "
        if rest := len(whole) - len(trained_out):
            text += f"{rest} ran at that size, and their curves do not tell."
        return text.strip()

    def cost(self, teraflops: float) -> str:
        """Sentences on what running all rows of the page at the papers' size would take."""
        prices = [price for one in self.rows if (price := self.price(one)) is not None]
        hours = sum(price.core_hours for price in prices)
        by_records = sum(price.core_hours for price in prices if price.told_by == "records")
        minutes = sum(price.minutes_at(teraflops) for price in prices)
        return (
            f"At the papers' size these rows would take about {hours:,.0f} core-hours. For {by_records:,.0f} of these "
            "hours the estimate comes from records of the same networks. For the others it comes from the number of "
            "operations and the rate that a benchmark measured for a network of the same kind, on one core. "
            f"At {teraflops:g} · 10¹² operations per second an accelerator would take {minutes / 60:,.0f} hours. This "
            "is arithmetic, not a measurement, and small networks do not reach such rates."
        )

    def table(self, teraflops: float) -> pd.DataFrame:
        """Table of the rows: the paper's number, the measured one, what the curve says, and what a full run costs."""
        lines = []
        for one in self.rows:
            verdict, price = one.verdicts[0], self.price(one)
            link = f'<a href="../verdicts.html#{verdict.anchor}">{escape(name(one, self.rows))}</a>'
            metric = escape(metric_title(verdict.metric))
            reached = verdict.lost or with_sd(verdict.measured_mean, verdict.measured_sd)
            lines.append(
                {
                    "Row": f'<div style="min-width: 10em">{link}<br><small>{metric}</small></div>',
                    "Paper": _wanted(one),
                    "Measured": f"{reached}<br><small>{escape(_runs(one))}</small>",
                    "What its training says": _emphasised(self.outlook(one)),
                    "Core-hours": f"{price.core_hours:,.1f}" if price else "–",
                    "Accelerator, minutes": _minutes(price.minutes_at(teraflops)) if price else "–",
                }
            )
        return pd.DataFrame(lines)

    def panels(self, paper: str) -> dict[str, TailPanel]:
        """Learning curves of the rows of a paper with their fitted tails, for a figure.

        The tails of rising curves only, and to twice the epochs where a prediction is made.
        """
        found = {}
        for one in self.of_paper(paper):
            verdict, tail = one.verdicts[0], None
            if (curve := one.curve) is None or verdict.measured_mean is None:
                continue
            if curve.is_told and curve.is_rising:
                until = (2 if isinstance(predicted(curve, self.trials), tuple) else 1) * curve.length
                epochs = np.geomspace(curve.epochs[curve.in_tail][0], until, 60)
                tail = epochs, np.mean([of_seed(epochs) for of_seed in curve.tails()], axis=0)
            wanted = next(v for v in (verdict.reported_mean, verdict.below, verdict.above) if v is not None)
            found[name(one, self.rows)] = TailPanel(curve.epochs, curve.values, verdict.measured_mean, wanted, tail)
        return found

    def causes(self, paper: str) -> Markdown:
        """Likeliest causes of the missed numbers of a paper, and the experiment that tells them apart."""
        return Markdown(causes(self.of_paper(paper)))

    def predictions(self) -> dict[str, list[tuple[float, float]]]:
        """Expected and measured gains of the bound after ``WORTHWHILE`` steps or more, by data set, for a figure."""
        found: dict[str, list[tuple[float, float]]] = {}
        for one in self.trials:
            if one.quantity == "bound" and one.rising and one.steps >= WORTHWHILE:
                pairs = found.setdefault(dataset_title(SAME.get(one.data, one.data)), [])
                pairs.append((one.expected["power law"], one.measured))
        return found

    def errors(self) -> pd.DataFrame:
        """Table of the errors of predictions, by the steps that were shown, and of both shapes and of none."""
        lines = []
        for quantity in QUANTITIES:
            for steps in STEPS:
                told = {shape: error(self.trials, quantity, steps, shape) for shape in (*SHAPES, None)}
                some = trials_near(self.trials, quantity, steps)
                lines.append(
                    {
                        "Curve of the": quantity,
                        "Steps": f"about {steps:,}",
                        "Trials": str(len(some)),
                        "Data sets": str(len({SAME.get(one.data, one.data) for one in some})),
                        **{
                            str(shape or "nothing changes"): "–" if off is None else f"{off:.2f}"
                            for shape, off in told.items()
                        },
                    }
                )
        return pd.DataFrame(lines)

    def flatness(self) -> str:
        """Sentence on how often an accuracy that was flat for one doubling of the epochs stayed so for the next."""
        flat = [one for one in self.trials if one.quantity == "accuracy" and one.before <= FLAT]
        others = [one for one in flat if SAME.get(one.data, one.data) != GENERATED]
        stayed, others_stayed = (sum(one.moved <= FLAT for one in some) for some in (flat, others))
        return (
            f"In {len(flat)} trials the accuracy had moved by {FLAT:g} points at most in the last doubling of the "
            f"epochs (the mean over seeds). In the next one it moved by no more in {stayed} of them; of the "
            f"{len(others)} on other data than the generated arcs, in {others_stayed}."
        )


def _wanted(one: Missed) -> str:
    verdict = one.verdicts[0]
    if verdict.reported_mean is not None:
        return with_sd(verdict.reported_mean, verdict.reported_sd)
    bound = f"above {verdict.above:g}" if verdict.below is None else f"below {verdict.below:g}"
    return f"{bound}<br><small>our threshold</small>"


def _runs(one: Missed) -> str:
    parts = [counted(len(one.records), "seed")]
    if one.profile != "paper":
        parts.append(one.profile)
    if stand_in := one.verdicts[0].stand_in:
        parts.append(f"on {dataset_title(stand_in)}")
    return ", ".join(parts)


def _minutes(value: float) -> str:
    return f"{value:,.1f}" if value >= 0.05 else "below 0.1"


def _emphasised(outlook: Outlook) -> str:
    text = f'<div style="min-width: 13em">{escape(outlook.text)}</div>'
    for words in ("Too short", *(kind.capitalize() for kind in KINDS)):
        text = text.replace(words, f"<strong>{words}</strong>", 1)
    return text


# ---- the causes, for this page and the chapters


def causes(rows: Sequence[Missed]) -> str:
    """Causes, what speaks for them, and the experiment that tells them apart, as Markdown.

    Args:
        rows: rows of one paper with missed numbers; those with the same causes stand together.

    Raises:
        KeyError: if a text names a number that is not published.
    """
    groups: list[list[Missed]] = []
    for one in rows:
        for group in groups:
            if one.gap is not None and group[0].gap is not None and one.gap.causes == group[0].gap.causes:
                group.append(one)
                break
        else:
            groups.append([one])
    return "\n\n".join(_group(group, rows) for group in groups)


def _group(group: Sequence[Missed], rows: Sequence[Missed]) -> str:
    title, gap = "; ".join(name(one, rows) for one in group), group[0].gap
    if gap is None:
        return f"**{title}**\n\nIts causes have not been looked at."
    numbered = [f"{i}. *{with_numbers(c.cause)}* {with_numbers(c.support)}" for i, c in enumerate(gap.causes, 1)]
    parts = [f"**{title}**", "\n".join(numbered), f"What would tell: {with_numbers(gap.experiment)}"]
    if commands := [command(one) for one in group if not one.is_at_papers_size]:
        parts += ["At the paper's size:", "\n".join(["```bash", *commands, "```"])]
    return "\n\n".join(parts)


def name(one: Missed, rows: Sequence[Missed]) -> str:
    """Label of a row, with its data where several of the rows of its paper have it."""
    labels = Counter(other.row.label for other in rows if other.paper == one.paper)
    return one.row.label if labels[one.row.label] == 1 else f"{one.row.label}, {dataset_title(one.row.dataset)}"


def with_numbers(text: str) -> str:
    """Text of a declaration with its published numbers.

    Raises:
        KeyError: if a number is not published.
    """
    return _NUMBER.sub(lambda found: number(found[1]), text)


def command(one: Missed) -> str:
    """Command that runs a row at the paper's size, with the changes of the declared experiment."""
    changes = one.gap.settings if one.gap else {}
    assignments = [
        f" --set {section}.{key}={value}" for section, held in changes.items() for key, value in held.items()
    ]
    target = one.target
    return f"genclust run {target.experiment} --row {target.name} --profile paper{''.join(assignments)}"
