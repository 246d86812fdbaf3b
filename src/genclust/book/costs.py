"""What the published runs cost, from their records."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from genclust.experiments import declaration
from genclust.experiments.declaration import PROFILES, Row, RunConfig
from genclust.experiments.papers import papers
from genclust.experiments.planning import PROCESSORS, seconds_per_step
from genclust.experiments.store import published

#: Which runs belong together in a line, by headings.
PER_PAPER = {"Paper": "paper", "Profile": "profile"}
PER_EXPERIMENT = {"Experiment": "experiment", "Profile": "profile"}


def runs(experiments: str = "") -> pd.DataFrame:
    """One line for each published record, under the row that declares its settings.

    Args:
        experiments: only what these declare, with commas between them; all by default.

    Columns: ``paper``, ``experiment``, ``row``, ``profile``, ``seed``, ``model``, ``data``, ``processor``, ``threads``,
    ``seconds`` of training, ``core_hours`` (seconds times threads; NaN on a GPU) and ``step_ms``, milliseconds per step
    of one seed (NaN for what has no steps, and for runs that failed).

    Raises:
        SettingError: for the name of an experiment that there is not.
        StoreError: if a record is damaged.
    """
    chosen = [declaration.load(name.strip()).name for name in experiments.split(",") if name.strip()]
    owners = _owners()
    lines = []
    for record in published().every():
        config = RunConfig(**record.config)
        paper, row, profile = owners[config.address]
        if chosen and row.experiment not in chosen:
            continue
        legs = record.provenance.get("training") or [record.provenance]
        threads = max(leg["threads"] for leg in legs)
        trained = bool(config.training) and record.failed_at_step is None
        on_cpu = all(leg["device"] in PROCESSORS for leg in legs)
        lines.append(
            {
                "paper": papers()[paper].title,
                "experiment": row.experiment,
                "row": f"{row.experiment}/{row.name}",
                "profile": profile,
                "seed": record.seed,
                "model": config.model["name"],
                "data": config.data["name"],
                "processor": _processor(legs),
                "threads": threads,
                "seconds": record.seconds,
                "core_hours": threads * record.seconds / 3600 if on_cpu else math.nan,
                "step_ms": 1000 * seconds_per_step(record) if trained else math.nan,
            }
        )
    found = pd.DataFrame(lines)
    order = {"paper": [paper.title for paper in papers().values()], "profile": list(reversed(PROFILES))}
    return found.assign(**{name: pd.Categorical(found[name], values) for name, values in order.items()})


def summary(found: pd.DataFrame) -> str:
    """What all published runs cost, in a sentence or two."""
    hours = found.groupby("paper", observed=True).core_hours.sum()
    row = found.groupby(["row", "profile"], observed=True).core_hours.sum().idxmax()
    first = dearest(found, 1).iloc[0]
    return (
        f"Training the {len(found):,} published runs took {hours.sum():.1f} core-hours, most of them for "
        f"{hours.idxmax()} ({hours.max():.1f}). The row that took most is `{row[0]}` at profile `{row[1]}`: "
        f"{first['Core-hours']} core-hours for {first['Seeds']} seeds."
    )


def _owners() -> dict[str, tuple[str, Row, str]]:
    """Paper, row and profile of every configuration; of rows that share one, the first with runs of its own."""
    found: dict[str, tuple[str, Row, str]] = {}
    for experiment in map(declaration.load, declaration.names()):
        for row in experiment.runnable:
            if not row.run_of:
                for profile in PROFILES:
                    if profile in row.profiles:
                        found.setdefault(row.config(profile).address, (experiment.paper, row, profile))
    return found


def _processor(legs: Sequence[dict[str, str]]) -> str:
    """The GPU, or the processor where the record names it."""
    names = [leg["device"] if leg["device"] not in PROCESSORS else leg.get("processor", "") for leg in legs]
    return ", ".join(dict.fromkeys(name or "not recorded" for name in names))


def cost(found: pd.DataFrame, by: dict[str, str]) -> pd.DataFrame:
    """Runs and core-hours of what belongs together, with all of it in the last line.

    Args:
        found: of `runs`.
        by: the columns that decide what belongs together, by their headings, such as ``PER_PAPER``.
    """
    groups = found.groupby(list(by.values()), observed=True)
    table = groups.agg(Runs=("seed", "size"), hours=("core_hours", "sum")).reset_index()
    table = table.rename(columns={column: heading for heading, column in by.items()}).astype(dict.fromkeys(by, str))
    all_of_it = dict.fromkeys(by, "") | {next(iter(by)): "all", "Runs": len(found), "hours": found.core_hours.sum()}
    table = pd.concat([table, pd.DataFrame([all_of_it])], ignore_index=True)
    return table.assign(**{"Core-hours": table.pop("hours").map("{:.2f}".format)})


def dearest(found: pd.DataFrame, n: int = 10) -> pd.DataFrame:
    """The rows with the most core-hours, all seeds together."""
    groups = found.groupby(["row", "profile"], observed=True).core_hours
    table = groups.agg(seeds="size", hours="sum").reset_index().nlargest(n, "hours")
    return pd.DataFrame(
        {
            "Row": table.row + ", " + table.profile.astype(str),
            "Seeds": table.seeds,
            "Core-hours": table.hours.map("{:.2f}".format),
        }
    )


def steps(found: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds per step of one seed for each model, data set and profile: median, and least to greatest."""
    groups = found.dropna(subset="step_ms").groupby(["model", "data", "profile"], observed=True).step_ms
    table = groups.agg(["median", "min", "max"]).reset_index()
    spread = [f"{_short(low)} to {_short(high)}" for low, high in zip(table["min"], table["max"], strict=True)]
    return pd.DataFrame(
        {
            "Model, data": table.model + ", " + table.data,
            "Profile": table.profile.astype(str),
            "Median": table["median"].map(_short),
            "Range": spread,
        }
    )


def _short(value: float) -> str:
    """Two digits at least, and no more after the point than are told apart."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def machines(found: pd.DataFrame) -> pd.DataFrame:
    """Hours by the clock on each kind of processor."""
    table = found.groupby(["processor", "threads"]).agg(runs=("seed", "size"), seconds=("seconds", "sum")).reset_index()
    return pd.DataFrame(
        {
            "Processor": table.processor,
            "Threads": table.threads,
            "Runs": table.runs,
            "Hours": (table.seconds / 3600).map("{:.2f}".format),
        }
    )
