"""Published trained models: one seed of a row, the one with the median bound, with a card that says what it is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from genclust.data.catalogue import source_of
from genclust.estimators import saving
from genclust.estimators.base import DeepEstimator
from genclust.experiments.declaration import Profile, Row
from genclust.experiments.execution import weights_of
from genclust.experiments.store import Record, Store, find, published
from genclust.experiments.unlabelled import held_out_bound
from genclust.experiments.verdicts import summarise
from genclust.metrics import BEST, named
from genclust.paths import root
from genclust.settings import SettingError
from genclust.wording import signed, with_sd

#: Bytes that all published models may take together.
MOST_BYTES = 12_000_000


def publish_weights(row: Row, profile: Profile, store: Store) -> Path:
    """Copy the trained model of a published row's median seed into ``models/``, in half precision.

    Args:
        row: row of an experiment.
        profile: profile of the published records.
        store: store with the model of that seed, trained with ``--keep-weights``.

    Returns:
        Folder of the model.

    Raises:
        SettingError: if the row is not published, the model of that seed is not in the store, or all models together
            would take more than 12 MB.
    """
    config = row.config(profile)
    records = find(config, row.seeds(profile), [published()])
    if not records:
        raise SettingError(f"{row.place} has no published records at profile {profile}.")
    seed = median_seed(records)
    kept = store.read(config, seed)
    if kept is None or not weights_of(kept).is_dir():
        raise SettingError(
            f"The seed with the median bound is {seed}; run it with --keep-weights --seeds {seed} first, at profile "
            f"{profile}."
        )
    estimator: DeepEstimator = saving.load(weights_of(kept))
    folder = root() / "models" / row.experiment / row.name
    before = sum(path.stat().st_size for path in (root() / "models").rglob("*") if folder not in path.parents)
    size = sum(tensor.numel() * 2 for tensor in estimator.model_.state_dict().values())
    if before + size > MOST_BYTES:
        raise SettingError(
            f"With the {size / 1e6:.1f} MB of this model all in models/ would take "
            f"{(before + size) / 1e6:.1f} MB, and {MOST_BYTES / 1e6:g} MB are the most."
        )
    saving.save(estimator, folder, half=True, card=card(row, profile, kept, records), overwrite=True)
    return folder


def median_seed(records: Mapping[int, Record]) -> int:
    """Seed with the median bound on the validation split; of an even number, the lower of the middle two.

    Failed seeds have no bound and count as the lowest.
    """
    bounds = {seed: rank_of(record) for seed, record in records.items()}
    ordered = sorted(bounds, key=lambda seed: (bounds[seed], seed))
    return ordered[(len(ordered) - 1) // 2]


def rank_of(record: Record) -> float:
    """What seeds are ordered by: the bound on the validation split after training, in nats; -inf for a failed seed."""
    bound = held_out_bound(record)
    return -math.inf if math.isnan(bound) else bound


def card(row: Row, profile: Profile, kept: Record, records: Mapping[int, Record]) -> str:
    """Card of a published model, in Markdown.

    Args:
        row: row of an experiment.
        profile: profile of the records.
        kept: record of the training that the weights are of.
        records: published records of the row by seed, that seed's among them.
    """
    source, published_record = source_of(kept.data["name"]), records[kept.seed]
    sizes = ", ".join(f"{n:,} {split}" for split, n in kept.data["sizes"].items())
    lines = [
        f"# {row.place}",
        "",
        f"{row.label} on {source.title}, profile `{profile}`, seed {kept.seed}: of the {len(records)} published seeds "
        "the one with the median bound on the validation split, whatever its accuracy. Read it with "
        f'`genclust.load("{row.place}")`.',
        "",
        "## Data",
        "",
        f"{source.title}: {source.what} (rows: {sizes}). {source.citation}. Terms of use: "
        f"{source.licence or 'not stated by the source'}. SHA-256 of the arrays: `{kept.data['digest']}`.",
        "",
        "## Numbers",
        "",
        "Of these weights in single precision; they are stored in half precision. " + _compared(kept, published_record),
        "",
        "| metric | these weights | published record of the seed | mean ± sd of the seeds | paper |",
        "|---|---|---|---|---|",
    ]
    for reported in row.reported:
        metric = reported.metric.removesuffix(BEST)
        if metric not in kept.metrics:
            continue
        summary, about = summarise(list(records.values()), metric), named(metric)
        spread, paper = with_sd(summary.mean, summary.sd), with_sd(reported.mean, None)
        numbers = " | ".join(signed(record.metrics[metric]) for record in (kept, published_record))
        lines.append(f"| {about.title}, {metric.split('.')[0]} ({about.unit}) | {numbers} | {spread} | {paper} |")
    bounds = " | ".join(signed(rank_of(record)) for record in (kept, published_record))
    lines += [
        f"| bound, validation (nats) | {bounds} | – | – |",
        "",
        "## What it is not for",
        "",
        "It is for looking at and for teaching. It was trained on the data above alone: for other images, texts or "
        "tables its clusters, samples and likelihoods mean nothing. Do not use it to decide anything about people, and "
        "not where the terms of use of the data forbid it.",
        "",
        "## How it was made",
        "",
        f"Code of revision `{kept.provenance['source']}`, on {kept.provenance['processor']}, with the configuration of "
        f"`results/{row.config(profile).address}`:",
        "",
        "```json",
        json.dumps(kept.config, indent=1, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def _compared(kept: Record, published_record: Record) -> str:
    """Sentence on whether a training came out as an earlier one of the same seed, whose record is published."""
    if kept.metrics == published_record.metrics:
        return "They come from a training of the seed anew, which gave the numbers of the published record bit by bit."
    return (
        "They come from a training of the seed anew, which ended a little elsewhere than the published one: another "
        "processor or version of a library rounds otherwise."
    )
