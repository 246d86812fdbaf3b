"""What rows are called, and which numbers of the paper stand beside them, by what was run.

A declared label states settings: "η = 1, α = 0 (the plain bound)".  Under other settings it states those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from genclust.experiments.configuration import RunConfig
from genclust.experiments.declaration import PROFILES, WITHOUT_DEMO, Profile, Row

#: Settings by the symbols that labels have for them.
SYMBOLS = {
    **{"η": "eta", "α": "alpha", "K": "n_clusters", "M": "samples", "σ": "sigma"},
    **{"w_G": "w_gaussian", "w_C": "w_categorical"},
}
NAMES = {setting: symbol for symbol, setting in SYMBOLS.items()}
_EQUATION = re.compile(rf"\b({'|'.join(SYMBOLS)}) = (\[[^]]*\]|\d[\d.]*)")
#: The number of labels that a model sees, as in CaGeM-100; and the loss in words, where a weight follows.
_LABELS = re.compile(r"\b(CaGeM|ADGM)-\d+")
_LOSS, LOSSES = (
    re.compile("(cross-entropy|square error)(?=, w_)"),
    {"bernoulli": "cross-entropy", "gaussian": "square error"},
)


def profile_of(row: Row, config: Mapping[str, Any] | RunConfig) -> Profile | None:
    """Declared profile of a row that has exactly this configuration; None for changed settings or other data."""
    plain = asdict(config) if isinstance(config, RunConfig) else config
    if row.settings is None:
        return None
    return next((name for name in PROFILES if name in row.profiles and asdict(row.config(name)) == plain), None)


def is_published_form(row: Row, config: Mapping[str, Any] | RunConfig) -> bool:
    """Whether data and settings are those of the published pages, where the paper's numbers stand beside them."""
    return profile_of(row, config) in WITHOUT_DEMO


def as_run(row: Row, config: RunConfig) -> Row:
    """The row as it was run: its label states the settings, and the paper's numbers are there only where they belong.

    They do not belong to changed settings, to other data and to profile ``demo``; the names and metrics of the
    numbers are kept.
    """
    if is_published_form(row, config):
        return row
    label = _LABELS.sub(lambda found: f"{found[1]}-{config.data.get('n_labels', 0)}", row.label)
    label = _LOSS.sub(lambda found: LOSSES.get(config.model.get("likelihood", ""), found[0]), label)
    label = _EQUATION.sub(lambda found: _equation(SYMBOLS[found[1]], config.model, found[0]), label)
    if profile_of(row, config) is None:
        label = re.sub(r" \([^)]*\)", "", label)  # a remark on the declared settings
    blank = tuple(replace(number, mean=None, sd=None, below=None, above=None) for number in row.reported)
    return replace(row, label=label, reported=blank)


def _equation(setting: str, model: Mapping[str, Any], declared: str) -> str:
    return equation(setting, model[setting]) if setting in model else declared


def equation(setting: str, value: Any) -> str:
    """Setting with its value, such as ``η = 0.5``."""
    return f"{NAMES.get(setting, setting)} = {f'{value:g}' if isinstance(value, float) else value}"


def told_apart(rows: Mapping[str, Row], configs: Mapping[str, RunConfig]) -> dict[str, Row]:
    """The rows, with those settings added to equal labels by which their configurations differ."""
    labels = [row.label for row in rows.values()]
    return {
        name: row if labels.count(row.label) == 1 else _told_apart(name, rows, configs) for name, row in rows.items()
    }


def _told_apart(name: str, rows: Mapping[str, Row], configs: Mapping[str, RunConfig]) -> Row:
    flat = {other: _flat(configs[other]) for other, row in rows.items() if row.label == rows[name].label}
    differing = [key for key, value in flat[name].items() if any(one.get(key) != value for one in flat.values())]
    return replace(rows[name], label=", ".join([rows[name].label, *(equation(k, flat[name][k]) for k in differing)]))


def _flat(config: RunConfig) -> dict[str, Any]:
    return {key: value for section in asdict(config).values() for key, value in section.items() if key != "digest"}


def changes_in_words(changes: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """Changed settings by section as equations, without the name of the data."""
    return [
        equation(name, value)
        for section, values in changes.items()
        for name, value in values.items()
        if (section, name) != ("data", "name")
    ]
