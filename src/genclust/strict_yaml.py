"""Strict reading of YAML: numbers as in YAML 1.2, keys that are unique names, and no tags."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

from genclust.settings import SettingError

_TAG = "tag:yaml.org,2002:"
_FRACTION = r"(?:\.[0-9]*)"
_EXPONENT = r"(?:[eE][-+]?[0-9]+)"


class _Loader(yaml.SafeLoader):
    """PyYAML loader that leaves as text what YAML 1.1 converts, such as 010, 1_000, 5:30, 0x10, yes and dates."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem=f"the tag {event.tag} is not read here", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if key.tag not in (_TAG + "str", _TAG + "merge"):
                problem = "a key is not a name" + (f" but {key.value}" if isinstance(key, yaml.ScalarNode) else "")
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            if key.value in keys:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} stands twice", problem_mark=key.start_mark)
            keys.add(key.value)
        return node


for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", "-+0123456789"),
    (
        "float",
        rf"[-+]?(?:(?:0|[1-9][0-9]*)(?:{_FRACTION}{_EXPONENT}?|{_EXPONENT})|\.[0-9]+{_EXPONENT}?)",
        "-+.0123456789",
    ),
    ("merge", "<<", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def parse(text: str) -> Any:
    """Parse a YAML document into mappings by name, lists, text, numbers, true, false and None.

    Raises:
        ValueError: if the text is not valid, with a phrase that says what is wrong and in which line.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else loader.construct_object(node, deep=True)  # deep: what holds itself is refused
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError((error.problem or "wrong YAML") + (f", in line {mark.line + 1}" if mark else "")) from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def assignment(text: str) -> tuple[str, Any]:
    """The key of a text ``key=value``, and the value as YAML.

    Raises:
        SettingError: if the text is not of that form, or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingError(f"A setting is given as key=value, not as {text!r}.")
    try:
        return key, parse(value)
    except ValueError as error:
        raise SettingError(f"The value of {text!r} cannot be read: {error}.") from None
