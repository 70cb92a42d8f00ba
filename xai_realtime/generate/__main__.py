"""`python -m xai_realtime.generate`. In: arguments. Out: an exit status. Imports: this room, the standard library."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from xai_realtime.generate import run

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m xai_realtime.generate", description="Specs become typed events.")
    parser.add_argument("--check", action="store_true", help="write nothing, show what is stale, exit with 1 if any")
    parser.add_argument("--spec", type=Path, help="one spec file instead of all of the project")
    parser.add_argument("--out", type=Path, help="where to write the module of --spec; standard output without it")
    parser.add_argument("--root", type=Path, help="the project, the current directory by default")
    given = parser.parse_args(arguments)

    def write(text: str) -> None:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")

    return run(root=given.root, spec=given.spec, out=given.out, check_only=given.check, write=write)


if __name__ == "__main__":
    sys.exit(main())
