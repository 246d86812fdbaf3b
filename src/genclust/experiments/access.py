"""What a notebook asks for: the records of a row, from a store or from a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from genclust.experiments.declaration import PROFILES, Profile, load, parse_profile, parse_seeds
from genclust.experiments.execution import run, task_for
from genclust.experiments.store import Record, in_repository, own
from genclust.experiments.verdicts import published_records
from genclust.models import BASELINES


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
