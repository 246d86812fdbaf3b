"""Copying of records from a user's store to the repository: complete rows are published, single seeds wait.

Both take records of committed code only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from genclust.evaluation.registry import is_picture, without_pictures
from genclust.experiments import declaration
from genclust.experiments.declaration import Profile, Row
from genclust.experiments.provenance import is_committed
from genclust.experiments.store import Record, Store, find
from genclust.settings import SettingError


class NotWhole(SettingError):
    """Error for a row that has nothing to publish: it lacks the profile, a seed, or any seed in the user's stores."""


def publish(row: Row, profile: Profile, sources: Sequence[Store], target: Store) -> list[Record]:
    """Copy a row's records from ``sources`` to the published store, provided that every seed then has one.

    Images that evaluations only draw are copied with the first seed alone.

    Args:
        row: row of an experiment.
        profile: profile that decides configuration and seeds.
        sources: stores to copy from, in this order; a record of the same seed in the target is replaced.
        target: the published store.

    Raises:
        NotWhole, SettingError, StoreError: as :func:`copies`.  Then nothing is copied.
    """
    found = copies(row, profile, sources, target)
    return [target.write(*found[seed]) for seed in sorted(found)]


def copies(
    row: Row, profile: Profile, sources: Sequence[Store], target: Store
) -> dict[int, tuple[Record, dict[str, np.ndarray]]]:
    """Records that :func:`publish` writes, with their arrays, by seed.

    Raises:
        NotWhole: if the row lacks the profile, no source has a seed, or one is missing.
        SettingError: if a seed was made by code that is not committed or of other data than the others, or lacks an
            evaluation that the record in its place has.
        StoreError: if a record or its arrays are damaged.
    """
    if row.settings is not None and profile not in row.profiles:
        raise NotWhole(f"{row.place} has no profile {profile}.")
    config, seeds = row.config(profile), row.seeds(profile)
    what = f"{row.place} at profile {profile}"
    new, old = find(config, seeds, sources), find(config, seeds, [target])
    whole = old | new
    if missing := [str(seed) for seed in seeds if seed not in whole] or ([] if new else [str(seed) for seed in seeds]):
        if len(old) == len(seeds):
            raise NotWhole(f"{what} is published already, and nothing new is there; to replace it, run it with --anew.")
        where = " and ".join(str(store.folder) for store in sources)
        raise NotWhole(
            f"Only whole rows are published, and what is in {where} lacks seed {', '.join(missing)} of {what}; "
            "run them first."
        )
    if unclean := [str(seed) for seed in sorted(new) if not _is_clean(new[seed])]:
        raise SettingError(
            f"Seed {', '.join(unclean)} of {what} was made by code that is not committed; "
            "run the row anew, from a commit."
        )
    if len({record.data["digest"] for record in whole.values()}) > 1:
        raise SettingError(f"The seeds of {what} are of different data; run the row anew.")
    for seed in sorted(old.keys() & new.keys()):
        if lost := _lasting(old[seed]) - _lasting(new[seed]):
            raise SettingError(
                f"The published record of seed {seed} of {what} also has {', '.join(sorted(lost))}; "
                "run the rows that ask for it into the same store first."
            )
    found = {seed: (record, record.arrays()) for seed, record in new.items()}
    return found | {seed: _without_pictures(*found[seed]) for seed in new if seed != seeds[0]}


def keep(source: Store, published: Store, waiting: Store) -> list[Record]:
    """Copy finished seeds of declared rows that are not published to the store where they wait for their row.

    Also seeds that no profile asks for yet, so that a row can be given more of them once they are there.

    Args:
        source: the user's own store; records of code that is not committed are not copied.
        published: the published store.
        waiting: the store for seeds that wait.

    Returns:
        The copied records.

    Raises:
        StoreError: if a record or its arrays are damaged.
    """
    declared = {row.config(profile).address for row, profile in declaration.runs()}
    copies = []
    for record in source.every():
        config = record.run_config
        known = published.read(config, record.seed) or waiting.read(config, record.seed)
        more = known is None or _lasting(record) > _lasting(known)
        if config.address in declared and more and _is_clean(record):
            copies.append(waiting.write(record, record.arrays()))
    return copies


def release(waiting: Store, published: Store) -> None:
    """Delete records from the store of waiting seeds that have been published since.

    Raises:
        StoreError: if a record is damaged.
    """
    for record in list(waiting.every()):
        shown = published.read(record.run_config, record.seed)
        if shown is not None and _lasting(shown) >= _lasting(record):
            waiting.delete(record)


def _lasting(record: Record) -> set[str]:
    """Evaluations of a record whose results are published with every seed."""
    return set(without_pictures(record.evaluations))


def _without_pictures(record: Record, arrays: Mapping[str, np.ndarray]) -> tuple[Record, dict[str, np.ndarray]]:
    evaluations = {name: record.evaluations[name] for name in without_pictures(record.evaluations)}
    return replace(record, evaluations=evaluations), {k: a for k, a in arrays.items() if not is_picture(k)}


def _is_clean(record: Record) -> bool:
    """Whether a record was trained and evaluated by committed code only."""
    return all(map(is_committed, _sources(record)))


def _sources(record: Record) -> Iterator[str]:
    """Source revisions of a record's evaluation and of each leg of its training."""
    yield record.provenance["source"]
    for leg in record.provenance.get("training", ()):
        yield leg["source"]
