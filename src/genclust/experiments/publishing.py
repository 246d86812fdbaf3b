"""From a user's own store to the published one: whole rows, of committed code only."""

from __future__ import annotations

from collections.abc import Iterator

from genclust.experiments.declaration import Profile, Row
from genclust.experiments.execution import is_committed
from genclust.experiments.store import Record, Store, find
from genclust.settings import SettingError


def publish(row: Row, profile: Profile, source: Store, target: Store) -> list[Record]:
    """Copy the records of all seeds of a row; those that the target has are replaced.

    Raises:
        SettingError: if a seed is missing, was made by code that is not committed or of other data than the others,
            or lacks an evaluation that the record in its place has.  Then nothing is copied.
        StoreError: if a record or its arrays are damaged.
    """
    config, seeds = row.config(profile), row.seeds(profile)
    what = f"{row.experiment}/{row.name} at profile {profile}"
    found = find(config, seeds, [source])
    if missing := [str(seed) for seed in seeds if seed not in found]:
        raise SettingError(
            f"Only whole rows are published, and {source.folder} lacks seed {', '.join(missing)} of {what}; "
            "run them first."
        )
    if unclean := [str(seed) for seed in seeds if not all(map(is_committed, _sources(found[seed])))]:
        raise SettingError(
            f"Seed {', '.join(unclean)} of {what} was made by code that is not committed; "
            "run the row anew, from a commit."
        )
    if len({record.data["digest"] for record in found.values()}) > 1:
        raise SettingError(f"The seeds of {what} are of different data; run the row anew.")
    for seed, record in find(config, seeds, [target]).items():
        if lost := record.evaluations.keys() - found[seed].evaluations.keys():
            raise SettingError(
                f"The published record of seed {seed} of {what} also has {', '.join(sorted(lost))}; "
                "run the rows that ask for it into the same store first."
            )
    arrays = {seed: found[seed].arrays() for seed in seeds}
    return [target.write(found[seed], arrays[seed]) for seed in seeds]


def _sources(record: Record) -> Iterator[str]:
    """The commits of everything that made a record."""
    yield record.provenance["source"]
    for leg in record.provenance.get("training", ()):
        yield leg["source"]
