"""Costs of the published runs, from their records, and of runs that are still to be made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from genclust.experiments import declaration
from genclust.experiments.configuration import RunConfig
from genclust.experiments.declaration import PROFILES, Profile, Row
from genclust.experiments.papers import papers
from genclust.experiments.planning import PROCESSORS, pace, seconds_per_step, threads_of
from genclust.experiments.store import published

#: Columns that group runs into lines, by their headings.
PER_PAPER = {"Paper": "paper", "Profile": "profile"}
PER_EXPERIMENT = {"Experiment": "experiment", "Profile": "profile"}


def runs(experiments: str = "") -> pd.DataFrame:
    """Table with one line per published record, under the row that declares its settings.

    Args:
        experiments: names of the experiments to list, separated by commas; all by default.

    Columns: ``paper``, ``experiment``, ``row``, ``profile``, ``seed``, ``model``, ``data``, ``processor``, ``threads``,
    ``seconds`` of training, ``core_hours`` (seconds times threads; NaN on a GPU) and ``step_ms``, milliseconds per step
    of one seed (NaN for what has no steps, and for runs that failed).

    Raises:
        SettingError: if there is no experiment of that name.
        StoreError: if a record is damaged.
    """
    chosen = [declaration.load(name.strip()).name for name in experiments.split(",") if name.strip()]
    owners = _owners()
    lines = []
    for record in published().every():
        config = record.run_config
        row, profile = owners[config.address]
        if chosen and row.experiment not in chosen:
            continue
        legs = record.provenance.get("training") or [record.provenance]
        threads = threads_of(record)
        trained = bool(config.training) and record.failed_at_step is None
        lines.append(
            {
                "paper": papers()[declaration.load(row.experiment).paper].title,
                "experiment": row.experiment,
                "row": row.place,
                "profile": profile,
                "seed": record.seed,
                "model": config.model["name"],
                "data": config.data["name"],
                "processor": _processor(legs),
                "threads": max(leg["threads"] for leg in legs),
                "seconds": record.seconds,
                "core_hours": math.nan if threads is None else threads * record.seconds / 3600,
                "step_ms": 1000 * seconds_per_step(record) if trained else math.nan,
            }
        )
    table = pd.DataFrame(lines)
    order = {"paper": [paper.title for paper in papers().values()], "profile": list(reversed(PROFILES))}
    return table.assign(**{name: pd.Categorical(table[name], values) for name, values in order.items()})


def summary(found: pd.DataFrame) -> str:
    """Sentences on the core-hours of all published runs."""
    hours = found.groupby("paper", observed=True).core_hours.sum()
    row = found.groupby(["row", "profile"], observed=True).core_hours.sum().idxmax()
    first = dearest(found, 1).iloc[0]
    return (
        f"Training the {len(found):,} published runs took {hours.sum():.1f} core-hours, the largest part of them for "
        f"{hours.idxmax()} ({hours.max():.1f}). The row that took most is `{row[0]}` at profile `{row[1]}`: "
        f"{first['Core-hours']} core-hours for {first['Seeds']} seeds."
    )


def _owners() -> dict[str, tuple[Row, Profile]]:
    """Row and profile of every configuration by address; of several rows, the first with runs of its own."""
    owners: dict[str, tuple[Row, Profile]] = {}
    for row, profile in declaration.runs():
        if not row.run_of:
            owners.setdefault(row.config(profile).address, (row, profile))
    return owners


def _processor(legs: Sequence[dict[str, str]]) -> str:
    """Name of the GPU, or of the processor where the record has it."""
    names = [leg["device"] if leg["device"] not in PROCESSORS else leg.get("processor", "") for leg in legs]
    return ", ".join(dict.fromkeys(name or "not recorded" for name in names))


def cost(found: pd.DataFrame, by: dict[str, str]) -> pd.DataFrame:
    """Table of the numbers of runs and core-hours of each group, with the total in the last line.

    Args:
        found: table from `runs`.
        by: columns that define the groups, by their headings, such as ``PER_PAPER``.
    """
    groups = found.groupby(list(by.values()), observed=True)
    table = groups.agg(Runs=("seed", "size"), hours=("core_hours", "sum")).reset_index()
    table = table.rename(columns={column: heading for heading, column in by.items()}).astype(dict.fromkeys(by, str))
    all_of_it = dict.fromkeys(by, "") | {next(iter(by)): "all", "Runs": len(found), "hours": found.core_hours.sum()}
    table = pd.concat([table, pd.DataFrame([all_of_it])], ignore_index=True)
    return table.assign(**{"Core-hours": table.pop("hours").map("{:.2f}".format)})


def dearest(found: pd.DataFrame, n: int = 10) -> pd.DataFrame:
    """Table of the rows with the most core-hours, summed over seeds."""
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
    """Table of milliseconds per step of one seed for each model, data set and profile: median and range."""
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
    """Number as text, with one decimal below 10 and none from there on."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def machines(found: pd.DataFrame) -> pd.DataFrame:
    """Table of the hours of training on each kind of processor."""
    table = found.groupby(["processor", "threads"]).agg(runs=("seed", "size"), seconds=("seconds", "sum")).reset_index()
    return pd.DataFrame(
        {
            "Processor": table.processor,
            "Threads": table.threads,
            "Runs": table.runs,
            "Hours": (table.seconds / 3600).map("{:.2f}".format),
        }
    )


# ---- runs that are still to be made


@dataclass(frozen=True)
class Price:
    """Cost of training some seeds of a configuration, without what evaluations take.

    Attributes:
        core_hours: of all seeds together.
        told_by: ``records`` of the same network, or the rate that the ``benchmark`` measured of one of its kind.
        flop: floating-point operations of the products of all seeds together.
    """

    core_hours: float
    told_by: Literal["records", "benchmark"]
    flop: float

    def minutes_at(self, teraflops: float) -> float:
        """Minutes of an accelerator that sustains so many 10¹² operations per second: arithmetic, not a measurement."""
        return self.flop / (teraflops * 1e12) / 60


@dataclass(frozen=True)
class Rates:
    """What tells the cost of a run.

    Attributes:
        paces: core-seconds per step of networks that were run, see :func:`~genclust.experiments.planning.paces`.
        networks: seconds per step and operations of some networks, as the benchmark ``networks`` measured them.
        products: operations per step of rows at profile ``paper``, as the benchmark ``products`` counted them.
    """

    paces: Mapping[str, float]
    networks: Mapping[str, Any]
    products: Mapping[str, float]

    def price(self, row: Row, config: RunConfig, steps: int) -> Price:
        """Price of the seeds of a row at profile ``paper``.

        Args:
            row: the row.
            config: its configuration, or one with changed settings that leave the size of the network as it is.
            steps: steps of one seed.

        Raises:
            KeyError: if the benchmarks know nothing of the row or its model.
        """
        seeds, flop = len(row.seeds("paper")), self.products[row.place]
        seconds = pace(config, self.paces)
        core_seconds = flop / self._rate(config, flop) if seconds is None else seconds
        told_by: Literal["records", "benchmark"] = "benchmark" if seconds is None else "records"
        return Price(seeds * steps * core_seconds / 3600, told_by, seeds * steps * flop)

    def _rate(self, config: RunConfig, flop: float) -> float:
        """Operations per second of a core in the measured network of the same model that is nearest in size."""
        measured = {
            row: found["variants"]
            for row, found in self.networks["rows"].items()
            if declaration.row_of(row).config("paper").model["name"] == config.model["name"]
        }
        if not measured:
            raise KeyError(f"The benchmark has no network of the model {config.model['name']}.")
        nearest = min(measured.values(), key=lambda variants: abs(math.log(variants["float32"]["flop"] / flop)))
        precision = config.training["precision"]
        names = ("float32", "bf16") if precision == "faster" else (precision,)
        return max(nearest[name]["flop"] / nearest[name]["seconds"]["median"] for name in names)
