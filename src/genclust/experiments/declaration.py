"""Experiments as they are declared: one YAML a table or figure, never code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from genclust.models import BASELINES, MODELS
from genclust.settings import SettingError, added_later, configured, later, merge, nearest, read, within
from genclust.training.loop import TrainingSettings
from genclust.training.schedules import Schedule

Profile = Literal["demo", "quick", "paper"]
#: From the most faithful to the quickest; the first that has been run is the one shown.
PROFILES: tuple[Profile, ...] = ("paper", "quick", "demo")
EVALUATIONS = (
    *("clustering", "neighbours", "style", "projection", "latent", "samples", "walk"),
    *("likelihood", "bound", "units", "classifiers", "generation", "map"),
    *("layers", "chance", "kmeans", "resampling"),
)


@dataclass(frozen=True)
class DataSettings:
    """Which data set, what is held out of its training split, the split, if any, that joins it (SVHN's extra),
    and how many of its labels a model sees."""

    name: str
    validation_fraction: float = within(0, 0.9, default=0.0)
    test_fraction: float = within(0, 0.9, default=0.0)
    split_seed: int = within(0, 2**31, default=0)
    also_train_on: str = later("")
    n_labels: int = later(0, 0, 2**31)
    digest: str = later("")  # of a user's own file, so that a changed file is another run


@dataclass(frozen=True)
class Reported:
    """A number the paper reports, or a claim of it as a bound of ours that a number stays ``below`` or ``above``.

    With ``over``, another row of the experiment, the claim is about the difference of the two means.
    ``sd`` is None where the paper gives none; ``tolerance`` is what counts as reproduced, declared
    before the runs.
    """

    name: str
    metric: str
    mean: float | None = None
    sd: float | None = None
    tolerance: float | None = None
    below: float | None = None
    above: float | None = None
    over: str = ""


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's numbers, but for the seed."""

    data: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that address the configuration in a store."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def address(self) -> str:
        """The store's folder for this configuration."""
        data_name = Path(self.data["name"]).stem
        return f"{re.sub(r'[^A-Za-z0-9_-]', '_', data_name)}-{self.model['name']}-{self.hash}"


@dataclass(frozen=True)
class Row:
    """One row of a table or one line of a figure."""

    experiment: str
    name: str
    label: str
    dataset: str
    reported: tuple[Reported, ...]
    settings: Mapping[str, Any] | None
    quoted: bool
    evaluated: tuple[str, ...]
    profiles: Mapping[str, Mapping[str, Any]] = field(repr=False)

    def seeds(self, profile: Profile) -> list[int]:
        """The seeds that the profile asks for."""
        return parse_seeds(str(self._profile(profile).get("seeds", "0-4")))

    def evaluations(self, profile: Profile) -> tuple[str, ...]:
        """What is measured at the end of a run; a profile may ask for less than the paper."""
        return tuple(self._profile(profile).get("evaluate", self.evaluated))

    def config(self, profile: Profile, overrides: Mapping[str, Any] | None = None) -> RunConfig:
        """The resolved, checked configuration.

        Raises:
            SettingError: if the row cannot be run, or a setting is unknown or out of range.
        """
        if self.settings is None:
            raise SettingError(f"{self.experiment}/{self.name} cannot be run; it is another's result, quoted.")
        layers = [self.settings, self._profile(profile).get("settings", {})]
        if self.settings["model"]["name"] in BASELINES:  # a profile's settings are for models that train
            layers[1] = {"data": layers[1].get("data", {})}
        return resolve(merge(*layers, overrides or {}))

    def _profile(self, profile: str) -> Mapping[str, Any]:
        if profile not in self.profiles:
            raise SettingError(nearest(profile, self.profiles, f"profile of {self.experiment}"))
        return self.profiles[profile]


@dataclass(frozen=True)
class Experiment:
    """One table or figure of a paper."""

    name: str
    paper: str
    table: str
    title: str
    choices: tuple[Mapping[str, str], ...]
    rows: Mapping[str, Row]

    def row(self, name: str) -> Row:
        if name not in self.rows:
            raise SettingError(nearest(name, self.rows, f"row of {self.name}"))
        return self.rows[name]

    @property
    def runnable(self) -> list[Row]:
        """The rows that have settings."""
        return [row for row in self.rows.values() if row.settings is not None]


def root() -> Path:
    """The folder that holds ``experiments/`` and ``results/``: the repository of this installation.

    Raises:
        SettingError: if the library is used without its repository.
    """
    for folder in (Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents):
        if (folder / "experiments").is_dir() and (folder / "_toc.yml").is_file():
            return folder
    raise SettingError("The folder experiments/ was not found; work in a clone of the repository.")


def names() -> list[str]:
    """All declared experiments."""
    return sorted(path.stem for path in (root() / "experiments").glob("*.yaml"))


def load(name: str) -> Experiment:
    """Read and check a declaration.

    Raises:
        SettingError: if there is none of that name, with the nearest; or if it is malformed.
    """
    if name not in names():
        raise SettingError(nearest(name, names(), "experiment"))
    return _load(root() / "experiments" / f"{name}.yaml")


@cache
def _load(path: Path) -> Experiment:
    declared = yaml.safe_load(path.read_text())
    name = path.stem
    _only(declared, {"paper", "table", "title", "settings", "evaluate", "profiles", "choices", "rows"}, name)
    rows = {key: _row(name, key, row, declared) for key, row in declared["rows"].items()}
    return Experiment(
        name, declared["paper"], declared["table"], declared["title"], tuple(declared.get("choices", ())), rows
    )


def _row(experiment: str, name: str, row: Mapping[str, Any], declared: Mapping[str, Any]) -> Row:
    where = f"{experiment}/{name}"
    known = {"label", "dataset", "settings", "profiles", "reported", "quoted", "evaluate", "same_run_as"}
    _only(row, known, where)
    reported = tuple(Reported(**entry) for entry in row.get("reported", ()))
    if "same_run_as" in row:
        other_experiment, other_row = row["same_run_as"].split("/")
        other = load(other_experiment).row(other_row)
        settings, profiles, evaluate = other.settings, other.profiles, other.evaluated
    else:
        settings = merge(declared.get("settings", {}), row["settings"]) if "settings" in row else None
        profiles = merge(declared.get("profiles", {}), row.get("profiles", {}))
        evaluate = tuple(row.get("evaluate", declared.get("evaluate", ("clustering",))))
    for evaluation in (*evaluate, *(e for profile in profiles.values() for e in profile.get("evaluate", ()))):
        kind = evaluation.partition("-")[0]
        form = f"{kind}-[1-9][0-9]*" if kind in ("likelihood", "bound", "kmeans") else kind  # as in likelihood-5000
        if kind not in EVALUATIONS or not re.fullmatch(form, evaluation):
            raise SettingError(nearest(evaluation, EVALUATIONS, f"evaluation, asked for by {where},"))
    return Row(
        experiment,
        name,
        row["label"],
        row["dataset"],
        reported,
        settings,
        bool(row.get("quoted", False)),
        evaluate,
        profiles,
    )


def _only(mapping: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in mapping:
        if key not in known:
            raise SettingError(nearest(key, known, f"entry of {where} called"))


def resolve(settings: Mapping[str, Any]) -> RunConfig:
    """Check all settings and fill in the defaults.

    Raises:
        SettingError: for anything unknown, missing or out of range.
    """
    for section in settings:
        if section not in ("data", "model", "training"):
            raise SettingError(nearest(section, ("data", "model", "training"), "section of settings called"))
    data = configured(read(DataSettings, settings.get("data", {}), "data"))
    model = dict(settings.get("model", {}))
    name = model.pop("name", None)
    if name in BASELINES:
        return RunConfig(data, {"name": name, **configured(read(BASELINES[name], model, "model"))}, {})
    if name not in MODELS:
        raise SettingError(nearest(str(name), [*MODELS, *BASELINES], "model"))
    kind, settings_type = MODELS[name]
    if "n_labels" in data and not kind.learns_from_labels:
        raise SettingError(f"The model {name} learns without labels; leave data.n_labels at 0.")
    model = {"name": name, "revision": kind.revision, **configured(read(settings_type, model, "model"))}
    training = configured(training_settings(name, settings.get("training", {})))
    schedules = training.pop("schedules")
    return RunConfig(data, model, training | schedules)


def training_settings(model: str, declared: Mapping[str, Any]) -> TrainingSettings:
    """The training settings of a model, schedules among them by name.

    Raises:
        SettingError: for anything unknown, missing or out of range.
    """
    scheduled = ("learning_rate", *MODELS[model][0].schedules)
    plain = {key: value for key, value in declared.items() if key not in scheduled}
    schedules = {}
    for name in scheduled:
        if name not in declared:
            raise SettingError(f"The setting training.{name} is missing.")
        try:
            schedules[name] = Schedule.of(declared[name])
        except (ValueError, TypeError) as error:
            raise SettingError(f"training.{name}: {error}") from error
        least = min(schedules[name].start, schedules[name].end)
        if least < 0 or (least == 0 and name != "warm_up"):
            right = "0 or more" if name == "warm_up" else "positive"
            raise SettingError(f"training.{name} must be {right}, not {declared[name]!r}.")
    for key in plain:
        if key not in TrainingSettings.__dataclass_fields__ or key == "schedules":
            valid = (*scheduled, *(k for k in TrainingSettings.__dataclass_fields__ if k != "schedules"))
            raise SettingError(nearest(key, valid, "setting of training named"))
    return read(TrainingSettings, {**plain, "schedules": schedules}, "training")


def parse_profile(text: str) -> Profile:
    """The profile of that name.

    Raises:
        SettingError: if there is none, with the nearest.
    """
    for profile in PROFILES:
        if profile == text:
            return profile
    raise SettingError(nearest(text, PROFILES, "profile"))


def parse_seeds(text: str) -> list[int]:
    """Seeds from ``3``, ``0-9`` or ``0,2,5-7``.

    Raises:
        SettingError: if the text is none of these.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise SettingError(f"Seeds are given like 3, 0-9 or 0,2,5-7, not {text!r}.")
        seeds.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    if len(set(seeds)) != len(seeds):
        raise SettingError(f"A seed stands twice in {text!r}.")
    return seeds


def parse_overrides(assignments: Sequence[str], row: Row, profile: Profile) -> dict[str, Any]:
    """Settings from ``section.key=value`` or, where the key is the only one of its name, ``key=value``.

    Raises:
        SettingError: for an unknown key, with the nearest valid one, or a value that is not YAML.
    """
    if not assignments:
        return {}
    config = row.config(profile)
    model = config.model["name"]
    kinds: dict[str, type] = {"data": DataSettings, "model": BASELINES.get(model) or MODELS[model][1]}
    if config.training:
        kinds["training"] = TrainingSettings
    valid = {
        f"{section}.{key}": (section, key)
        for section, kind in kinds.items()
        for key in {*getattr(config, section), *added_later(kind)} - {"revision", "digest"}  # these fill themselves in
    }
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise SettingError(f"Give settings as key=value, not {assignment!r}.")
        matches = [place for full, place in valid.items() if key in (full, place[1])]
        if key == "name" or len(matches) != 1:
            raise SettingError(nearest(key, valid, f"setting of {row.experiment}/{row.name} called"))
        section, name = matches[0]
        try:
            overrides.setdefault(section, {})[name] = (
                float(value) if _EXPONENTIAL.fullmatch(value) else yaml.safe_load(value)
            )
        except yaml.YAMLError as error:
            raise SettingError(f"The value of {assignment!r} cannot be read.") from error
    return overrides


#: Numbers such as 1e-3, which YAML takes for text.
_EXPONENTIAL = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
