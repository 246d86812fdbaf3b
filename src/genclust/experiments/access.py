"""Records of the rows that a notebook shows, read from a store or made by a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from genclust.experiments.declaration import PROFILES, Profile, Row, load, parse_profile, parse_seeds
from genclust.experiments.execution import run, task_for
from genclust.experiments.store import Record, in_repository, own
from genclust.experiments.verdicts import published_records
from genclust.models import BASELINES
from genclust.settings import merge


class Runs(list[Record]):
    """List of the records of one row, one per seed; empty if the row is quoted or was not run.

    Attributes:
        row: the declared row.
    """

    def __init__(self, row: Row, found: Iterable[Record] = ()) -> None:
        super().__init__(found)
        self.row = row


def records(
    experiment: str,
    row: str,
    profile: str = "published",
    seeds: str | Sequence[int] = "",
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "cpu",
) -> list[Record]:
    """Records of a row, one per seed, read from the stores; seeds without a record are run and stored first.

    Args:
        experiment: the experiment's name, such as ``simple-table1``.
        row: the row's name, such as ``proposed-mnist``.
        profile: ``demo``, ``quick``, ``long`` or ``paper``; or ``published``: the most faithful profile that
            has been published, which never trains.  Changed settings or seeds have no published records; then
            ``demo`` is run, and a message says so.
        seeds: seeds such as ``"0-9"``; by default those of the profile.
        overrides: settings by section, such as ``{"model": {"n_clusters": 14}}``.
        device: device on which missing runs are trained.

    Raises:
        SettingError: for unknown names or settings out of range, before anything is computed.
    """
    declared = load(experiment).row(row)
    changes = {
        section: given
        for section, values in (overrides or {}).items()
        if (given := {name: value for name, value in values.items() if value not in (None, "")})
    }
    if profile == "published":
        if not changes and not seeds:
            shown, published = published_records(declared)
            # What was trained longer than the rows beside it cannot be compared with them.
            alone = shown == "long" and common_profile(experiment) != "long"
            return published_records(declared, "quick")[1] if alone else published
        profile = "demo"
        _say_that_it_is_demo()
    if declared.settings is not None and declared.settings["model"]["name"] in BASELINES:
        changes = {"data": changes["data"]} if "data" in changes else {}
    wanted = parse_seeds(seeds) if isinstance(seeds, str) and seeds else seeds or None
    task = task_for(declared, parse_profile(profile), wanted, changes)
    return run(task, own(), device=device, also_look_in=in_repository())


@dataclass(frozen=True)
class Asked:
    """Request of a notebook for all its rows: profile, seeds, device and settings.

    Attributes:
        profile, seeds, device: as for :func:`records`.
        data, model, training: settings in place of the declared ones; None and "" leave a setting as declared.
        only_for: further settings by section, for the rows of one model: ``{"cagem": {"model": {"alpha": 0.1}}}``.
    """

    profile: str = "published"
    seeds: str = ""
    device: str = "cpu"
    data: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    only_for: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def row(self, experiment: str, name: str) -> Runs:
        """Records of one row under this request."""
        row = load(experiment).row(name)
        if row.settings is None:
            return Runs(row)
        changes = {"data": self.data, "model": self.model, "training": self.training}
        changes = merge(changes, self.only_for.get(row.settings["model"]["name"], {}))
        return Runs(row, records(experiment, name, self.profile, self.seeds, changes, self.device))

    def rows(self, experiment: str, names: str = "") -> dict[str, Runs]:
        """Records of several rows of an experiment, by row name; ``names`` is such as ``"k7,k10"``, by default all."""
        wanted = [name.strip() for name in names.split(",")] if names else load(experiment).rows
        return {name: self.row(experiment, name) for name in wanted}

    def places(self, places: Mapping[str, str]) -> dict[str, Runs]:
        """Records of rows of several experiments, by label; ``places`` maps each label to an ``experiment/row``."""
        runs_by_label = {label: self.row(*place.split("/")) for label, place in places.items()}
        return {label: Runs(replace(runs.row, label=label), runs) for label, runs in runs_by_label.items()}

    def at(self, profile: str) -> Asked:
        """The same request at another profile."""
        return replace(self, profile=profile)


def having_runs(found: Mapping[str, Runs]) -> dict[str, Runs]:
    """Rows that have at least one record."""
    return {name: runs for name, runs in found.items() if runs}


def published_rows(experiment: str, profile: Profile) -> dict[str, Runs]:
    """Published records of all rows of an experiment at a profile, by row name; rows without any are left out."""
    rows = load(experiment).rows.values()
    return having_runs({row.name: Runs(row, published_records(row, profile)[1]) for row in rows})


@cache
def _say_that_it_is_demo() -> None:
    """Print that changed settings are run at profile ``demo``; once, however many rows a notebook requests."""
    print("Changed settings or seeds: run at profile demo, on small data; name a profile for the data of the paper.")


def common_profile(experiment: str) -> Profile | None:
    """Most faithful profile at which all seeds of every row of an experiment are published; None without.

    Figures of all rows together need it, since `records` may find one row under ``paper`` and the next under ``quick``.
    """
    rows = load(experiment).runnable
    for profile in PROFILES:
        if all(
            profile in row.profiles and len(published_records(row, profile)[1]) == len(row.seeds(profile))
            for row in rows
        ):
            return profile
    return None
