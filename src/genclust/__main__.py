"""``genclust`` as a program: the command line, of which importing PyTorch may be interrupted as well."""

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
