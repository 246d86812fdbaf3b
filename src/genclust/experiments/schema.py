"""The JSON schema of declarations, for editors: names to complete, and mistakes marked while one writes.

It is written from what the reader itself uses, the settings' dataclasses and the entries of each part.  It sees each
part alone.  What takes several parts together, only the reader refuses: a setting that no layer holds, a schedule that
the model does not ask for, the name of a row that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from genclust.baselines import BASELINES
from genclust.evaluation.registry import EVALUATIONS, NUMBER
from genclust.experiments.configuration import DataSettings
from genclust.experiments.declaration import MOST_CAUSES, PARTS, PROFILES, SEED, Condition, Reported
from genclust.metrics import BEST
from genclust.models import MODELS
from genclust.settings import json_schema
from genclust.training.loop import TrainingSettings
from genclust.training.schedules import Schedule

#: Schemas of simple entries, by type.
_KINDS: dict[Any, dict[str, Any]] = {
    str: {"type": "string", "minLength": 1},
    bool: {"type": "boolean"},
    (str, int, float): {"type": ["string", "number", "boolean"], "minLength": 1},
}
_SEEDS = rf"\s*(?:{SEED})(?:-(?:{SEED}))?\s*"


def text() -> str:
    """JSON text of the schema, as in ``experiments/schema.json``."""
    return json.dumps(schema(), indent=1) + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema (draft 7) of a declaration."""
    models = {f"model.{name}": _model(name, settings) for name, (_, settings) in MODELS.items()}
    models |= {f"model.{name}": _model(name, settings) for name, settings in BASELINES.items()}
    sections = {
        "data": _layer(DataSettings),
        "model": {"anyOf": [_reference(name) for name in models]},
        "training": _training(),
    }
    plain = [name for name, evaluation in EVALUATIONS.items() if not evaluation.numbered]
    numbered = [name for name, evaluation in EVALUATIONS.items() if evaluation.numbered]
    with_number = {"type": "string", "pattern": f"^({'|'.join(numbered)})-{NUMBER}$"}
    common = {
        "settings": _reference("settings"),
        "evaluate": {"type": "array", "items": {"anyOf": [{"enum": plain}, with_number]}},
        "profiles": _object({name: _reference("profile") for name in PROFILES}),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "An experiment: one table or figure of a paper",
        **_part(
            "experiment",
            common
            | {
                "rows": {"type": "object", "minProperties": 1, "additionalProperties": _reference("row")},
                "choices": {"type": "array", "items": _part("choice")},
                "claims": {"type": "object", "additionalProperties": _claim()},
            },
        ),
        "definitions": {
            "settings": _object(sections),
            "profile": _part("profile", common | {"seeds": _seeds()}),
            "row": _row(common),
            **models,
        },
    }


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/definitions/{name}"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _part(name: str, entries: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Schema of a part of a declaration; ``entries`` holds the schemas of entries other than plain text or booleans."""
    needed, optional = PARTS[name]
    properties = {key: entries[key] if key in entries else _KINDS[kind] for key, kind in (needed | optional).items()}
    return _object(properties) | {"required": [*needed]}


def _row(common: dict[str, Any]) -> dict[str, Any]:
    """Schema of a row: it has settings, or shows the runs of another row without any of its own, or is quoted."""
    numbers = [{"required": [name], "properties": {name: {"type": "number"}}} for name in ("mean", "below", "above")]
    reported = {"type": "array", "items": json_schema(Reported) | {"oneOf": numbers}}
    quoted = {"required": ["quoted"], "properties": {"quoted": {"const": True}}}
    return _part("row", common | {"reported": reported, "gap": _gap(common)}) | {
        "oneOf": [{"required": ["settings"]}, {"required": ["same_run_as"]}, quoted],
        "dependencies": {
            "same_run_as": {"properties": {"evaluate": False, "profiles": False}},
            "quoted": {"anyOf": [{"properties": {"quoted": {"const": False}}}, {"properties": {"gap": False}}]},
        },
    }


def _gap(common: dict[str, Any]) -> dict[str, Any]:
    """Schema of the causes of a missed number."""
    causes = {"type": "array", "minItems": 1, "maxItems": MOST_CAUSES, "items": _part("cause")}
    return _part("gap", {"profile": {"enum": [*PROFILES]}, "causes": causes, "settings": common["settings"]})


def _claim() -> dict[str, Any]:
    """Schema of a claim: each condition has a bound on one side, and pairs of rows in its place only if it has one."""
    bounds = [{"required": [name], "properties": {name: {"type": "number"}}} for name in ("above", "below")]
    condition = json_schema(Condition) | {"oneOf": bounds, "dependencies": {"instead": ["over"]}}
    condition["properties"]["metric"]["not"] = {"pattern": f"{BEST}$"}
    return _part("claim", {"holds_if": {"type": "array", "minItems": 1, "items": condition}})


def _seeds() -> dict[str, Any]:
    """Schema of seeds: an integer, or several seeds as text."""
    one = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
    return {"anyOf": [one, {"type": "string", "pattern": f"^{_SEEDS}(,{_SEEDS})*$"}]}


def _layer(settings: type) -> dict[str, Any]:
    """Schema of settings of which none is required, since another layer may hold the rest."""
    return _object(json_schema(settings)["properties"])


def _model(name: str, settings: type) -> dict[str, Any]:
    """Schema of a model's settings; none is required, not even the name, since another layer may hold them."""
    return _object({"name": {"const": name}, **json_schema(settings)["properties"]})


def _training() -> dict[str, Any]:
    """Schema of training settings, with the schedules of all models in place of the mapping that holds them."""
    names = ["learning_rate", *sorted({name for model, _ in MODELS.values() for name in model.schedules})]
    settings = json_schema(TrainingSettings)["properties"]
    del settings["schedules"]
    return _object({name: _schedule(may_be_zero=name == "warm_up") for name in names} | settings)


def _schedule(may_be_zero: bool) -> dict[str, Any]:
    """Schema of a number or of a schedule between two numbers."""
    limit = {"minimum": 0} if may_be_zero else {"exclusiveMinimum": 0}
    whole = json_schema(Schedule)
    for name in ("start", "end"):
        whole["properties"][name] |= limit
    return {"anyOf": [{"type": "number"} | limit, whole]}
