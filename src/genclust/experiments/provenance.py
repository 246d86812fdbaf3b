"""Provenance of a computation: device, processor, versions of libraries, source revision and date."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from genclust.paths import root
from genclust.settings import SettingError

#: Suffix of a revision with uncommitted changes.
CHANGED = "+changes"


def provenance(device: str, packages: Sequence[str] = ()) -> dict[str, Any]:
    """Provenance of a computation on a device: versions of libraries and more packages, source revision and date."""
    return {
        "device": torch.cuda.get_device_name(device) if device != "cpu" else platform.machine(),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn", *packages)},
        "source": source_revision(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def processor() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


@cache
def source_revision() -> str:
    """Commit of the working copy, with ``+changes`` if ``src/`` or a module beside it has uncommitted changes.

    Outside a clone it is the environment variable ``GENCLUST_REVISION``, by default empty.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root()), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "src", ":(glob)*.py")
        return git("rev-parse", "--short=12", "HEAD") + (CHANGED if changed else "")
    except (OSError, subprocess.CalledProcessError, SettingError):
        return os.environ.get("GENCLUST_REVISION", "")


def is_committed(source: str) -> bool:
    """Whether a source revision is a commit without uncommitted changes."""
    return bool(source) and not source.endswith(CHANGED)
