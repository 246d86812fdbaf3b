"""Errors that a user can mend, told in one sentence."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from genclust.data import DataError
from genclust.estimators.saving import ModelError
from genclust.experiments.store import StoreError
from genclust.experiments.workers import Unfinished
from genclust.settings import SettingError
from genclust.training.checkpoints import DamagedCheckpoint

#: Messages of PyTorch where it cannot allocate memory, on a CPU and on a GPU.
OUT_OF_MEMORY = re.compile("not enough memory|can't allocate memory|out of memory")


@contextmanager
def one_sentence(status: int = 1, resumes: bool = True) -> Iterator[None]:
    """Context in which errors that a user can mend are told in one sentence, without a stack trace.

    Args:
        status: exit status of the command after such an error.
        resumes: whether the command keeps what was finished, and goes on from there when it is given again.
    """
    try:
        yield
    except (SettingError, DataError, StoreError, DamagedCheckpoint, ModelError) as error:
        print(f"genclust: {error}", file=sys.stderr)
        raise typer.Exit(status) from None
    except Unfinished as stopped:
        print(f"genclust: {stopped}", file=sys.stderr)
        raise typer.Exit(3) from None
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        print("genclust: The memory does not suffice; take fewer seeds at once or a smaller model.", file=sys.stderr)
        raise typer.Exit(status) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        kept = "; what was finished is kept" if resumes else ""
        print(f"genclust: {where}{error.strerror or error}{kept}.", file=sys.stderr)
        raise typer.Exit(status) from None
    except KeyboardInterrupt as stopped:
        otherwise = "Interrupted; the same command goes on from the last checkpoint." if resumes else "Interrupted."
        print(f"genclust: {str(stopped) or otherwise}", file=sys.stderr)
        raise typer.Exit(130) from None
