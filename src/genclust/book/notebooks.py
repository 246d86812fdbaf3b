"""Running of notebooks with papermill, so that only complete ones are written.

Papermill only warns of a parameter that the notebook does not know, and a killed run leaves a file that looks
like a finished one. Here an unknown parameter is refused before anything runs, and the notebook is written
under a temporary name that becomes the real one when every cell has completed. The progress of training is for the
terminal, and is not in what is written.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill

from genclust.book.page import as_html
from genclust.paths import write_whole
from genclust.wording import did_you_mean

KERNEL = "python3"  # resolves to the environment that is running
#: Errors of the library whose message is one sentence for the user.
TOLD = (
    "DamagedCheckpoint",
    "DataError",
    "Held",
    "LackingMetric",
    "MissingData",
    "MissingLibrary",
    "ModelError",
    "ResultsError",
    "SettingError",
    "StoreError",
    "Unfinished",
)
#: A state of a progress bar.
_BAR = re.compile(r"^[^\n]*\d+%\|[^\n]*\| \d+/\d+ \[[^\n]*$", re.MULTILINE)


class NotebookError(Exception):
    """Raised if a notebook cannot be run or did not complete; the message says why and what to do."""


def find(folder: Path, name: str) -> Path:
    """Path of the notebook ``name`` (with or without ``.ipynb``) in a folder."""
    stem = Path(name).name.removesuffix(".ipynb")
    path = folder / f"{stem}.ipynb"
    if not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.ipynb"))
        if not known:
            raise NotebookError(f"there are no notebooks in {folder}; give a clone of the repository as --root FOLDER")
        raise NotebookError(f"no notebook {stem!r} in {folder}{nearest(stem, known)}")
    return path


def nearest(name: str, known: Sequence[str]) -> str:
    """End of an error message: the nearest valid name, and all valid names."""
    return f"{did_you_mean(name, known, cutoff=0.4, otherwise='')} (known: {', '.join(known) or 'none'})"


def parse_parameters(notebook: Path, texts: Mapping[str, str]) -> dict[str, Any]:
    """Parameters as values of the types that the notebook declares; unknown or ill-typed ones are refused.

    Args:
        notebook: path of the notebook, whose cell tagged ``parameters`` declares names, types and defaults.
        texts: the values as typed, by name.
    """
    declared = papermill.inspect_notebook(str(notebook))
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in declared:
            raise NotebookError(f"{notebook.stem} has no parameter {name!r}{nearest(name, list(declared))}")
        values[name] = _value(name, text, declared[name])
    return values


def meanings(notebook: Path) -> dict[str, str]:
    """What the parameters of a notebook mean, in its words, by their names."""
    return {name: entry["help"] for name, entry in papermill.inspect_notebook(str(notebook)).items()}


def describe(notebook: Path) -> str:
    """Parameters of a notebook as text, one per line: name, default, meaning."""
    declared = papermill.inspect_notebook(str(notebook))
    return "\n".join(f"{name} = {entry['default']}  # {entry['help']}".rstrip(" #") for name, entry in declared.items())


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None  # an expression


#: Types that a parameters cell can announce by an annotation, by name.
_TYPES: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}


def _value(name: str, text: str, entry: Mapping[str, str]) -> Any:
    """Value of a text, of the type that the notebook announces or that the default has."""
    default = _literal(entry["default"])
    kind = _TYPES.get(entry["inferred_type_name"], type(default))
    if default is None and text.lower() in ("none", "null"):
        return None
    if kind is str:
        return text
    value = {"true": True, "false": False}.get(text.lower(), _literal(text))
    if kind in (int, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = number and (kind is float or float(value).is_integer())
        value = int(value) if fits and kind is int else value
    else:
        value = text if value is None else value
        fits = (default is None and kind is type(None)) or isinstance(value, kind)
    if not fits:
        raise NotebookError(f"parameter {name!r} takes {kind.__name__} (default {entry['default']}), not {text!r}")
    return value


def problems(path: Path) -> list[str]:
    """Problems of an executed notebook: error outputs, and code cells that never completed."""
    faults = []
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        errors = [output for output in cell.outputs if output.output_type == "error"]
        faults += [f"cell {number}: {output.ename}: {output.evalue}" for output in errors]
        if not errors and cell.execution_count is None:
            faults.append(f"cell {number}: never completed")
    return faults


def execute(source: Path, target: Path, parameters: Mapping[str, Any], progress: bool = False) -> None:
    """Run a notebook; ``target`` appears only when every cell has completed without an error.

    Args:
        source: path of the notebook, which is not changed and in whose folder the kernel runs.
        target: path of the executed copy.
        parameters: checked values, see :func:`parse_parameters`.
        progress: whether to show the progress of the cells, and of training in them, in the terminal.
    """
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # a user's own kernel called python3 does not take over
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=".ipynb", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        papermill.execute_notebook(
            str(source),
            str(temporary),
            parameters=dict(parameters),
            kernel_name=KERNEL,
            cwd=str(source.parent),
            progress_bar=progress,
            log_output=False,
            stderr_file=sys.stderr if progress else None,
        )
        faults = problems(temporary)
        if faults:
            raise NotebookError(f"{source.stem} did not complete: " + "; ".join(faults))
        _tidy(temporary)
        temporary.replace(target)
    except papermill.PapermillExecutionError as error:
        sentence = " ".join(str(error.evalue).split())
        if error.ename not in TOLD:
            sentence = f"cell {error.cell_index} failed with {error.ename}: {sentence}"
        raise NotebookError(f"{source.stem}: {sentence}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _tidy(path: Path) -> None:
    """Remove progress bars, and papermill's metadata of time and place, so that an executed copy can be published."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_without_bars, cell.outputs) if output is not None]
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]
    nbformat.write(notebook, path)


def _without_bars(output: Any) -> Any:
    """The output without the states of progress bars; None if nothing else was in it."""
    if output.output_type == "stream" and output.name == "stderr":
        output.text = _BAR.sub("", output.text.replace("\r", "\n"))
        return output if output.text.strip() else None
    return output


def write_html(notebook: Path) -> Path:
    """Write an executed notebook as HTML beside it, and return the path."""
    path = notebook.with_suffix(".html")
    write_whole(path, as_html(nbformat.read(notebook, as_version=4), notebook.stem).encode())
    return path
