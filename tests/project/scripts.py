"""Runs a program as a reader of the docs would: in a folder with the repository's files, without a key."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "reader_folder", "run_python"]

ROOT = Path(__file__).resolve().parents[2]
FILES_AT_HAND = ("cassettes", "examples", "spec")


def reader_folder(folder: Path) -> Path:
    """`folder` with copies of what the docs refer to, so that a block may write without touching the repository."""
    for name in FILES_AT_HAND:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    return folder


def run_python(arguments: list[str | Path], folder: Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the interpreter of the tests in `folder`, the package importable, no key in the environment."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
