"""What a notebook asks for: the records of a row, from a store or from a run."""

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
    """The records of one row, by seed; none where the row is quoted or was not run.

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
    """The records of a row: shown at once where a store has them, run and kept where not.

    Args:
        experiment: the experiment's name, such as ``simple-table1``.
        row: the row's name, such as ``proposed-mnist``.
        profile: ``demo``, ``quick``, ``long`` or ``paper``; or ``published``: the most faithful profile that
            has been published, which never trains.  With other settings or seeds there is nothing published, and
            ``demo`` is run, which is said.
        seeds: such as ``"0-9"``; those of the profile if None.
        overrides: settings by section, such as ``{"model": {"n_clusters": 14}}``.
        device: where missing runs are trained.

    Raises:
        SettingError: for unknown names or settings out of range, before anything is computed.
    """
    declared = load(experiment).row(row)
    changes = {
        section: kept
        for section, values in (overrides or {}).items()
        if (kept := {name: value for name, value in values.items() if value not in (None, "")})
    }
    if profile == "published":
        if not changes and not seeds:
            shown, found = published_records(declared)
            # What was trained longer than the rows beside it cannot be compared with them.
            alone = shown == "long" and common_profile(experiment) != "long"
            return published_records(declared, "quick")[1] if alone else found
        profile = "demo"
        _say_that_it_is_demo()
    if declared.settings is not None and declared.settings["model"]["name"] in BASELINES:
        changes = {"data": changes["data"]} if "data" in changes else {}
    wanted = parse_seeds(seeds) if isinstance(seeds, str) and seeds else seeds or None
    task = task_for(declared, parse_profile(profile), wanted, changes)
    return run(task, own(), device=device, also_look_in=in_repository())


@dataclass(frozen=True)
class Asked:
    """What the parameters of a notebook ask for, of all the rows that it shows.

    Attributes:
        profile, seeds, device: as for :func:`records`.
        data, model, training: settings in place of the declared ones; None and "" leave a setting as declared.
        only_for: more of them, by section, for the rows of one model: ``{"cagem": {"model": {"alpha": 0.1}}}``.
    """

    profile: str = "published"
    seeds: str = ""
    device: str = "cpu"
    data: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    only_for: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def row(self, experiment: str, name: str) -> Runs:
        """The records of one row."""
        row = load(experiment).row(name)
        if row.settings is None:
            return Runs(row)
        changes = {"data": self.data, "model": self.model, "training": self.training}
        changes = merge(changes, self.only_for.get(row.settings["model"]["name"], {}))
        return Runs(row, records(experiment, name, self.profile, self.seeds, changes, self.device))

    def rows(self, experiment: str, names: str = "") -> dict[str, Runs]:
        """The records of several rows of an experiment by the rows' names, such as ``"k7,k10"``; of all by default."""
        wanted = [name.strip() for name in names.split(",")] if names else load(experiment).rows
        return {name: self.row(experiment, name) for name in wanted}

    def places(self, places: Mapping[str, str]) -> dict[str, Runs]:
        """The records of rows of several experiments, each an ``experiment/row`` with the label that it has here."""
        found = {label: self.row(*place.split("/")) for label, place in places.items()}
        return {label: Runs(replace(runs.row, label=label), runs) for label, runs in found.items()}

    def at(self, profile: str) -> Asked:
        """The same at another profile."""
        return replace(self, profile=profile)


def having_runs(found: Mapping[str, Runs]) -> dict[str, Runs]:
    """The rows that have records."""
    return {name: runs for name, runs in found.items() if runs}


def published_rows(experiment: str, profile: Profile) -> dict[str, Runs]:
    """The rows of which records are published under the profile, by name."""
    rows = load(experiment).rows.values()
    return having_runs({row.name: Runs(row, published_records(row, profile)[1]) for row in rows})


@cache
def _say_that_it_is_demo() -> None:
    """Once, however many rows a notebook asks for."""
    print("Changed settings or seeds: run at profile demo, on small data; name a profile for the data of the paper.")


def common_profile(experiment: str) -> Profile | None:
    """The most faithful profile in which every row of an experiment is published, for pictures of all rows together.

    Row by row, `records` may find one row under ``paper`` and its neighbour under ``quick``.
    """
    rows = load(experiment).runnable
    for profile in PROFILES:
        if all(
            profile in row.profiles and len(published_records(row, profile)[1]) == len(row.seeds(profile))
            for row in rows
        ):
            return profile
    return None
