"""Make a virtual environment from a hash-pinned requirements file and install this project into it.

In: the folder of the environment, the requirements file; `--without-project` before them leaves this project out.
Out: the environment with a `.stamp` file, by which make knows that it is complete. Imports: the standard library; runs
on old Pythons far enough to say so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

OLDEST_PYTHON = (3, 11)


def install(requirements: Path, project: bool, *installer: str | Path) -> bool:
    """True when the pinned requirements, and then this project without its dependencies, were installed."""
    steps: list[list[str | Path]] = [["--require-hashes", "-r", requirements]]
    if project:
        steps.append(["--no-deps", "--no-build-isolation", "--editable", "."])
    return all(subprocess.run([*installer, *step], check=False).returncode == 0 for step in steps)


def main(arguments: list[str]) -> int:
    if sys.version_info < OLDEST_PYTHON:
        have = ".".join(map(str, sys.version_info[:3]))
        print(
            f"This project needs Python 3.11 or newer; {sys.executable} is {have}. "
            "Name another one: make PYTHON=python3.12 ...",
            file=sys.stderr,
        )
        return 1
    project = "--without-project" not in arguments
    folder, requirements = (Path(argument) for argument in arguments if argument != "--without-project")
    print(f"{folder}: installing {requirements}", flush=True)
    stamp = folder / ".stamp"
    stamp.unlink(missing_ok=True)
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True, clear=folder.exists())
    uv = shutil.which("uv")
    if uv is not None and install(requirements, project, uv, "pip", "install", "--quiet", "--python", python):
        pass
    elif not install(requirements, project, python, "-m", "pip", "--disable-pip-version-check", "install", "-qq"):
        print(f"{folder}: installing failed, see above", file=sys.stderr)
        return 1
    stamp.touch()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
