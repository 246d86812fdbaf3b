"""Tables with a line for each row of an experiment, put together from columns.

A column is a function from the records of a row to what stands in its cell; a table maps headings to columns::

    table(asked.rows("gmvae-which"), {"": label, "KL of z (nats)": at_end("kl_z"), "seeds": count})
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genclust.experiments.access import Runs
from genclust.experiments.planning import seconds_per_step
from genclust.experiments.store import Record
from genclust.experiments.tables import difference, measured, reported, seeds_of, signed
from genclust.metrics import named

Column = Callable[[Runs], Any]


def table(found: Mapping[str, Runs], columns: Mapping[str, Column]) -> pd.DataFrame:
    """One line for each row, one column for each heading.

    Args:
        found: the records of the rows, in the order of the lines.
        columns: what stands in each column, by its heading.
    """
    return pd.DataFrame([{heading: column(runs) for heading, column in columns.items()} for runs in found.values()])


def label(runs: Runs) -> str:
    """The label of the row."""
    return runs.row.label


def short(runs: Runs) -> str:
    """The label of the row without what follows in brackets."""
    return runs.row.label.split(" (")[0]


def paper(runs: Runs) -> str:
    """The first number that the paper reports for the row."""
    return reported(next(iter(runs.row.reported), None))


def seeds(runs: Runs) -> str:
    """How many seeds there are, with their profile; see :func:`genclust.experiments.tables.seeds_of`."""
    return seeds_of(runs.row, runs)


def count(runs: Runs) -> int | str:
    """How many seeds there are, or "not run"."""
    return len(runs) or "not run"


def dataset(runs: Runs) -> str:
    """The data that the records are of."""
    return runs[0].data["name"].replace("_", " ") if runs else ""


def samples(runs: Runs) -> str:
    """The number of importance samples behind the log-likelihood."""
    return f"{runs[0].metrics['test.log_likelihood_samples']:,.0f}" if runs else ""


def mean_sd(metric: str, digits: int = 2) -> Column:
    """``mean ± sd`` of a metric over the seeds."""
    return lambda runs: measured(runs, metric, digits)


def mean(metric: str, digits: int = 2) -> Column:
    """The mean of a metric over the seeds, without their spread."""
    return lambda runs: signed(float(np.mean([run.metrics[metric] for run in runs])), digits) if runs else "–"


def median(metric: str, digits: int = 1) -> Column:
    """The median of a metric over the seeds."""
    return lambda runs: signed(float(np.median(values(runs, metric))), digits) if runs else "–"


def each_seed(metric: str, digits: int = 0, in_order: bool = False) -> Column:
    """The metric of every seed, by seed or, ``in_order``, from the least to the greatest."""

    def column(runs: Runs) -> str:
        found = sorted(values(runs, metric)) if in_order else values(runs, metric)
        return ", ".join(f"{value:.{digits}f}" for value in found) or "not run"

    return column


def how_many(metric: str, least: float) -> Column:
    """How many of the seeds reach a value, as in ``3 of 5``."""
    return lambda runs: f"{sum(value >= least for value in values(runs, metric))} of {len(runs)}"


def scores(*names: str, digits: int = 1, unless: str = "") -> dict[str, Column]:
    """Columns with ``mean ± sd`` of test scores, under their usual headings.

    Args:
        names: of the scores, such as ``acc_hungarian``.
        digits: after the point.
        unless: a metric; there is a dash in place of the scores in rows where it was measured.
    """

    def column(name: str) -> Column:
        return lambda runs: "–" if runs and unless in runs[0].metrics else measured(runs, f"test.{name}", digits)

    return {named(f"test.{name}").heading: column(name) for name in names}


def above(base: Sequence[Record] | Callable[[Runs], Sequence[Record]], metric: str) -> Column:
    """How far the mean of a metric lies above that of other records, with Welch's 95 % interval.

    Args:
        base: the other records; or a function that gives those of each row, where the row's own get a dash.
        metric: of both.
    """

    def column(runs: Runs) -> str:
        others = base(runs) if callable(base) else base
        return "–" if others is runs else difference(runs, others, metric)

    return column


def minutes(digits: int = 1) -> Column:
    """Minutes of training for each seed, in the mean."""
    return lambda runs: f"{np.mean([run.seconds for run in runs]) / 60:.{digits}f}"


def step_ms(runs: Runs) -> str:
    """Milliseconds per step of one seed, in the mean."""
    return f"{1000 * np.mean([seconds_per_step(run) for run in runs]):.0f}"


def values(runs: Sequence[Record], metric: str) -> list[float]:
    """The metric of every record; NaN where it was not measured."""
    return [run.metric(metric) for run in runs]


# ---- the terms of the objective on validation images, at the end of training


def last_point(runs: Sequence[Record]) -> dict[str, float]:
    """The last point of the learning curves, by quantity, in the mean over seeds."""
    return {str(name): value for name, value in pd.DataFrame([run.curve[-1] for run in runs]).mean().items()}


def at_end(term: str, digits: int = 2, or_else: str = "") -> Column:
    """A quantity of the learning curve after the last epoch, in the mean over seeds; a dash where there is none.

    Args:
        term: its name in the curve.
        digits: after the point.
        or_else: the name that it has in the curves of other models.
    """

    def column(runs: Runs) -> str:
        found = last_point(runs)
        value = found.get(term, found.get(or_else))
        return "–" if value is None else signed(value, digits)

    return column


def each_at_end(quantity: str, digits: int = 1) -> Column:
    """A quantity of every seed's learning curve after the last epoch."""
    return lambda runs: ", ".join(f"{run.curve[-1][quantity]:.{digits}f}" for run in runs)


def divergences(found: Iterable[Sequence[Record]]) -> list[str]:
    """The names of all divergences in the learning curves, sorted."""
    return sorted({name for runs in found for name in last_point(runs) if name.startswith("kl_")})


def each_divergence(start: str = "kl_", named: bool = False) -> Column:
    """The divergences whose names begin so, after the last epoch, in nats: ``3.1, 0.2``, or ``z1: 3.1, z2: 0.2``."""

    def column(runs: Runs) -> str:
        found = last_point(runs)
        names = sorted(name for name in found if name.startswith(start))
        return ", ".join(f"{name.removeprefix('kl_')}: " * named + f"{found[name]:.1f}" for name in names)

    return column


def active_units(runs: Runs) -> str:
    """How many units of every layer are active, in the mean over seeds, as in ``z1: 20, z2: 3``."""
    names = sorted(name for name in runs[0].metrics if name.startswith("test.active_"))
    parts = [f"{name.removeprefix('test.active_')}: {np.mean(values(runs, name)):.0f}" for name in names]
    return ", ".join(parts)
