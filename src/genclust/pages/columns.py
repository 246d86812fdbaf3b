"""Tables with a line for each row of an experiment, put together from columns.

A column is a function from the records of a row to the content of its cell; a table maps headings to columns::

    table(asked.rows("gmvae-which"), {"": label, "KL of z (nats)": at_end("kl_z"), "seeds": count})
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genclust.experiments.access import Runs
from genclust.experiments.planning import seconds_per_step
from genclust.experiments.store import Record
from genclust.metrics import named
from genclust.pages.tables import UNLABELLED, difference, measured, reported, seeds_of, with_content
from genclust.wording import signed

Column = Callable[[Runs], Any]


def table(found: Mapping[str, Runs], columns: Mapping[str, Column]) -> pd.DataFrame:
    """Table with one line per row and one column per heading; columns that what was run has nothing for are left out.

    Args:
        found: the records of the rows, in the order of the lines.
        columns: functions that compute the cells, by the heading of their column.
    """
    lines = [{heading: column(runs) for heading, column in columns.items()} for runs in found.values()]
    shown = pd.DataFrame(lines, columns=list(columns))
    return with_content(shown) if any(found.values()) else shown


def label(runs: Runs) -> str:
    """Label of the row."""
    return runs.row.label


def short(runs: Runs) -> str:
    """Label of the row without the part in brackets."""
    return runs.row.label.split(" (")[0]


def paper(runs: Runs) -> str:
    """First number that the paper reports for the row."""
    return reported(next(iter(runs.row.reported), None))


def seeds(runs: Runs) -> str:
    """Number of seeds of the row with their profile; see :func:`genclust.pages.tables.seeds_of`."""
    return seeds_of(runs.row, runs)


def count(runs: Runs) -> int | str:
    """Number of seeds of the row, or "not run"."""
    return len(runs) or "not run"


def dataset(runs: Runs) -> str:
    """Name of the data set of the row's records."""
    return runs[0].data_name if runs else ""


def scored(run: Record, metric: str) -> str:
    """Score of one run as the end of a title, such as ``, ACC (exemplar) 64.5 %``; empty where it was not measured."""
    return f", {named(metric).heading} {run.metrics[metric]:.1f} %" if metric in run.metrics else ""


def samples(runs: Runs) -> str:
    """Number of importance samples of the log-likelihood."""
    return f"{runs[0].metrics['test.log_likelihood_samples']:,.0f}" if runs else ""


def mean_sd(metric: str, digits: int = 2) -> Column:
    """Column with ``mean ± sd`` of a metric over the seeds."""
    return lambda runs: measured(runs, metric, digits)


def mean(metric: str, digits: int = 2) -> Column:
    """Column with the mean of a metric over the seeds, without the standard deviation."""
    return lambda runs: measured(runs, metric, digits).split(" ± ")[0]


def median(metric: str, digits: int = 1) -> Column:
    """Column with the median of a metric over the seeds."""

    def column(runs: Runs) -> str:
        middle = float(np.median(values(runs, metric))) if runs else math.nan
        return "–" if math.isnan(middle) else signed(middle, digits)

    return column


def each_seed(metric: str, digits: int = 0, in_order: bool = False) -> Column:
    """Column with the metric of each seed, by seed or, if ``in_order``, in increasing order."""

    def column(runs: Runs) -> str:
        numbers = sorted(values(runs, metric)) if in_order else values(runs, metric)
        return ", ".join("–" if np.isnan(value) else f"{value:.{digits}f}" for value in numbers) or "not run"

    return column


def how_many(metric: str, least: float) -> Column:
    """Column with the number of seeds whose metric is at least ``least``, as in ``3 of 5``."""
    return lambda runs: f"{sum(value >= least for value in values(runs, metric))} of {len(runs)}"


def scores(*names: str, digits: int = 1, unless: str = "") -> dict[str, Column]:
    """Columns with ``mean ± sd`` of test scores under their usual headings, and of what replaces them without labels.

    Args:
        names: names of the scores, such as ``acc_hungarian``.
        digits: number of decimals.
        unless: metric; rows where it was measured get a dash in place of the scores.
    """

    def column(name: str) -> Column:
        return lambda runs: "–" if runs and unless in runs[0].metrics else measured(runs, f"test.{name}", digits)

    without_labels = {heading: cell for heading, cell in UNLABELLED.items() if heading != "clusters in use"}
    return {named(f"test.{name}").heading: column(name) for name in names} | without_labels


def above(base: Sequence[Record] | Callable[[Runs], Sequence[Record]], metric: str) -> Column:
    """Column with the difference of a metric's mean to that of other records, with Welch's 95 % interval.

    Args:
        base: the other records, or a function that returns those of each row; a row compared with itself gets a dash.
        metric: name of the metric.
    """

    def column(runs: Runs) -> str:
        others = base(runs) if callable(base) else base
        return "–" if others is runs else difference(runs, others, metric)

    return column


def minutes(digits: int = 1) -> Column:
    """Column with the minutes of training per seed, averaged over the seeds."""
    return lambda runs: f"{np.mean([run.seconds for run in runs]) / 60:.{digits}f}"


def step_ms(runs: Runs) -> str:
    """Milliseconds per training step of one seed, averaged over the seeds."""
    return f"{1000 * np.mean([seconds_per_step(run) for run in runs]):.0f}"


def labelled(found: Mapping[str, Runs]) -> dict[str, Runs]:
    """Rows whose records were scored with labels."""
    return {name: runs for name, runs in found.items() if runs and not runs[0].lacks_labels}


def values(runs: Sequence[Record], metric: str) -> list[float]:
    """Metric of each record; NaN where it was not measured."""
    return [run.metric(metric) for run in runs]


# ---- the terms of the objective on validation images, at the end of training


def last_point(runs: Sequence[Record]) -> dict[str, float]:
    """Last point of the learning curves, averaged over the seeds, by quantity.

    Without the quantities that a seed lacks, as a diverged one does: a mean of the others would be too good.
    """
    means = pd.DataFrame([run.curve[-1] for run in runs]).mean(skipna=False).dropna()
    return {str(name): value for name, value in means.items()}


def at_end(term: str, digits: int = 2, or_else: str = "") -> Column:
    """Column with a quantity of the learning curves after the last epoch, averaged over seeds; a dash without.

    Args:
        term: name of the quantity in the curves.
        digits: number of decimals.
        or_else: name of the quantity in the curves of other models.
    """

    def column(runs: Runs) -> str:
        point = last_point(runs)
        value = point.get(term, point.get(or_else))
        return "–" if value is None else signed(value, digits)

    return column


def each_at_end(quantity: str, digits: int = 1) -> Column:
    """Column with a quantity of each seed's learning curve after the last epoch."""
    return lambda runs: ", ".join(
        f"{p[quantity]:.{digits}f}" if quantity in (p := run.curve[-1]) else "–" for run in runs
    )


def divergences(found: Iterable[Sequence[Record]]) -> list[str]:
    """Sorted names of all KL divergences in the learning curves."""
    return sorted({name for runs in found for name in last_point(runs) if name.startswith("kl_")})


def each_divergence(start: str = "kl_", named: bool = False) -> Column:
    """Column with KL divergences after the last epoch, averaged over seeds, in nats.

    Those whose names begin with ``start``, as in ``3.1, 0.2``, or if ``named`` as in ``z1: 3.1, z2: 0.2``.
    """

    def column(runs: Runs) -> str:
        point = last_point(runs)
        names = sorted(name for name in point if name.startswith(start))
        return ", ".join(f"{name.removeprefix('kl_')}: " * named + signed(point[name], 1) for name in names)

    return column


def active_units(runs: Runs) -> str:
    """Number of active latent units in each layer, averaged over the seeds, as in ``z1: 20, z2: 3``."""
    names = sorted(name for name in runs[0].metrics if name.startswith("test.active_"))
    parts = [f"{name.removeprefix('test.active_')}: {np.mean(values(runs, name)):.0f}" for name in names]
    return ", ".join(parts)
