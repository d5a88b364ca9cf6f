"""The files of a package and the directory they stand in: what differs, and how it is put right.

Nothing outside the directory is touched, nor anything in it that we did not write.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError
from .render import MARKER, PLAN_FILE, digest_of, sha256


@dataclass(frozen=True)
class Difference:
    """A file that is not what the plan gives.

    missing: it is not there. edited: somebody changed it. stale: it is as an earlier plan gave it, or no plan gives such
    a file any more.
    """

    name: str
    kind: Literal["missing", "stale", "edited"]


@dataclass(frozen=True)
class Written:
    """What was done, by file name. overwritten: those of the written ones that somebody had edited."""

    written: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    overwritten: tuple[str, ...] = ()


def compare(files: Mapping[str, bytes], path: Path) -> list[Difference]:
    """How the directory differs from the files, by name. Line ends do not count: git may turn them."""
    return _differences(files, _Package.read(Path(path), files))


def write(files: Mapping[str, bytes], path: Path) -> Written:
    """Make the directory hold the files: all of them or, when that fails, what it held before.

    Files that are right already stay untouched, and so does everything that is not ours.

    Raises:
        ConfigError: the directory cannot be written, or holds another file under one of the names.
    """
    path = Path(path).resolve()
    package = _Package.read(path, files)
    differences = {difference.name: difference.kind for difference in _differences(files, package)}
    for name in differences:
        if not package.owns(name):
            raise ConfigError(
                f"{path / name} was not written by itly: move it away, or have the package elsewhere", key="path"
            )
    changed = {name: files[name] for name in sorted(files, key=lambda name: name == PLAN_FILE) if name in differences}
    obsolete = [name for name, kind in differences.items() if name not in files and kind == "stale"]
    try:
        _replace(path, changed, {name: package.found.get(name) for name in changed})
        for name in obsolete:
            (path / name).unlink()
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror or exc}", key="path") from exc
    return Written(
        written=tuple(sorted(changed)),
        unchanged=tuple(sorted(files.keys() - changed.keys())),
        deleted=tuple(obsolete),
        overwritten=tuple(sorted(name for name in changed if differences[name] == "edited")),
    )


@dataclass(frozen=True)
class _Package:
    """A package on disk. found: file name -> content, absent ones left out; recorded: file name -> hash of what we wrote,
    as its `_plan.json` has it; is_intact: that file itself is as we wrote it."""

    found: Mapping[str, bytes]
    recorded: Mapping[str, str]
    is_intact: bool

    @classmethod
    def read(cls, path: Path, files: Mapping[str, bytes]) -> _Package:
        document = _json_object(_content(path / PLAN_FILE) or b"")
        digest = document.pop("digest", None)
        listed = document.get("files")
        recorded = {
            name: given
            for name, given in (listed.items() if isinstance(listed, dict) else ())
            if isinstance(given, str) and name == os.path.basename(name) and name not in ("", ".", "..")
        }
        found = {name: data for name in sorted({*files, *recorded}) if (data := _content(path / name)) is not None}
        return cls(found, recorded, _is_intact(document, digest))

    def is_edited(self, name: str) -> bool:
        if name == PLAN_FILE:
            return not self.is_intact
        return sha256(self.found[name]) != self.recorded.get(name)

    def owns(self, name: str) -> bool:
        """Whether a file may be overwritten: it is not there, is empty, or is ours, edited or not."""
        data = self.found.get(name, b"")
        return (
            not data
            or name in self.recorded
            or MARKER.encode() in data
            or (name == PLAN_FILE and b'"generator"' in data)
        )


def _differences(files: Mapping[str, bytes], package: _Package) -> list[Difference]:
    differences = []
    for name in sorted({*files, *package.found}):
        if name not in package.found:
            differences.append(Difference(name, "missing"))
        elif files.get(name) != package.found[name]:
            differences.append(Difference(name, "edited" if package.is_edited(name) else "stale"))
    return differences


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes().replace(b"\r\n", b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror or exc}", key="path") from exc


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_intact(document: Mapping[str, Any], digest: object) -> bool:
    try:
        return digest == digest_of(document)
    except ValueError:  # text or numbers that we never write
        return False


def _replace(path: Path, changed: Mapping[str, bytes], before: Mapping[str, bytes | None]) -> None:
    """Put the changed files in place. A new package appears whole; in an existing one each file is replaced at once."""
    if not changed:
        return
    exists = path.exists()
    if not exists:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (path if exists else path.parent) / f".itly-{secrets.token_hex(8)}"
    temporary.mkdir()
    try:
        for name, data in changed.items():
            _write_through(temporary / name, data)
        if exists:
            _swap(temporary, path, before)
        else:
            temporary.rename(path)
        _sync_directory(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, path: Path, before: Mapping[str, bytes | None]) -> None:
    done: list[str] = []
    try:
        for name in before:
            os.replace(temporary / name, path / name)
            done.append(name)
    except OSError:
        for name in done:
            old = before[name]
            if old is None:
                (path / name).unlink()
            else:
                _write_through(temporary / name, old)
                os.replace(temporary / name, path / name)
        raise


def _write_through(file: Path, data: bytes) -> None:
    with file.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _sync_directory(path: Path) -> None:
    if os.name == "posix":  # elsewhere a directory cannot be opened
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
