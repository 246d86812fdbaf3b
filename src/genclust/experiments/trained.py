"""Published trained models: one seed of a row, the one with the median bound, with a card that says what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from genclust.data.catalogue import source_of
from genclust.estimators import saving
from genclust.estimators.base import DeepEstimator
from genclust.estimators.trained import bound
from genclust.experiments.declaration import Profile, Row
from genclust.experiments.execution import weights_of
from genclust.experiments.store import Record, Store, find, published
from genclust.experiments.verdicts import summarise
from genclust.metrics import BEST, named
from genclust.models import MODELS
from genclust.paths import root
from genclust.settings import SettingError

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
        SettingError: if the row is not published, the model of that seed is not in the store or is not that of the
            published record, or all models together would take more than 12 MB.
    """
    config = row.config(profile)
    records = find(config, row.seeds(profile), [published()])
    if not records:
        raise SettingError(f"{row.experiment}/{row.name} has no published records at profile {profile}.")
    seed = median_seed(records)
    kept = store.read(config, seed)
    if kept is None or not weights_of(kept).is_dir():
        raise SettingError(
            f"The seed with the median bound is {seed}; run it with --keep-weights --seeds {seed} first, at profile "
            f"{profile}."
        )
    record = records[seed]
    if differing := _differing(record, kept):
        raise SettingError(
            f"Seed {seed} was trained anew and gives another {', '.join(differing)} than its published record."
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
    saving.save(estimator, folder, half=True, card=card(row, profile, record, list(records.values())))
    return folder


def median_seed(records: Mapping[int, Record]) -> int:
    """Seed with the median bound on the validation split; of an even number, the lower of the middle two.

    Failed seeds have no bound and count as the lowest.
    """
    bounds = {seed: bound_of(record) for seed, record in records.items()}
    ordered = sorted(bounds, key=lambda seed: (bounds[seed], seed))
    return ordered[(len(ordered) - 1) // 2]


def bound_of(record: Record) -> float:
    """Evidence lower bound of a record on the validation split after training, in nats."""
    if record.failed_at_step is not None:
        return float("-inf")
    module, _ = MODELS[record.config["model"]["name"]]
    return bound(module, record.curve)


def card(row: Row, profile: Profile, record: Record, records: Sequence[Record]) -> str:
    """Card of a published model, in Markdown."""
    name = record.data["name"]
    source = source_of(name)
    sizes = ", ".join(f"{n:,} {split}" for split, n in record.data["sizes"].items())
    lines = [
        f"# {row.experiment}/{row.name}",
        "",
        f"{row.label} on {source.title}, profile `{profile}`, seed {record.seed}: of the {len(records)} published "
        "seeds the one with the median bound on the validation split, whatever its accuracy.",
        "",
        f'Read it with `genclust.load("{row.experiment}/{row.name}")`.',
        "",
        "## Data",
        "",
        f"{source.title}: {source.what} ({sizes} rows). {source.citation}. Terms of use: "
        f"{source.licence or 'not stated by the source'}. SHA-256 of the arrays: `{record.data['digest']}`.",
        "",
        "## Numbers",
        "",
        "| metric | this seed | mean ± sd of the seeds | paper |",
        "|---|---|---|---|",
    ]
    for reported in row.reported:
        metric = reported.metric.removesuffix(BEST)
        if reported.over or metric not in record.metrics:
            continue
        summary, about = summarise(list(records), metric), named(metric)
        spread = "–" if summary is None else f"{summary.mean:.2f} ± {summary.sd:.2f}"
        paper = "–" if reported.mean is None else f"{reported.mean:.2f}"
        lines.append(f"| {about.title}, test ({about.unit}) | {record.metrics[metric]:.2f} | {spread} | {paper} |")
    lines += [
        f"| bound, validation (nats) | {bound_of(record):.2f} | – | – |",
        "",
        "The weights are stored in half precision, the numbers are of the weights in single precision.",
        "",
        "## What it is not for",
        "",
        "A replication's artefact for looking at and for teaching. It was trained on the data above alone: on other "
        "images or texts its clusters, samples and likelihoods mean nothing. Do not use it to decide anything about "
        "people, such as to read handwriting that matters, and do not use it where the terms of use of the data "
        "forbid it.",
        "",
        "## How it was made",
        "",
        f"Code of revision `{record.provenance['source']}`, record `results/{row.config(profile).address}/"
        f"seed-{record.seed:04d}.json`, {record.provenance['processor']}.",
        "",
        "```json",
        json.dumps(record.config, indent=1, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def _differing(record: Record, again: Record) -> list[str]:
    """Metrics in which two records of one seed differ by more than rounding."""
    shared = record.metrics.keys() & again.metrics.keys()
    return sorted(
        name
        for name in shared
        if abs(record.metrics[name] - again.metrics[name]) > 1e-3 * max(1.0, abs(record.metrics[name]))
    )
