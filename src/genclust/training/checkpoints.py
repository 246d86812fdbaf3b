"""Checkpoints: one file per seed; those of seeds that train side by side are replaced all together or not at all."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from genclust.paths import naming

#: Suffix of the name of a new file until all files of its group are written.
NEXT = ".next"
#: Suffix of the list of completely written files, some of which may still have the suffix ``NEXT``.
COMMIT = ".commit"


class DamagedCheckpoint(Exception):
    """Error for a checkpoint that cannot be read or used; the message names the file and the remedy."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"The checkpoint {path} cannot be used ({why}); delete it to train this seed anew.")


def save(states: Mapping[Path, Mapping[str, Any]]) -> None:
    """Write a group of checkpoints to one folder atomically: a reader sees all the old ones or all the new ones.

    All are written under other names, then a list of them, then all are renamed; :func:`recover` finishes a
    save that was interrupted after the list was written.
    """
    folder = next(iter(states)).parent
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for path, state in states.items():
            content = io.BytesIO()  # torch reports a full disk in no way of its own
            torch.save(state, content)
            _write(path, content.getbuffer())
    except BaseException:
        for path in states:
            _next(path).unlink(missing_ok=True)
        raise
    commit = next(iter(states)).with_suffix(COMMIT)
    _write(commit, json.dumps([path.name for path in states]).encode())
    _next(commit).replace(commit)
    _finish(commit)


def _write(path: Path, content: bytes | memoryview) -> None:
    """Write what ``path`` is to hold under its other name."""
    with naming(path), open(_next(path), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _next(path: Path) -> Path:
    return path.with_name(path.name + NEXT)


def _listed(commit: Path) -> list[str]:
    """Names in a list of written files; none where a power failure cut it short, as the old files are whole then."""
    try:
        return list(json.loads(commit.read_text()))
    except ValueError:
        return []


def _finish(commit: Path) -> None:
    for name in _listed(commit):
        written = _next(commit.with_name(name))
        if written.exists():
            written.replace(commit.with_name(name))
    commit.unlink()


def recover(*paths: Path) -> None:
    """Undo or complete an interrupted :func:`save`, so that the checkpoints of a group are consistent."""
    for folder in {path.parent for path in paths}:
        for commit in folder.glob(f"*{COMMIT}"):
            if {path.name for path in paths} & set(_listed(commit)):
                _finish(commit)
    for path in paths:
        _next(path).unlink(missing_ok=True)
        for commit in (path.with_suffix(COMMIT), _next(path.with_suffix(COMMIT))):
            commit.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are accepted.

    Raises:
        DamagedCheckpoint: if the file is truncated or not a checkpoint, or a checksum in it is wrong.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if wrong := archive.testzip():  # torch.load does not look at the checksums
                raise DamagedCheckpoint(path, f"the checksum of {wrong} in it is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except DamagedCheckpoint:
        raise
    except Exception as error:  # torch and zipfile raise a different one for every way a file can be broken
        raise DamagedCheckpoint(path, f"reading it ends in {type(error).__name__}") from error
    if not isinstance(state, dict):
        raise DamagedCheckpoint(path, f"it holds a {type(state).__name__}")
    return state
