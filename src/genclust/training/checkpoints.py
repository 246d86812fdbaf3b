"""Checkpoints: one file a seed, whole or absent, and readable whoever trained beside it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch


class DamagedCheckpoint(Exception):
    """A checkpoint that cannot be read; says which file, and what to do."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path`` atomically: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors and plain values only.

    Raises:
        DamagedCheckpoint: if the file is truncated or not a checkpoint.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different one for every way a file can be broken
        raise DamagedCheckpoint(
            f"The checkpoint {path} cannot be read ({type(error).__name__}); delete it to train this seed anew."
        ) from error
