"""Running of training jobs: in this process, or several at once in processes of one core each.

On a CPU a process per core trains a network of the papers' size about 1.4 times as fast as one
process with all cores; see the page on speed.  The processes are joblib's.  They tell how far they are,
and learn that they should stop, through small files in a temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import time
from _thread import interrupt_main
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import joblib
import torch
from tqdm import tqdm

T = TypeVar("T")
SECONDS_BETWEEN_REPORTS = 0.5


class Unfinished(Exception):
    """Raised if a run was stopped in good order; the message says how to go on."""


class Watch(Protocol):
    """Protocol of the receiver to which a training reports its progress."""

    def begin(self, description: str, total: int, done: int) -> None:
        """Start the report: ``done`` of ``total`` steps have been made before."""

    def advance(self, steps: int, note: str) -> None:
        """Report that ``steps`` more steps have been made, with a note."""

    def stop(self) -> bool:
        """Whether the training should stop."""

    def abandon(self, message: str) -> AbstractContextManager[None]:
        """Context in which a request to stop raises :class:`Unfinished` with the message at once.

        For work that does not ask :meth:`stop`.
        """


class _Bar:
    """Watch of a training in this process: a progress bar, stopped by Ctrl-C and SIGTERM."""

    def __init__(self, progress: bool, signals: Signals) -> None:
        self.stop, self.abandon, self._progress = signals.caught, signals.abandon, progress
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
    """Watch of a training in a worker process, which reports through files."""

    def __init__(self, folder: Path, job: int, signals: Signals) -> None:
        self._folder, self._job = folder, job
        self.stop, self.abandon = signals.caught, signals.abandon
        self._steps = self._total = 0
        self._last = 0.0

    def begin(self, description: str, total: int, done: int) -> None:
        self._steps, self._total = done, total
        self._write("")

    def advance(self, steps: int, note: str) -> None:
        self._steps += steps
        if self._steps == self._total or time.monotonic() - self._last > SECONDS_BETWEEN_REPORTS:
            self._write(note)

    def _write(self, note: str) -> None:
        self._last = time.monotonic()
        if self._folder.exists():
            temporary = self._folder / f"{self._job}.new"
            temporary.write_text(json.dumps([self._steps, self._total, note]))
            temporary.replace(self._folder / f"{self._job}.json")


def _bar(progress: bool, **settings: Any) -> tqdm:
    return tqdm(unit="step", mininterval=0.5, disable=not progress, **settings)


class Signals:
    """Context in which Ctrl-C and SIGTERM are requests to stop, which a training obeys after its present step.

    Args:
        then: function that is called on each signal.
    """

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self._then = then
        self._caught = False
        self._message: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        with suppress(ValueError):  # not in the main thread: somebody else handles signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        self._caught = True
        self._then()
        if self._message is not None:
            raise Unfinished(self._message)

    def caught(self) -> bool:
        """Whether a signal has been received."""
        return self._caught

    @contextmanager
    def abandon(self, message: str) -> Iterator[None]:
        """See :meth:`Watch.abandon`."""
        self._message = message
        try:
            if self._caught:
                raise Unfinished(message)
            yield
        finally:
            self._message = None


@contextmanager
def in_process(progress: bool) -> Iterator[Watch]:
    """Context with a watch for work in this process, with a progress bar."""
    with Signals() as signals:
        bar = _Bar(progress, signals)
        try:
            yield bar
        finally:
            bar.close()


def count(jobs: int) -> int:
    """Number of worker processes: no more than there are jobs, or cores that this process may use."""
    return min(jobs, torch.get_num_threads())


def in_pool(
    function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], description: str, progress: bool
) -> Iterator[T]:
    """Yield ``function(*job, watch)`` of all jobs as they finish, several at once, each on its share of the cores.

    Raises:
        Unfinished: also if a process was killed; or whatever a job raised, after the others were stopped in good order.
    """
    n = count(len(jobs))
    with (
        tempfile.TemporaryDirectory(prefix="genclust-") as name,
        Signals(Path(name, "stop").touch) as signals,
        _bar(progress, desc=f"{description}, {len(jobs)} seeds in {n} processes") as bar,
        joblib.parallel_config(
            "loky",
            n_jobs=n,
            inner_max_num_threads=max(1, torch.get_num_threads() // n),
            mmap_mode="c",  # large arrays are shared, and writable for Torch's sake
        ),
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
        except BrokenProcessPool:  # joblib ends the others as well
            raise Unfinished(
                "A process was killed, by lack of memory perhaps; what was begun goes on from its last checkpoint "
                "with the same command."
            ) from None
        finally:
            (folder / "stop").touch()
            following.join()
    for error in failures:
        if not isinstance(error, Unfinished):
            raise error
    if failures:
        raise Unfinished(" ".join(map(str, failures)))
    if signals.caught():
        raise Unfinished("Interrupted; what was begun has a checkpoint, and the same command goes on from there.")


def _guarded(
    function: Callable[..., T], job: tuple[Any, ...], folder: Path, number: int, parent: int
) -> tuple[T | None, Exception | None]:
    """Run one job in a worker; its exception is returned as a value, so that the others can end in good order."""
    done = threading.Event()

    def heed() -> None:
        while not done.wait(SECONDS_BETWEEN_REPORTS):
            if (folder / "stop").exists() or not folder.exists() or os.getppid() != parent:
                interrupt_main(signal.SIGTERM)  # as if it had come from outside

    with _leash(parent).while_working_in(folder), Signals() as signals:
        if not folder.exists() or (folder / "stop").exists():
            return None, None
        threading.Thread(target=heed, daemon=True).start()
        try:
            return function(*job, _Files(folder, number, signals)), None
        except Exception as error:
            return None, error
        finally:
            done.set()


class _Leash:
    """Ends a worker process when the process that started it is gone, but not in the middle of a job.

    Left alone it would wait for more work for minutes, and keep the folder of messages.
    """

    def __init__(self, parent: int) -> None:
        self._parent, self._folder = parent, Path()
        self._working = threading.Lock()
        threading.Thread(target=self._follow, daemon=True).start()

    @contextmanager
    def while_working_in(self, folder: Path) -> Iterator[None]:
        with self._working:
            self._folder = folder
            yield
            if self._is_alone():  # a result that nobody receives ends the process before the thread looks again
                self._end()

    def _follow(self) -> None:
        while not self._is_alone():
            time.sleep(SECONDS_BETWEEN_REPORTS)
        with self._working:
            self._end()

    def _is_alone(self) -> bool:
        return os.getppid() != self._parent

    def _end(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(1)


_leash = cache(_Leash)  # one per process


def _follow(folder: Path, jobs: int, bar: tqdm) -> None:
    """Update the progress bar from the files that the workers write, until they are told to stop."""
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
