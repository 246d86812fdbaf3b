"""Where a user's own files go."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Runs, records and data of the user: ``GENCLUST_CACHE``, or ``genclust`` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genclust"
    return Path(os.environ.get("GENCLUST_CACHE") or default).expanduser()
