"""``genclust notebook`` and ``genclust book``: running a notebook with new parameters, and building the book."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from genclust.paths import expanded

Root = Annotated[
    Path, typer.Option(callback=expanded, help="The repository; by default this folder.", show_default=False)
]


class RepeatedPairs(TyperCommand):
    """Command whose option ``parameter`` takes two words and may be repeated, which Typer cannot annotate."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        (pairs,) = (option for option in self.params if option.name == "parameter")
        pairs.nargs = 2


def _refused(command: str, error: Exception) -> typer.Exit:
    """Print an error in one sentence, and return the exception for the caller to raise."""
    print(f"{command}: {error}", file=sys.stderr)
    return typer.Exit(1)


def notebook(
    name: Annotated[str, typer.Argument(help="A notebook, such as simple-table1.")],
    parameter: Annotated[
        list[Any] | None,
        typer.Option("--parameter", "-p", metavar="NAME VALUE", help="A parameter's new value; may be repeated."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the parameters instead of running.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", callback=expanded, help="Path of the result, by default _build/notebooks/NAME.ipynb."
        ),
    ] = None,
    root: Root = Path(),
) -> None:
    """Run one notebook with new parameters; the result is a notebook, and HTML to read beside it."""
    from genclust.book import notebooks  # papermill takes a second to import

    try:
        source = notebooks.find(root.resolve() / "notebooks", name)
        if list_:
            print(notebooks.describe(source))
            return
        values, meanings = notebooks.parse_parameters(source, dict(parameter or [])), notebooks.meanings(source)
        for key, value in values.items():
            # A path is meant to lie where the command is given; the notebook runs in its own folder.
            if isinstance(value, str) and _is_path(Path(value).expanduser(), meanings[key]):
                values[key] = str(Path(value).expanduser().resolve())
        target = (output or root / "_build" / "notebooks" / source.name).resolve()
        notebooks.execute(source, target, values, progress=True)
        page = notebooks.write_html(target)
    except notebooks.NotebookError as error:
        raise _refused("notebook", error) from None
    print(f"notebook: wrote {target} and {page.name} beside it")


def _is_path(value: Path, meaning: str) -> bool:
    """Whether a parameter's value is a user's own file, or a folder where the parameter is said to take one.

    Other texts, such as a profile, may be called as some folder is.
    """
    is_file = value.suffix == ".npz" or (value.suffix != "" and value.is_file())
    return is_file or ("folder" in meaning and value.is_dir())


def book(
    strict: Annotated[
        bool, typer.Option("--strict", help="Build everything anew, with every warning an error.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the output of Sphinx for every page.")] = False,
    root: Root = Path(),
) -> None:
    """Run the notebooks that are new or out of date, and build the book."""
    from genclust.book import build, notebooks

    try:
        index = build.build(root.resolve(), strict, verbose)
    except (build.BuildError, notebooks.NotebookError) as error:
        raise _refused("book", error) from None
    print(f"book: open {index}")
