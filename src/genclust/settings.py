"""Settings as frozen dataclasses, read from declarations and checked before anything is computed."""

from __future__ import annotations

import dataclasses
import functools
import json
import reprlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from genclust.wording import did_you_mean

T = TypeVar("T")


class SettingError(ValueError):
    """Error for an unknown name or a value out of range; the message says what is valid."""


def nearest(name: str, valid: Iterable[str], what: str) -> str:
    """Error message for an unknown ``name``, with the nearest valid name."""
    names = sorted(valid)
    hint = did_you_mean(name, names, otherwise=f"; valid are {', '.join(names)}.")
    return f"There is no {what} {name!r}{hint}"


#: Default bound of numbers, so that infinite ones are refused.
LARGEST = sys.float_info.max


def within(low: float = -LARGEST, high: float = LARGEST, default: Any = dataclasses.MISSING) -> Any:
    """Dataclass field whose value, or each entry of it, must lie in [low, high]."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def later(default: Any, low: float = -LARGEST, high: float = LARGEST) -> Any:
    """Field like `within` for a setting that was added after records were published; its default changes nothing.

    With its default it is left out of a configuration (see `configured`), so that the configuration keeps its hash,
    and the records under it are found.
    """
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "later": True})


def added_later(settings: type) -> dict[str, Any]:
    """Defaults of the fields that are declared by `later`, by name."""
    return {field.name: field.default for field in dataclasses.fields(settings) if field.metadata.get("later")}


def configured(settings: Any) -> dict[str, Any]:
    """Settings as plain values for a configuration; fields declared by `later` are left out at their default."""
    before = added_later(type(settings))
    values = {name: value for name, value in dataclasses.asdict(settings).items() if before.get(name, ...) != value}
    return json.loads(json.dumps(values))


_hints = functools.cache(get_type_hints)


def read(settings: type[T], declared: Mapping[str, Any], prefix: str) -> T:
    """Build the dataclass ``settings`` from a mapping, and check names, types and ranges.

    Args:
        settings: a frozen dataclass with fields of type int, float, str, bool, Literal or another class, or of a
            tuple, sequence or mapping of one of these, or of one of these or None.
        declared: names and values, from YAML or the command line.
        prefix: name of the settings in messages, such as ``model``.

    Raises:
        SettingError: for an unknown or missing name, a wrong type or a value out of range.
    """
    fields = {field.name: field for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
    hints = _hints(settings)  # type: ignore[arg-type]
    for name in declared:
        if name not in fields:
            raise SettingError(nearest(name, fields, f"setting of {prefix} named"))
    for name, field in fields.items():
        if name not in declared and field.default is field.default_factory is dataclasses.MISSING:
            raise SettingError(f"The setting {prefix}.{name} is missing.")
    values = {
        name: _checked(f"{prefix}.{name}", value, hints[name], fields[name].metadata)
        for name, value in declared.items()
    }
    return settings(**values)


def _checked(name: str, value: Any, kind: Any, limits: Mapping[str, Any]) -> Any:
    if get_origin(kind) is Literal:
        for choice in get_args(kind):
            if value == choice and isinstance(value, bool) is isinstance(choice, bool):
                return choice  # 255, where 255.0 is given: a configuration has one address
        raise SettingError(nearest(str(value), map(str, get_args(kind)), f"{name} called"))
    if get_origin(kind) is UnionType:
        (inner,) = (alternative for alternative in get_args(kind) if alternative is not NoneType)
        return None if value is None else _checked(name, value, inner, limits)
    if get_origin(kind) in (tuple, Sequence):
        entry = get_args(kind)[0]
        if not isinstance(value, (list, tuple)):
            example = [entry(64), entry(32)]
            raise SettingError(f"{name} must be a list, such as {example}, not {reprlib.repr(value)}.")
        return tuple(_checked(f"an entry of {name}", item, entry, limits) for item in value)
    if get_origin(kind) is Mapping:
        if not isinstance(value, Mapping):
            raise SettingError(f"{name} must be a mapping of names to values, not {reprlib.repr(value)}.")
        return {key: _checked(f"{name}.{key}", item, get_args(kind)[1], limits) for key, item in value.items()}
    if kind is Any:
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number if kind in (int, float) else isinstance(value, kind)):
        raise SettingError(f"{name} must be {_article(kind)}, not {reprlib.repr(value)}.")
    if kind in (int, float):
        low, high = limits.get("low", -LARGEST), limits.get("high", LARGEST)
        if not (low <= value <= high):  # NaN fails too
            raise SettingError(f"{name} must lie between {low:g} and {high:g}, not {reprlib.repr(value)}.")
        if kind is int and value != int(value):
            raise SettingError(f"{name} must be {_article(kind)}, not {reprlib.repr(value)}.")
        value = kind(value)
    return value


def _article(kind: type) -> str:
    known = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return known.get(kind, f"a {kind.__name__}")


#: JSON's names of plain types.
_JSON_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def json_schema(settings: type) -> dict[str, Any]:
    """JSON schema (draft 7) of the mappings that `read` accepts for the dataclass ``settings``."""
    fields, hints = dataclasses.fields(settings), _hints(settings)
    schema: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    for field in fields:
        schema["properties"][field.name] = entry = _json_kind(hints[field.name], field.metadata)
        if field.default is not dataclasses.MISSING:
            entry["default"] = field.default
        elif field.default_factory is dataclasses.MISSING:
            schema["required"].append(field.name)
    return schema


def _json_kind(kind: Any, limits: Mapping[str, Any]) -> dict[str, Any]:
    """JSON schema of a field's type; the cases are those of `_checked`."""
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is UnionType:
        (inner,) = (alternative for alternative in get_args(kind) if alternative is not NoneType)
        return {"anyOf": [_json_kind(inner, limits), {"type": "null"}]}
    if get_origin(kind) in (tuple, Sequence):
        return {"type": "array", "items": _json_kind(get_args(kind)[0], limits)}
    if get_origin(kind) is Mapping:
        return {"type": "object", "additionalProperties": _json_kind(get_args(kind)[1], limits)}
    if kind is Any:
        return {}
    if dataclasses.is_dataclass(kind):
        return json_schema(cast(type, kind))
    schema = {"type": _JSON_TYPES[kind]}
    if kind in (int, float):
        low, high = limits.get("low", -LARGEST), limits.get("high", LARGEST)
        schema |= {"minimum": low} if low > -LARGEST else {}
        schema |= {"maximum": high} if high < LARGEST else {}
    return schema


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Recursive merge of nested mappings; later ones override earlier ones.

    A mapping with a ``name`` that differs from the one below replaces it: other models have
    other settings.  So does a schedule, whose fields belong together.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            replaces = (
                not isinstance(value, Mapping)
                or not isinstance(below, Mapping)
                or "shape" in value
                or (key == "model" and value.get("name", below.get("name")) != below.get("name"))
            )
            merged[key] = value if replaces else merge(cast(Mapping[str, Any], below), value)
    return merged
