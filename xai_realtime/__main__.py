"""`python -m xai_realtime`, the same as `xai-realtime`. In: arguments. Out: an exit status. Imports: cli."""

from __future__ import annotations

import sys

from xai_realtime.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
