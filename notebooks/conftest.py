"""nbval compares notebooks as the book's build ran them, so that they are not run a second time.

In the place of a kernel it is given the copy in ``_build/executed``, made now if it is missing or out of date; a cell
is answered only if it is the next one of that copy. Whether the outputs are those that are stored, nbval decides.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import pytest

from genclust.book.build import run_notebooks

ROOT = Path(__file__).resolve().parents[1]


@cache
def executed() -> dict[str, Path]:
    """Executed copies by name; what has to be run sees no data, like all tests that do not ask for them."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        patch.setenv("GENCLUST_DATA", empty)
        return run_notebooks(ROOT)


class Executed:
    """What nbval asks of a kernel, answered from a notebook that was run."""

    def __init__(self, path: Path) -> None:
        self.cells = iter([cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"])
        self.messages: list[dict[str, Any]] = []
        self.answered = 0

    def is_alive(self) -> bool:
        return True

    def execute_cell_input(self, source: str, allow_stdin: bool | None = None) -> str:
        cell = next(self.cells, None)
        if cell is None or cell.source != source:
            raise AssertionError("The executed copy has another cell here.")
        self.answered += 1
        name = str(self.answered)
        for output in [*cell.outputs, {"output_type": "status", "execution_state": "idle"}]:
            content = {key: value for key, value in output.items() if key != "output_type"}
            message = {"msg_type": output["output_type"], "content": content, "parent_header": {"msg_id": name}}
            self.messages.append(message)
        return name

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """It is there."""

    def await_idle(self, msg_id: str, timeout: float | None = None) -> None:
        self.messages.clear()

    def get_message(self, stream: str = "iopub", timeout: float | None = None) -> dict[str, Any]:
        if not self.messages:
            raise Empty
        return self.messages.pop(0)

    def stop(self) -> None:
        """Nothing runs."""


def pytest_configure(config: pytest.Config) -> None:
    from nbval.plugin import IPyNbFile

    def setup(file: IPyNbFile) -> None:
        file.kernel = Executed(executed()[file.path.stem])
        file.setup_sanitize_files()

    IPyNbFile.setup = setup
