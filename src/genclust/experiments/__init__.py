"""Declared experiments, their runs, the records these leave, and the verdicts.

A notebook needs three functions: :func:`records` asks for the runs of a row, :func:`verdicts`
compares them with the paper, :func:`number` gives one of them to the prose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genclust.experiments.declaration import PROFILES, Experiment, Profile, Row, load, names, parse_seeds
from genclust.experiments.execution import run, task_for
from genclust.experiments.store import Record, own, published
from genclust.experiments.verdicts import number, published_records, summarise, verdicts
from genclust.settings import SettingError

__all__ = [
    "PROFILES",
    "Experiment",
    "Profile",
    "Record",
    "Row",
    "load",
    "names",
    "number",
    "published_records",
    "records",
    "summarise",
    "verdicts",
]


def records(
    experiment: str,
    row: str,
    profile: str = "published",
    seeds: str | Sequence[int] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "cpu",
) -> list[Record]:
    """The records of a row: shown at once where a store has them, run and kept where not.

    Args:
        experiment: the experiment's name, such as ``simple-table1``.
        row: the row's name, such as ``proposed-mnist``.
        profile: ``demo``, ``quick`` or ``paper``; or ``published``: the most faithful profile that
            has been published, which never trains.
        seeds: such as ``"0-9"``; those of the profile if None.
        overrides: settings by section, such as ``{"model": {"n_clusters": 14}}``.
        device: where missing runs are trained.

    Raises:
        SettingError: for unknown names or settings out of range, before anything is computed.
    """
    declared = load(experiment).row(row)
    changes = {section: dict(values) for section, values in (overrides or {}).items() if values}
    if profile == "published":
        if not changes and seeds is None:
            return published_records(declared)[1]
        profile = published_records(declared)[0] or "demo"
    if profile not in PROFILES:
        raise SettingError(f"The profile is published, {', '.join(PROFILES)}, not {profile!r}.")
    wanted = parse_seeds(seeds) if isinstance(seeds, str) else seeds
    task = task_for(declared, profile, wanted, changes)  # type: ignore[arg-type]
    return run(task, own(), device=device, also_look_in=[published()])
