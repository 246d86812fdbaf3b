"""Configurations of runs: all settings of data, model and training, checked and with their defaults filled in."""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from genclust.baselines import BASELINES
from genclust.experiments import papers
from genclust.models import MODELS
from genclust.settings import SettingError, added_later, configured, later, nearest, read, within
from genclust.training.loop import TrainingSettings
from genclust.training.schedules import Schedule

SECTIONS = ("data", "model", "training")


@dataclass(frozen=True)
class DataSettings:
    """Settings of the data: the data set, held-out fractions, what is fitted, and the number of labels.

    ``also_train_on`` names a split that joins the training split (SVHN's extra), ``n_labels`` how many labels of the
    training split a model sees.  With ``fit_on: all`` a model is fitted to the rows that it is scored on as well, which
    was the habit of papers on clustering; scores are of the same splits either way.
    """

    name: str
    validation_fraction: float = within(0, 0.9, default=0.0)
    test_fraction: float = within(0, 0.9, default=0.0)
    split_seed: int = within(0, 2**31, default=0)
    also_train_on: str = later("")
    n_labels: int = later(0, 0, 2**31)
    fit_on: Literal["train", "all"] = later("train")
    digest: str = later("")  # of a user's own file, so that a changed file is another run


@dataclass(frozen=True)
class RunConfig:
    """Configuration of a run: everything that decides its numbers, except the seed."""

    data: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]

    @cached_property
    def hash(self) -> str:
        """Hash of twelve hexadecimal digits that addresses the configuration in a store."""
        sections = {"data": self.data, "model": self.model, "training": self.training}
        canonical = json.dumps(sections, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def fitted_splits(self) -> tuple[str, ...]:
        """Names of the splits that the model is fitted to: the training split, or all that are scored."""
        return ("train", "validation", "test") if self.data.get("fit_on") == "all" else ("train",)

    @property
    def address(self) -> str:
        """Name of the folder of this configuration in a store."""
        data_name = Path(self.data["name"]).stem[:100]  # of a user's own file, whose name may fill a whole file name
        return f"{re.sub(r'[^A-Za-z0-9_-]', '_', data_name)}-{self.model['name']}-{self.hash}"


def check_sections(settings: Mapping[str, Any]) -> None:
    """Refuse settings with an unknown section, a section that is no mapping, or a model name that is not text."""
    for section, held in settings.items():
        if section not in SECTIONS:
            raise SettingError(nearest(section, SECTIONS, "section of settings called"))
        if not isinstance(held, Mapping):
            raise SettingError(f"The section {section} of settings must be a mapping, not {reprlib.repr(held)}.")
    if not isinstance(settings.get("model", {}).get("name", ""), str):
        raise SettingError(f"model.name must be text, not {reprlib.repr(settings['model']['name'])}.")


def resolve(settings: Mapping[str, Any]) -> RunConfig:
    """Check all settings of a run and fill in the defaults.

    Raises:
        SettingError: for anything unknown, missing or out of range.
    """
    check_sections(settings)
    data = configured(read(DataSettings, settings.get("data", {}), "data"))
    if "n_labels" in data and "fit_on" in data:
        raise SettingError("With data.fit_on = all nothing is held out to score labels by; leave data.n_labels at 0.")
    model = dict(settings.get("model", {}))
    if "name" not in model:
        raise SettingError("The setting model.name is missing.")
    name = model.pop("name")
    papers.register_models()
    if name in BASELINES:
        return RunConfig(data, {"name": name, **configured(read(BASELINES[name], model, "model"))}, {})
    if name not in MODELS:
        raise SettingError(nearest(name, [*MODELS, *BASELINES], "model"))
    kind, settings_type = MODELS[name]
    if "n_labels" in data and not kind.learns_from_labels:
        raise SettingError(f"The model {name} learns without labels; leave data.n_labels at 0.")
    model = {"name": name, "revision": kind.revision, **configured(read(settings_type, model, "model"))}
    training = configured(training_settings(name, settings.get("training", {})))
    schedules = training.pop("schedules")
    return RunConfig(data, model, training | schedules)


def training_settings(model: str, declared: Mapping[str, Any]) -> TrainingSettings:
    """Training settings of a model, with its schedules by name.

    Raises:
        SettingError: for anything unknown, missing or out of range.
    """
    scheduled = ("learning_rate", *MODELS[model][0].schedules)
    plain = {key: value for key, value in declared.items() if key not in scheduled}
    schedules = {}
    for name in scheduled:
        if name not in declared:
            raise SettingError(f"The setting training.{name} is missing.")
        schedules[name] = Schedule.of(declared[name], f"training.{name}")
        least = min(schedules[name].start, schedules[name].end)
        if least < 0 or (least == 0 and name != "warm_up"):
            right = "0 or more" if name == "warm_up" else "positive"
            raise SettingError(f"training.{name} must be {right}, not {declared[name]!r}.")
    for key in plain:
        if key not in TrainingSettings.__dataclass_fields__ or key == "schedules":
            valid = (*scheduled, *(k for k in TrainingSettings.__dataclass_fields__ if k != "schedules"))
            raise SettingError(nearest(key, valid, "setting of training named"))
    return read(TrainingSettings, {**plain, "schedules": schedules}, "training")


def changeable(config: RunConfig) -> dict[str, tuple[str, str]]:
    """Section and name of each setting of a configuration that can be changed, by ``section.name``."""
    model = config.model["name"]
    kinds: dict[str, type] = {"data": DataSettings, "model": BASELINES.get(model) or MODELS[model][1]}
    if config.training:
        kinds["training"] = TrainingSettings
    return {
        f"{section}.{key}": (section, key)
        for section, kind in kinds.items()
        for key in {*getattr(config, section), *added_later(kind)} - {"revision", "digest"}  # these fill themselves in
    }
