"""Entry point of the command line.  Importing PyTorch takes seconds, and may be interrupted like anything else."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from genclust.cli import app

        app()
    except KeyboardInterrupt:
        print("genclust: Interrupted before anything was done.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
