"""Which files are a project's own code, and which generated packages are among them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from ...errors import ConfigError
from ...plan import PLAN_FILE

GIT_S = 30.0
NOT_OURS = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


def python_files(places: Sequence[Path], excluded: Sequence[str] = ()) -> tuple[list[Path], list[Path]]:
    """The Python files at or below some places, and the generated packages there, resolved and sorted.

    Left out: what is hidden, virtual environments, installed packages, what git ignores, what matches a pattern in
    `excluded` (as `*/tests/*`, against the path), and the generated packages. A file that is named itself is taken.

    Raises:
        ConfigError: there is no such place.
    """
    files: set[Path] = set()
    packages: set[Path] = set()
    for place in places:
        place = place.resolve()
        if place.is_file():
            files.add(place)
        elif place.is_dir():
            ignored = _ignored_by_git(place)
            for found in _below(place, ignored):
                if found.is_dir():
                    packages.add(found)
                elif not any(fnmatch(found.relative_to(place).as_posix(), pattern) for pattern in excluded):
                    files.add(found)
        else:
            raise ConfigError(f"no such file or directory: {place}", key="paths")
    return sorted(files), sorted(packages)


def _below(place: Path, ignored: frozenset[Path]) -> Iterator[Path]:
    """Python files, and the directories that are generated packages."""
    for name, directories, files in os.walk(place):
        folder = Path(name)
        if PLAN_FILE in files and "__init__.py" in files:
            directories.clear()
            yield folder
            continue
        directories[:] = [below for below in directories if _is_ours(folder / below) and folder / below not in ignored]
        for file in files:
            path = folder / file
            if file.endswith(".py") and not file.startswith(".") and path not in ignored and path.is_file():
                yield path


def _is_ours(folder: Path) -> bool:
    return not (folder.name.startswith(".") or folder.name in NOT_OURS or (folder / "pyvenv.cfg").exists())


def _ignored_by_git(place: Path) -> frozenset[Path]:
    """What git ignores below a directory; nothing where there is no git."""
    command = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z"]
    try:
        done = subprocess.run(  # noqa: S603  # no shell, nothing of the user's in it
            command,
            cwd=place,
            capture_output=True,
            timeout=GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    if done.returncode != 0:
        return frozenset()
    return frozenset(place / os.fsdecode(name) for name in done.stdout.split(b"\0") if name)
