"""Libraries that some baselines need and nothing else does."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import torch

from genclust.settings import SettingError

#: Names of packages by the module that is imported.
PACKAGES = {"umap": "umap-learn", "clustpy": "clustpy"}


class MissingLibrary(SettingError):
    """Error for a baseline whose library is not installed; the message names the command that installs it."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Context without the progress bars, messages and warnings of a library, which leaves the number of threads alone.

    Numba, which UMAP is compiled by, tells OpenMP to use all cores, and PyTorch obeys: it would sum in another order.
    """
    threads = torch.get_num_threads()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            torch.set_num_threads(threads)
