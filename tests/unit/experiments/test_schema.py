"""The schema of declarations says what the reader says, and is kept up to date."""

from __future__ import annotations

import dataclasses
import itertools
import json
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import yaml
from jsonschema import Draft7Validator
from typer.testing import CliRunner

from genclust.baselines import BASELINES
from genclust.cli import app
from genclust.experiments import declaration, schema
from genclust.experiments.configuration import DataSettings
from genclust.models import MODELS
from genclust.settings import SettingError, json_schema, read
from genclust.strict_yaml import parse
from genclust.training.loop import TrainingSettings

ROOT = Path(__file__).resolve().parents[3]
DECLARATIONS = sorted((ROOT / "experiments").glob("*.yaml"))
VALIDATOR = Draft7Validator(schema.schema())
SETTINGS = {
    **{name: settings for name, (_, settings) in MODELS.items()},
    **BASELINES,
    "data": DataSettings,
    "training": TrainingSettings,
    "reported": declaration.Reported,
    "condition": declaration.Condition,
}
TOY: dict[str, Any] = {
    "paper": "simple",
    "table": "Table 1",
    "title": "A toy",
    "evaluate": ["clustering", "likelihood-500"],
    "settings": {
        "data": {"name": "digits", "validation_fraction": 0.1},
        "model": {"name": "gumbel", "n_clusters": 10, "latent_dim": 5},
        "training": {
            "epochs": 2,
            "batch_size": 100,
            "learning_rate": 0.001,
            "temperature": {"shape": "exponential", "start": 1, "end": 0.5, "epochs": 2},
        },
    },
    "profiles": {"demo": {"seeds": "0-2"}, "paper": {"settings": {"model": {"hidden": [64, 32]}}}},
    "choices": [{"setting": "latent_dim", "taken": 5, "why": "The paper is silent."}],
    "claims": {
        "more": {
            "claim": "The mean is high.",
            "where": "Section 1",
            "holds_if": [
                {"row": "ours", "metric": "test.ari", "above": 50},
                {"row": "ours", "over": "again", "metric": "test.ari", "below": 3, "instead": {"again": "toy/ours"}},
            ],
        }
    },
    "rows": {
        "ours": {
            "label": "Ours",
            "dataset": "mnist",
            "settings": {},
            "reported": [{"name": "ACC", "metric": "test.acc_hungarian", "mean": 80}],
            "gap": {
                "profile": "demo",
                "causes": [{"cause": "It was short.", "support": "The curve rises."}],
                "experiment": "A longer run.",
                "settings": {"model": {"w_gaussian": 3}},
            },
        },
        "again": {"label": "Ours, again", "dataset": "mnist", "same_run_as": "toy/ours"},
        "theirs": {"label": "Theirs", "dataset": "mnist", "quoted": True},
    },
}
#: Where something is put, what, and what the reader says.
MISTAKES = [
    ("settings model w_gausian", 3, "There is no setting of model named 'w_gausian'; did you mean 'w_gaussian'?"),
    ("settings model n_clusters", 0, "model.n_clusters must lie between 1 and 10000, not 0."),
    ("settings model n_clusters", "ten", "model.n_clusters must be a whole number, not 'ten'."),
    ("settings model n_clusters", True, "model.n_clusters must be a whole number, not True."),
    ("settings model hidden", 512, "model.hidden must be a list, such as [64, 32], not 512."),
    ("settings model hidden", [512, 0], "an entry of model.hidden must lie between 1 and 100000, not 0."),
    ("settings model sample", "sofd", "There is no model.sample called 'sofd'; did you mean 'soft'?"),
    ("settings model name", "gumble", "There is no model 'gumble'; did you mean 'gumbel'?"),
    ("settings data name", 5, "data.name must be text, not 5."),
    ("settings data validation_fraction", 1, "data.validation_fraction must lie between 0 and 0.9, not 1."),
    ("settings training epoch", 3, "There is no setting of training named 'epoch'; did you mean 'epochs'?"),
    ("settings training batch_size", 1, "training.batch_size must lie between 2 and 1e+06, not 1."),
    ("settings training learning_rate", 0, "training.learning_rate must be positive, not 0."),
    (
        "settings training temperature",
        {"shape": "linear"},
        "The setting training.temperature.start is missing.",
    ),
    ("settings modell", {}, "There is no section of settings called 'modell'; did you mean 'model'?"),
    ("setings", {}, "There is no entry called 'setings'; did you mean 'settings'?"),
    ("paper", 5, "paper must be text, not 5."),
    ("title", "", "title must be text, not ''."),
    ("rows", {}, "rows must hold a row."),
    ("profiles qick", {}, "There is no profile 'qick'; did you mean 'quick'?"),
    ("profiles demo seeds", "0_2", "Seeds are given like 3, 0-9 or 0,2,5-7, not '0_2'."),
    (
        "evaluate",
        ["clusterin"],
        "There is no evaluation, asked for by toy/ours, 'clusterin'; did you mean 'clustering'?",
    ),
    (
        "evaluate",
        ["likelihood"],
        "There is no evaluation, asked for by toy/ours, 'likelihood'; did you mean 'likelihood'?",
    ),
    ("rows ours lable", "Ours", "There is no entry called 'lable'; did you mean 'label'?"),
    (
        "rows ours quoted",
        True,
        "It must have settings or same_run_as, or be quoted: true, and only one of the three.",
    ),
    ("rows again evaluate", ["clustering"], "With same_run_as, evaluate is that of the run; leave it out."),
    ("rows ours reported 0 above", 3, "It must have one of mean, below and above."),
    ("rows ours reported 0 tolerance", -1, "reported.tolerance must lie between 0 and 1.79769e+308, not -1."),
    ("claims more wher", "Section 1", "There is no entry called 'wher'; did you mean 'where'?"),
    ("claims more holds_if", [], "holds_if must hold a condition."),
    ("claims more holds_if 0", 3, "There should be a row, a metric and a bound here, not 3."),
    ("claims more holds_if 0 below", 3, "It must have one of above and below."),
    ("claims more holds_if 0 metric", "test.ari_best", "The best of several runs has no interval; name test.ari."),
    ("claims more holds_if 0 instead", {"again": "ours"}, "instead names pairs of rows, and so needs over."),
    ("claims more holds_if 1 instead again", 3, "a condition.instead.again must be text, not 3."),
    ("rows ours gap profile", "demi", "There is no profile 'demi'; did you mean 'demo'?"),
    ("rows ours gap profiles", "demo", "There is no entry called 'profiles'; did you mean 'profile'?"),
    ("rows ours gap causes", [], "causes must hold one or, at most, 2."),
    ("rows ours gap causes 0 suport", "None.", "There is no entry called 'suport'; did you mean 'support'?"),
    ("rows ours gap causes 0 cause", 3, "cause must be text, not 3."),
    (
        "rows ours gap causes 0",
        "It was short.",
        "There should be entries such as cause, support here, not 'It was short.'.",
    ),
    ("rows ours gap experiment", "", "experiment must be text, not ''."),
    (
        "rows ours gap settings model w_gausian",
        3,
        "There is no setting of model named 'w_gausian'; did you mean 'w_gaussian'?",
    ),
    (
        "rows theirs gap",
        {"profile": "demo", "causes": [{"cause": "a", "support": "b"}], "experiment": "c"},
        "A quoted row is never measured, and so has no gap.",
    ),
    ("choices 0 wy", "Why not.", "There is no entry called 'wy'; did you mean 'why'?"),
]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read a declaration from a repository of its own."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "_toc.yml").touch()
    (tmp_path / "papers.yaml").write_text("simple: {title: Simple}\n")
    monkeypatch.chdir(tmp_path)

    def read_again(declared: dict[str, Any]) -> declaration.Experiment:
        text = yaml.safe_dump(declared, sort_keys=False)
        (tmp_path / "experiments" / "toy.yaml").write_text(text)
        return declaration.load("toy")

    return read_again


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(schema.schema())


def test_the_kept_copy_is_up_to_date() -> None:
    printed = CliRunner().invoke(app, ["schema"]).stdout
    assert (ROOT / "experiments" / "schema.json").read_text(encoding="utf8") == printed, (
        "run: genclust schema > experiments/schema.json"
    )


@pytest.mark.parametrize("path", DECLARATIONS, ids=lambda path: path.stem)
def test_every_declaration_names_the_schema_and_follows_it(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    validator = Draft7Validator(json.loads((path.parent / "schema.json").read_text(encoding="utf8")))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(parse(text))] == []


def test_a_right_declaration_passes_both(load: Any) -> None:
    VALIDATOR.validate(TOY)
    assert list(load(TOY).rows) == ["ours", "again", "theirs"]


@pytest.mark.parametrize(("place", "value", "sentence"), MISTAKES, ids=[f"{m[0]}={m[1]}"[:60] for m in MISTAKES])
def test_a_mistake_fails_both(load: Any, place: str, value: Any, sentence: str) -> None:
    declared = deepcopy(TOY)
    *path, last = (int(part) if part.isdigit() else part for part in place.split())
    part: Any = declared
    for key in path:
        part = part[key]
    part[last] = value
    assert not VALIDATOR.is_valid(declared)
    with pytest.raises(SettingError) as refusal:
        load(declared)
    assert str(refusal.value).removesuffix(sentence).startswith("toy.yaml") and str(refusal.value).endswith(sentence)


@pytest.mark.parametrize("entry", ["paper", "table", "title", "rows"])
def test_a_missing_entry_fails_both(load: Any, entry: str) -> None:
    declared = {key: value for key, value in TOY.items() if key != entry}
    assert not VALIDATOR.is_valid(declared)
    with pytest.raises(SettingError, match=f"The entry {entry} is missing"):
        load(declared)


def values(field: dataclasses.Field, kind: Any) -> list[Any]:
    """What a field may be tried with: its choices, its limits and just beyond, and values of all types."""
    limits = [field.metadata.get(name) for name in ("low", "high")]
    beyond = [limit + step for limit in limits if limit is not None and abs(limit) < 1e300 for step in (-1, 0, 1)]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    plain = [*choices, *map(str, choices), None, True, False, 0, 1, 2, 2.0, 2.5, "text", "", {}, []]
    return [*beyond, *plain, *([value] for value in itertools.chain(beyond, plain))]


def reads(field: dataclasses.Field, kind: Any, value: Any) -> bool:
    alone = dataclasses.make_dataclass("Alone", [(field.name, kind, dataclasses.field(metadata=field.metadata))])
    try:
        read(alone, {field.name: value}, "settings")
    except SettingError:
        return False
    return True


@pytest.mark.parametrize("name", SETTINGS)
def test_schema_and_reader_agree_on_every_setting(name: str) -> None:
    kinds = get_type_hints(SETTINGS[name])
    properties = json_schema(SETTINGS[name])["properties"]
    for field in dataclasses.fields(SETTINGS[name]):
        if field.name == "schedules":  # read by rules of their own
            continue
        validator = Draft7Validator(properties.pop(field.name))
        tried = values(field, kinds[field.name])
        by_reader = [repr(value) for value in tried if reads(field, kinds[field.name], value)]
        assert [repr(value) for value in tried if validator.is_valid(value)] == by_reader, field.name
        assert 0 < len(by_reader) < len(tried), field.name
    assert set(properties) <= {"schedules"}
