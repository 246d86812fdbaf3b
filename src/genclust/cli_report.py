"""What ``genclust run``, ``show``, ``list`` and ``verdicts`` print of records: tables of scores, beside the paper's."""

from __future__ import annotations

import math
import sys

from rich import box
from rich.console import Console
from rich.table import Table

from genclust.experiments import declaration
from genclust.experiments.declaration import Reported, Row
from genclust.experiments.moves import UNREPORTED
from genclust.experiments.naming import profile_of
from genclust.experiments.store import Record
from genclust.experiments.unlabelled import WITHOUT_LABELS, sizes, summary_of
from genclust.experiments.verdicts import (
    NOT_COMPARED,
    LackingMetric,
    data_of,
    is_measured,
    published_records,
    summarise,
)
from genclust.metrics import BEST
from genclust.wording import counted, signed, threshold, with_sd

console = Console(width=None if sys.stdout.isatty() else 140)  # a pipe or a file need not fold words


def plain_table(*columns: str) -> Table:
    """Table without a frame, so that it fits 80 columns; long names are folded rather than cut."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "row")
    return table


def print_records(title: str, row: Row, records: list[Record]) -> None:
    """Print the scores of every seed; without labels what is known of its clusters; and where the records are.

    The paper's numbers, and our thresholds, are printed only where data and settings are the paper's.
    """
    first = records[0]
    notes: list[str] = []
    numbers = {reported.metric: reported for reported in row.reported}
    measured = [metric for metric in numbers or UNREPORTED if is_measured(records, metric.removesuffix(BEST))]
    metrics = measured or [metric for metric in UNREPORTED if is_measured(records, metric)]
    columns: dict[str, list[float]] = {metric: [record.metric(metric) for record in records] for metric in metrics}
    if first.lacks_labels:
        columns = {metric: values for metric, values in columns.items() if metric != "test.clusters_used"}
        columns |= {name: [quantity(record) for record in records] for name, quantity in WITHOUT_LABELS.items()}
    table = Table(title=title, title_justify="left")
    for heading in ("seed", *columns, *(["cluster sizes"] if first.lacks_labels else [])):
        table.add_column(heading, justify="right", overflow="fold")
    for i, record in enumerate(records):
        failed = "" if record.failed_at_step is None else f" (failed at step {record.failed_at_step})"
        cells = ["–" if math.isnan(values[i]) else signed(values[i]) for values in columns.values()]
        table.add_row(f"{record.seed}{failed}", *cells, *([sizes(record)] if first.lacks_labels else []))
    table.add_section()
    means = []
    for name in columns:
        try:
            summary = summary_of(name, records) if name in WITHOUT_LABELS else summarise(records, name)
            means.append("–" if summary is None else with_sd(summary.mean, summary.sd))
        except LackingMetric as lacking:
            means.append("–")
            notes.append(str(lacking))
    table.add_row("mean ± sd", *means)
    if _is_the_papers(row, first):
        beside = [numbers.get(name, Reported(name, name)) for name in columns]  # the paper may have other metrics
        if any(number.mean is not None for number in beside):
            table.add_row("paper", *(with_sd(number.mean, number.sd) for number in beside))
        if any(thresholds := [threshold(number.below, number.above) for number in beside]):
            table.add_row("our threshold", *(text or "–" for text in thresholds))
    console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True, highlight=False)
    if first.data["name"] != row.dataset:
        console.print(f"Measured on {first.data_name}, not on the paper's {row.dataset}.")
    for record in records:
        console.print(f"{record.path}", soft_wrap=True, highlight=False)


def _is_the_papers(row: Row, record: Record) -> bool:
    """Whether data and settings of a record are those of the paper's number."""
    return profile_of(row, record.config) == "paper" and data_of(row, record)[0] not in NOT_COMPARED


def published(row: Row) -> str:
    """Profile and number of seeds of a row's published records; a dash without any."""
    for requested in (None, declaration.parse_profile("demo")):
        profile, records = published_records(row, requested)
        if records:
            return f"{profile}, {counted(len(records), 'seed')}"
    return "–"
