"""Papers whose results are reproduced, as listed in ``papers.yaml`` beside ``experiments/``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from genclust.data import sources
from genclust.paths import root
from genclust.settings import SettingError, nearest, read
from genclust.strict_yaml import parse


@dataclass(frozen=True)
class Paper:
    """A paper whose tables and figures are declared.

    Attributes:
        title: name of the paper in tables.
        models: the Python module that registers its models (:func:`genclust.models.register`), beside ``papers.yaml``
            or installed; empty if the library has them.
        datasets: titles in tables of data sets that it reports on and that have no source, by the name in declarations.
        own_models: names of the models that it proposes; other models in its tables are those that it compares with.
    """

    title: str
    models: str = ""
    datasets: Mapping[str, str] = field(default_factory=dict)
    own_models: tuple[str, ...] = ()


def papers() -> Mapping[str, Paper]:
    """All papers by the short names that declarations use, in the order of the book.

    Raises:
        SettingError: if ``papers.yaml`` is missing or malformed.
    """
    path = root() / "papers.yaml"
    try:
        return _papers(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(
            f"There is no {path}; it names the papers of the experiments/ beside it, as `simple: {{title: Simple}}`."
        ) from None
    except (OSError, ValueError) as error:
        raise SettingError(
            f"{path} is not a list of papers, each with a title: {' '.join(str(error).split())}"
        ) from None


@cache
def _papers(text: str) -> Mapping[str, Paper]:
    entries = parse(text)
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise ValueError("it should hold a mapping for each short name")
    return {name: read(Paper, entry, name) for name, entry in entries.items()}


def paper(name: str) -> Paper:
    """Paper with the given short name.

    Raises:
        SettingError: if ``papers.yaml`` has none; the message suggests the nearest.
    """
    known = papers()
    if name not in known:
        raise SettingError(nearest(name, known, "paper in papers.yaml called"))
    return known[name]


def register_models() -> None:
    """Import the modules that register the models of papers; a second call does nothing.

    Raises:
        SettingError: if a module cannot be found or imported, or a model in it does not keep the contract.
    """
    for name, one in papers().items():
        if one.models:
            _imported(root(), name, one.models)


@cache
def _imported(folder: Path, paper: str, module: str) -> None:
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module(module)
    except SettingError as error:
        raise SettingError(f"papers.yaml, {paper}: {error}") from None
    except ModuleNotFoundError as error:
        of = "of its models" if error.name == module else f"that {module} imports"
        raise SettingError(
            f"papers.yaml, {paper}: The module {error.name} {of} is neither in {folder} nor installed."
        ) from None
    except Exception as error:
        raise SettingError(
            f"papers.yaml, {paper}: The module {module} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.remove(str(folder))


def dataset_title(name: str) -> str:
    """Title of a data set in tables, or of a form of one such as ``omniglot (bicubic)``; by default its name.

    Of a user's own file it is the file name, without its folder.
    """
    if name.endswith(".npz"):
        return Path(name).name
    for one in papers().values():
        if name in one.datasets:
            return one.datasets[name]
    source_name, _, variant = name.partition(" (")
    source = sources().get(source_name)
    if source is None:
        return name
    source = source.variant(variant.removesuffix(")"))
    return source.heading or source.title
