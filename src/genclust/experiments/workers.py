"""Where seeds train: in this process, or several at once in processes of one core each.

On a CPU a process a core trains a network of the papers' size about 1.4 times as fast as one
process with all cores; see the page on speed.  The processes are joblib's.  They tell how far they are,
and learn that they should stop, through small files in a temporary folder.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import joblib
import torch
from tqdm import tqdm

T = TypeVar("T")
SECONDS_BETWEEN_REPORTS = 0.5


class Unfinished(Exception):
    """A run that was stopped in good order; the message says how to go on."""


class Watch(Protocol):
    """What a training reports to."""

    def begin(self, description: str, total: int, done: int) -> None:
        """``done`` of ``total`` steps have been made before."""

    def advance(self, steps: int, note: str) -> None:
        """More steps have been made."""

    def stop(self) -> bool:
        """Whether somebody wants the training to stop."""


class _Bar:
    """A progress bar here; Ctrl-C and SIGTERM stop."""

    def __init__(self, progress: bool, interrupted: Callable[[], bool]) -> None:
        self.stop, self._progress = interrupted, progress
        self._bar: tqdm | None = None

    def begin(self, description: str, total: int, done: int) -> None:
        self._bar = _bar(self._progress, desc=description, total=total, initial=done)

    def advance(self, steps: int, note: str) -> None:
        assert self._bar is not None
        self._bar.update(steps)
        self._bar.set_postfix_str(note, refresh=False)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Files:
    """The same from another process; stops too when the process that asked for the work is gone."""

    def __init__(self, folder: Path, job: int, interrupted: Callable[[], bool]) -> None:
        self._folder, self._job, self._interrupted = folder, job, interrupted
        self._steps = self._total = 0
        self._last = 0.0

    def begin(self, description: str, total: int, done: int) -> None:
        self._steps, self._total = done, total
        self._write("")

    def advance(self, steps: int, note: str) -> None:
        self._steps += steps
        if self._steps == self._total or time.monotonic() - self._last > SECONDS_BETWEEN_REPORTS:
            self._write(note)

    def stop(self) -> bool:
        return self._interrupted() or (self._folder / "stop").exists() or not self._folder.exists()

    def _write(self, note: str) -> None:
        self._last = time.monotonic()
        if self._folder.exists():
            temporary = self._folder / f"{self._job}.new"
            temporary.write_text(json.dumps([self._steps, self._total, note]))
            temporary.replace(self._folder / f"{self._job}.json")


def _bar(progress: bool, **settings: Any) -> tqdm:
    return tqdm(unit="step", mininterval=0.5, disable=not progress, **settings)


@contextmanager
def signals(then: Callable[[], object] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a request to stop after the present step, and call ``then``."""
    caught: list[int] = []

    def handle(number: int, _: object) -> None:
        caught.append(number)
        then()

    handlers: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, handle)
    except ValueError:  # not in the main thread: somebody else handles signals
        pass
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def here(progress: bool) -> Iterator[Watch]:
    """Work in this process, with a progress bar."""
    with signals() as interrupted:
        bar = _Bar(progress, interrupted)
        try:
            yield bar
        finally:
            bar.close()


def count(jobs: int) -> int:
    """How many processes to use: no more than there are jobs, or cores that this process may use."""
    return min(jobs, torch.get_num_threads())


def each(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], description: str, progress: bool) -> Iterator[T]:
    """Yield ``function(*job, watch)`` of all jobs as they finish, several at once, each on its share of the cores.

    Raises:
        Unfinished: or whatever a job raised, after the others were stopped in good order.
    """
    n = count(len(jobs))
    with (
        tempfile.TemporaryDirectory(prefix="genclust-") as name,
        signals(Path(name, "stop").touch) as interrupted,
        _bar(progress, desc=f"{description}, {len(jobs)} seeds in {n} processes") as bar,
        joblib.parallel_config("loky", n_jobs=n, inner_max_num_threads=max(1, torch.get_num_threads() // n)),
    ):
        folder = Path(name)
        following = threading.Thread(target=_follow, args=(folder, len(jobs), bar), daemon=True)
        following.start()
        failures: list[Exception] = []
        try:
            work = (joblib.delayed(_guarded)(function, job, folder, i, os.getpid()) for i, job in enumerate(jobs))
            for result, error in joblib.Parallel(return_as="generator_unordered", pre_dispatch=n)(work):
                if error is not None:
                    failures.append(error)
                    (folder / "stop").touch()
                elif result is not None:
                    yield result
        finally:
            (folder / "stop").touch()
            following.join()
    for error in failures:
        if not isinstance(error, Unfinished):
            raise error
    if failures:
        raise Unfinished(" ".join(map(str, failures)))
    if interrupted():
        raise Unfinished("Interrupted; what was begun has a checkpoint, and the same command goes on from there.")


def _guarded(
    function: Callable[..., T], job: tuple[Any, ...], folder: Path, number: int, parent: int
) -> tuple[T | None, Exception | None]:
    """Run one job in a worker; its exception comes back as a value, so that the others can end in good order."""
    with signals() as interrupted:
        watch = _Files(folder, number, lambda: interrupted() or os.getppid() != parent)
        if watch.stop():
            return None, None
        try:
            return function(*job, watch), None
        except Exception as error:
            return None, error


def _follow(folder: Path, jobs: int, bar: tqdm) -> None:
    """Add up what the workers have written, until they are told to stop."""
    while True:
        ending = (folder / "stop").exists()
        newest_last = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        reports = [json.loads(path.read_text()) for path in newest_last]
        if reports:
            bar.total = jobs * max(total for _, total, _ in reports)
            bar.set_postfix_str(reports[-1][2], refresh=False)
            bar.update(sum(steps for steps, _, _ in reports) - bar.n)
        if ending:
            return
        time.sleep(SECONDS_BETWEEN_REPORTS)
