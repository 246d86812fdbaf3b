"""How good the tests are at noticing faults: every entry of faults.yaml is made by itself, and tests must fail.

    python tests/faults/check.py                     all of them, some seconds each
    python tests/faults/check.py gmvae "log n"       those of whose file, change or reason these words are part

A fault is made in a copy of src/, which the tests then import; the repository is left alone.  First of all the
named tests have to pass on an unchanged copy.  Where they do not notice a fault, all unit tests are asked, unless
``--named`` is given.  The exit status is 1 if a fault survived or could not be judged.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import multiprocessing
import os
import py_compile
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE, UNIT = REPOSITORY / "src", REPOSITORY / "tests" / "unit"
#: After so many seconds tests are taken to hang.
PATIENCE = 1200
#: What takes seconds to import and is the same for every fault.
LIBRARIES = [
    *("torch", "torch.distributions", "sympy", "triton", "scipy.stats", "sklearn.cluster", "sklearn.manifold"),
    *("pandas", "IPython.display", "PIL.Image", "jaxtyping", "tqdm", "yaml", "pytest"),
]


@dataclass(frozen=True)
class Fault:
    """One change of one place.

    Attributes:
        file: within src/genclust.
        before: text that stands there exactly once.
        after: what takes its place.
        why: what would be wrong with the numbers.
        tests: which should notice, within tests/unit: files, or tests of a file as pytest names them.
    """

    file: str
    before: str
    after: str
    why: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: {' '.join(self.before.split())} -> {' '.join(self.after.split())}"

    def applied(self, source: Path) -> str:
        """The changed text of the file.

        Raises:
            ValueError: if the text to be changed does not stand there exactly once, nothing would change, or what
                comes out is no Python.
        """
        text = (source / "genclust" / self.file).read_text(encoding="utf-8")
        found = text.count(self.before)
        if found != 1:
            raise ValueError(f"{self}: the text must stand there once, not {found} times; mend the list.")
        if self.before == self.after:
            raise ValueError(f"{self}: nothing would change.")
        changed = text.replace(self.before, self.after)
        try:
            ast.parse(changed)
        except SyntaxError as error:
            raise ValueError(f"{self}: what comes out is no Python: {error}.") from error
        return changed


def faults() -> list[Fault]:
    """The list, in its order."""
    entries = yaml.safe_load((Path(__file__).parent / "faults.yaml").read_text(encoding="utf-8"))
    return [Fault(**entry | {"tests": tuple(entry["tests"])}) for entry in entries]


class FirstFailure:
    """A plugin of pytest that keeps the name of the first test that failed."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid.removeprefix("tests/unit/")


def _run(source: str, scratch: str, tests: tuple[str, ...], answer: Connection) -> None:
    """In a process of its own: run the tests on the library in ``source``; answers (exit status, first failure)."""
    os.chdir(REPOSITORY)
    os.environ |= {"PYTHONPATH": source, "GENCLUST_CACHE": f"{scratch}/cache", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.path.insert(0, source)
    with open(f"{scratch}/output", "w") as output:
        os.dup2(output.fileno(), 1), os.dup2(output.fileno(), 2)
    import genclust

    if not genclust.__file__.startswith(source):
        raise ImportError(f"The tests would run on {genclust.__file__} and not on the copy in {source}.")
    first = FirstFailure()
    arguments = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={scratch}/pytest"]
    status = pytest.main([*arguments, *(str(UNIT / test) for test in tests)], plugins=[first])
    answer.send((int(status), first.name))


def run(source: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Exit status of pytest on the library in ``source`` (0 passed, 1 failed, else not run), and what failed first."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    receive, send = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        process = context.Process(target=_run, args=(str(source), scratch, tests, send))
        process.start()
        send.close()
        try:
            status, name = receive.recv() if receive.poll(PATIENCE) else (-1, f"no end after {PATIENCE} s")
        except EOFError:
            status, name = -2, "the process ended without an answer"
        process.join(60 if status >= 0 else 0)
        process.kill()
        process.join()
        if status not in (0, 1):
            name = f"{name}; the end of the output:\n" + (Path(scratch) / "output").read_text()[-2000:]
    return status, name


def check(fault: Fault, copy: Path, fallback: bool) -> tuple[bool | None, str]:
    """Whether some test noticed the fault (None if the tests could not be run), and which one."""
    file = copy / "genclust" / fault.file
    unchanged, changed = file.read_text(encoding="utf-8"), fault.applied(copy)
    file.write_text(changed, encoding="utf-8")
    try:
        status, name = run(copy, fault.tests)
        if status == 0 and fallback:
            status, name = run(copy, (".",))
    finally:
        file.write_text(unchanged, encoding="utf-8")
    return {0: False, 1: True}.get(status), name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults with one of these in their file, change or reason")
    parser.add_argument("--named", action="store_true", help="only the named tests, not all unit tests after them")
    asked = parser.parse_args()
    everything = faults()
    chosen = [f for f in everything if not asked.words or any(w in f"{f} {f.why}" for w in asked.words)]
    for fault in chosen:  # all or none: a list that is out of date proves nothing
        fault.applied(SOURCE)
    if not chosen:
        raise SystemExit("No fault has these words; none leaves all of them.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TRITON_INTERPRET", "1")
    outcomes: dict[Fault, bool | None] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-source-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        # By contents, since by time and size a sign that changed within a second would go unnoticed.
        compileall.compile_dir(copy, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        print("The named tests without a fault ...", flush=True)
        status, name = run(copy, tuple(sorted({test for fault in chosen for test in fault.tests})))
        if status != 0:
            raise SystemExit(f"The tests do not pass without a fault: {name}")
        for number, fault in enumerate(chosen, 1):
            outcomes[fault], name = check(fault, copy, not asked.named)
            outcome = {True: f"caught by {name}", False: "SURVIVED", None: f"NOT JUDGED: {name}"}[outcomes[fault]]
            print(f"{number:4}/{len(chosen)}  {fault}\n          {outcome}", flush=True)
    for fault, caught in outcomes.items():
        if not caught:
            print(f"{'Survived' if caught is False else 'Not judged'}: {fault} ({fault.why})")
    tally = sum(caught is True for caught in outcomes.values())
    print(f"{tally} of {len(chosen)} faults were caught, in {(time.monotonic() - began) / 60:.0f} minutes.")
    return int(tally < len(chosen))


if __name__ == "__main__":
    sys.exit(main())
