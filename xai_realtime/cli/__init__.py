"""The command `xai-realtime`. In: arguments. Out: text or JSON, an exit status. Imports: rooms 0-7, late.

Exit status: 0 all well, 1 a tape does not hold what it should, 2 the arguments or a file cannot be used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["main"]

NEEDED = ("rich", "typer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with these arguments (those of the process when None); gives the exit status.

    Without the extra `cli` it says how to get it and gives 2.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"The command line needs {' and '.join(missing)}, which come with an extra:\n"
            '    pip install "xai-realtime[cli]"\n'
        )
        return 2
    from xai_realtime.cli.app import run

    return run(arguments)
