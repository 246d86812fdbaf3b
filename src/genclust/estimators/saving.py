"""Saved estimators: a folder with weights, a description that says what they are, and a card for people.

Nothing in it is executed when it is read: arrays are safetensors, and the description is JSON that holds the weights'
SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensors_as_bytes
from torch import Tensor

from genclust import __version__
from genclust.estimators import clustering, density
from genclust.estimators.base import DeepEstimator, final_values
from genclust.estimators.card import clusters_of, describe
from genclust.estimators.inputs import Scaling
from genclust.models import MODELS
from genclust.paths import root
from genclust.settings import SettingError
from genclust.wording import did_you_mean

E = TypeVar("E", bound=DeepEstimator)

#: A new one whenever an older version would misread a folder: 2 may have logarithms of columns.
FORMATS = (1, 2)
WEIGHTS, DESCRIPTION, CARD = "weights.safetensors", "estimator.json", "card.md"
#: Fitted attributes that are arrays, and those that are plain values.
ARRAYS = ("labels_", "all_labels_", "cluster_sizes_", "mean_probabilities_", "bounds_")
PLAIN = ("seeds_", "best_", "bound_", "history_", "histories_", "n_epochs_", "n_features_in_", "_n_features_out")
#: Every estimator by its name.
ESTIMATORS: dict[str, type[DeepEstimator]] = {
    cls.__name__: cls
    for module in (clustering, density)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, DeepEstimator) and hasattr(cls, "model_name")
}


class ModelError(ValueError):
    """A saved estimator cannot be read or written; says why, and what would be right."""


def save(estimator: DeepEstimator, path: Path, half: bool = False, card: str = "", overwrite: bool = False) -> None:
    """Write a fitted estimator into a folder, whole or not at all.

    Args:
        estimator: fitted.
        path: the folder, which does not exist yet or is empty.
        half: whether weights are written in half precision, except those that do not fit its range.
        card: text for people; by default what the estimator knows of itself.
        overwrite: whether a saved estimator that lies there is replaced.

    Raises:
        ModelError: if the folder holds something, unless it is a saved estimator that may be replaced.
        OSError: if it cannot be written.
    """
    path = Path(os.path.expanduser(path)).resolve()  # which leaves the home of an unknown user as it is
    refuse_to_replace(path, overwrite)
    fitted = vars(estimator)
    weights = {f"model.{name}": tensor.cpu() for name, tensor in estimator.model_.state_dict().items()}
    if half:
        weights = {name: _halved(tensor) for name, tensor in weights.items()}
    arrays = {name: torch.tensor(fitted[name]) for name in ARRAYS if name in fitted}
    scaling = {f"scaling.{side}": torch.from_numpy(getattr(estimator.scaling_, side)) for side in ("shift", "scale")}
    content = tensors_as_bytes({name: t.contiguous() for name, t in (weights | arrays | scaling).items()})
    description = {
        "format": 2 if estimator.scaling_.kind == "log" else 1,
        "estimator": type(estimator).__name__,
        "parameters": estimator.get_params(deep=False) | {"random_state": _plain_seed(estimator.random_state)},
        "model": {
            "name": estimator.model_name,
            "revision": estimator.model_.revision,
            **vars(cast(Any, estimator.model_).settings),
        },
        "image_shape": estimator.image_shape_,
        "feature_names": None if "feature_names_in_" not in fitted else list(estimator.feature_names_in_),
        "scaling": estimator.scaling_.kind,
        "fitted": {name: fitted[name] for name in PLAIN},
        **({"clusters": clusters_of(estimator)} if "labels_" in fitted else {}),
        **({"class_names": fitted["class_names_"]} if "class_names_" in fitted else {}),
        **({"scheduled": fitted["scheduled_"]} if "scheduled_" in fitted else {}),
        "half_precision": half,
        "sha256": hashlib.sha256(content).hexdigest(),
        "genclust": __version__,
    }
    text = json.dumps(_finite(description), indent=1, default=_as_plain, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as new:
        (Path(new) / WEIGHTS).write_bytes(content)
        (Path(new) / DESCRIPTION).write_text(text + "\n", encoding="utf8")
        (Path(new) / CARD).write_text(card or describe(estimator), encoding="utf8")
        os.chmod(new, 0o755)
        _replace(path, Path(new))
        Path(new).mkdir()  # for the context manager to remove


def _replace(path: Path, new: Path) -> None:
    """Put the folder ``new`` in the place of ``path``, or leave what is there."""
    old = new.with_name(f"{new.name}-replaced")
    try:
        if path.exists():
            os.rename(path, old)
        os.rename(new, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def refuse_to_replace(path: Path, overwrite: bool = False) -> None:
    """Refuse a path that holds anything, except a saved estimator that may be overwritten.

    Raises:
        ModelError: if so.
    """
    if not path.exists():
        return
    held = {entry.name for entry in path.iterdir()} if path.is_dir() else {""}
    if held and DESCRIPTION not in held:
        raise ModelError(f"{path} exists and holds no saved model; give a folder that does not exist yet.")
    if held and not overwrite:
        raise ModelError(f"{path} holds a saved model already; give another folder, or overwrite=True to replace it.")
    if others := sorted(held - {WEIGHTS, DESCRIPTION, CARD}):
        raise ModelError(f"{path} holds {others[0]!r} beside a saved model; give another folder, or move it away.")


def load(path: Path | str, kind: type[E] = DeepEstimator) -> E:
    """Read a saved estimator, or a published one by its name.

    Args:
        path: a folder that ``save`` wrote, or an experiment's row such as ``simple-table1/proposed-usps``, whose
            trained model is published in ``models/``.
        kind: the class that it must be of.

    Raises:
        ModelError: if there is none, or it is damaged, altered, from a newer version, or of another class.
    """
    folder = folder_of(path)
    description = _description(folder)
    name = description["estimator"]
    cls = ESTIMATORS.get(name)
    if cls is None:
        raise ModelError(f"{folder} holds a model of the unknown kind {name!r}; known are {', '.join(ESTIMATORS)}.")
    if not issubclass(cls, kind):
        raise ModelError(f"{folder} holds a {name} and no {kind.__name__}; take {name}.load.")
    try:
        content = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise ModelError(f"{folder / WEIGHTS} cannot be read: {error.strerror}.") from None
    if hashlib.sha256(content).hexdigest() != description["sha256"]:
        raise ModelError(f"{folder / WEIGHTS} is damaged or altered: its SHA-256 is not that of {DESCRIPTION}.")
    try:
        return cast(E, _restored(cls, description, read_tensors(content)))
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        reason = f"it lacks {reason}" if isinstance(error, KeyError) else reason
        raise ModelError(f"{folder} is damaged: {reason.rstrip('.')}.") from None


def published() -> list[str]:
    """The names of the published trained models."""
    folder = root() / "models"
    return sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob(DESCRIPTION))


def folder_of(path: Path | str) -> Path:
    """The folder of a saved estimator, or of a published one by its name.

    Raises:
        ModelError: if there is none.
    """
    folder = Path(os.path.expanduser(path))
    try:
        if (folder / DESCRIPTION).is_file():
            return folder
    except OSError as error:  # a name that is too long
        raise ModelError(f"There is no folder {folder}: {error.strerror}.") from None
    if folder.is_dir():
        inside = sorted(entry.parent for entry in folder.glob(f"*/{DESCRIPTION}"))
        several = f"; give one of those in it, such as {inside[0]}" if inside else f": it has no {DESCRIPTION}"
        raise ModelError(f"{folder} holds no saved model{several}.")
    if folder.exists():
        raise ModelError(f"{folder} is a file; a saved model is a folder with {DESCRIPTION} and {WEIGHTS}.")
    try:
        names = published()
    except SettingError:
        names = []
    if str(path) in names:
        return root() / "models" / str(path)
    beside = [entry.name for entry in folder.parent.iterdir() if entry.is_dir()] if folder.parent.is_dir() else []
    neither = ", and no published model is called so; genclust card lists those." if names else "."
    hint = did_you_mean(folder.name, beside, 0.8, otherwise=did_you_mean(str(path), names, otherwise=neither))
    raise ModelError(f"There is no folder {folder}{hint}")


def card_of(path: Path | str) -> str:
    """The card of a saved estimator, or of a published one by its name.

    Raises:
        ModelError: if there is no such estimator, or its card cannot be read.
    """
    card = folder_of(path) / CARD
    try:
        return card.read_text(encoding="utf8")
    except OSError as error:
        raise ModelError(f"{card} cannot be read: {error.strerror}; save the model anew.") from None


def _description(folder: Path) -> dict[str, Any]:
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf8"))
        fmt, name, _ = description["format"], description["estimator"], description["sha256"]
        if not isinstance(name, str):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ModelError(f"{folder / DESCRIPTION} is damaged, or no description of a saved model.") from None
    if fmt not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise ModelError(f"{folder} is in format {fmt!r}, and this version of genclust reads the formats {known}.")
    return description


def _restored(cls: type[DeepEstimator], description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> DeepEstimator:
    parameters = {
        name: tuple(value) if isinstance(value, list) else value for name, value in description["parameters"].items()
    }
    estimator = cls(**parameters)
    for name in PLAIN:
        setattr(estimator, name, _with_nan(description["fitted"][name]))
    for name in ARRAYS:
        if name in tensors:
            setattr(estimator, name, tensors[name].numpy())
    if "class_names" in description:
        estimator.class_names_ = [str(name) for name in description["class_names"]]
    if description["feature_names"] is not None:
        estimator.feature_names_in_ = np.array(list(description["feature_names"]), dtype=object)
    shape = description["image_shape"]
    estimator.image_shape_ = None if shape is None else tuple(shape)
    sides = (tensors[f"scaling.{side}"].numpy() for side in ("shift", "scale"))
    estimator.scaling_ = Scaling(description["scaling"], *sides)
    module, settings = MODELS[cls.model_name]
    model = dict(description["model"])
    model.pop("name")
    if (revision := model.pop("revision")) != module.revision:
        raise SettingError(f"it is of revision {revision} of its model, and this version has {module.revision}")
    estimator.model_ = module(1, estimator.n_features_in_, settings(**{k: without_lists(v) for k, v in model.items()}))
    weights = {name.removeprefix("model."): t.float() for name, t in tensors.items() if name.startswith("model.")}
    estimator.model_.eval()  # before loading, as what a model works out when training pauses is among the weights
    estimator.model_.load_state_dict(weights)
    if "scheduled" in description:
        estimator.scheduled_ = {name: float(description["scheduled"][name]) for name in module.schedules}
    else:  # of an earlier version, which went by the parameters
        estimator.scheduled_ = final_values(estimator._schedules(), estimator.model_, estimator.n_epochs_)
    return estimator


def _halved(tensor: Tensor) -> Tensor:
    """In half precision, where the values fit its range: some variances of batch normalisation do not."""
    fits = tensor.is_floating_point() and tensor.abs().max() <= torch.finfo(torch.float16).max
    return tensor.half() if fits else tensor


def without_lists(value: Any) -> Any:
    """A setting as it is in Python, where JSON and YAML have a list for a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _plain_seed(random_state: Any) -> int | None:
    """A seed that can be written down; a generator cannot."""
    return int(random_state) if isinstance(random_state, (int, np.integer)) else None


def _finite(value: Any) -> Any:
    """Replace numbers that are not finite by None, for JSON: the learning curve of a diverged seed may hold some."""
    if isinstance(value, Mapping):
        return {name: _finite(of) for name, of in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(of) for of in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(value: Any) -> Any:
    """Replace None by NaN: numbers that :func:`_finite` could not write."""
    if isinstance(value, dict):
        return {name: _with_nan(of) for name, of in value.items()}
    if isinstance(value, list):
        return [_with_nan(of) for of in value]
    return math.nan if value is None else value


def _as_plain(value: Any) -> Any:
    """NumPy's numbers and arrays for JSON."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else str(value)
