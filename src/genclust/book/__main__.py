"""``python -m genclust.book``: what the Makefile calls."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genclust.book import build, notebooks


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m genclust.book", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="run the notebooks that need it and build the book")
    building.add_argument("--strict", action="store_true", help="from nothing, with warnings as errors")
    building.add_argument("--verbose", action="store_true", help="show what Sphinx says of every page")
    running = commands.add_parser("notebook", help="run one notebook with new parameters")
    running.add_argument("name")
    running.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    running.add_argument("-o", "--output", type=Path, help="default: _build/notebooks/NAME.ipynb")
    running.add_argument("--list", action="store_true", help="list the parameters instead of running")
    chosen = parser.parse_args(arguments)
    root = chosen.root.resolve()
    try:
        if chosen.command == "build":
            index = build.build(root, chosen.strict, chosen.verbose)
            print(f"book: open {index}")
            return 0
        source = notebooks.find(root / "notebooks", chosen.name)
        if chosen.list:
            print(notebooks.describe(source))
            return 0
        values = notebooks.parse_parameters(source, dict(chosen.parameter))
        # A file is meant to lie where the command is given; the notebook runs in its own folder.
        values |= {name: str(Path(v).resolve()) for name, v in values.items() if str(v).endswith(".npz")}
        target = (chosen.output or root / "_build" / "notebooks" / source.name).resolve()
        notebooks.execute(source, target, values, progress=True)
        print(f"notebook: wrote {target}")
        return 0
    except (build.BuildError, notebooks.NotebookError) as error:
        print(f"{chosen.command}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
