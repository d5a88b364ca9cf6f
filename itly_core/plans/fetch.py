"""Where plans are read from, besides a vendor's API: a file, a directory, a pattern, a commit of git, an address."""

from __future__ import annotations

import glob
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlunsplit

from ..errors import ConfigError, PlanError, PullError
from .raw import CODE_SUFFIXES, TABLE_SUFFIXES, Raw
from .server import Limits, Server, Watch, checked, unwatched, without_secrets

MAX_BYTES = 10 * 1024 * 1024  # of one file
MAX_TOTAL_BYTES = 200 * 1024 * 1024  # of all
MAX_FILES = 10_000
GIT_S = 60.0
SUFFIXES = (".yaml", ".yml", ".json")
# What a directory is read for, the first of these that is there: a plan beside an exported table is the plan.
_KINDS = (SUFFIXES, TABLE_SUFFIXES, CODE_SUFFIXES)
_SCHEMA_VERSION = re.compile(r"\d+-\d+-\d+\Z")  # Iglu's files have no suffix: com.acme/order/jsonschema/1-0-0
_GIT = re.compile(r"git\+file://(?P<repository>.+)@(?P<ref>[^:@]+):(?P<path>.*)\Z")


def is_url(reference: str) -> bool:
    return reference.startswith(("https://", "http://"))


def is_git(reference: str) -> bool:
    return reference.startswith("git+")


def is_pattern(reference: str) -> bool:
    return glob.has_magic(reference)


def from_disk(path: Path, shown: str) -> list[Raw]:
    """The file, or every plan file in the directory, in the order of their names; hidden ones left out.

    shown: what messages call it.

    Raises:
        PlanError: there is none, or it is too large.
    """
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in _files_below(path)]
        return _within(shown, _plan_files(names, shown), lambda name: _bytes(path / name, f"{shown}/{name}"))
    if not path.exists():
        raise PlanError("no such file or directory", location=shown)
    return [Raw(shown, path.stem, _bytes(path, shown))]


def from_pattern(base: Path, pattern: str) -> list[Raw]:
    """The files that a pattern such as `plans/**/*.yaml` matches, in the order of their names; hidden ones left out.

    Raises:
        PlanError: there is none, or they are too many or too large.
    """
    steps = PurePosixPath(pattern).parts
    fixed = next(number for number, step in enumerate(steps) if glob.has_magic(step))
    root = base.joinpath(*steps[:fixed])
    found = glob.iglob(str(PurePosixPath(*steps[fixed:])), root_dir=root, recursive=True)
    names = sorted({PurePosixPath(*Path(name).parts).as_posix() for name in found if (root / name).is_file()})
    if not names:
        raise PlanError("matches no file", location=pattern)
    shown = PurePosixPath(*steps[:fixed]).as_posix() if fixed else ""
    return _within(shown, names, lambda name: _bytes(root / name, f"{shown}/{name}" if shown else name))


def _files_below(directory: Path) -> list[Path]:
    found = []
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]  # where os.walk goes next
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return found


def _plan_files(names: Sequence[str], shown: str) -> list[str]:
    """Those of a directory's files that are its plan."""
    for suffixes in _KINDS:
        chosen = [
            name
            for name in names
            if name.lower().endswith(suffixes)
            or (suffixes is SUFFIXES and _SCHEMA_VERSION.match(name.rpartition("/")[2]))
        ]
        if chosen:
            return sorted(chosen, key=lambda name: PurePosixPath(name).parts)
    raise PlanError(f"no plan in this directory: no file ends in {', '.join(SUFFIXES)}", location=shown)


def _within(shown: str, names: Sequence[str], read: Callable[[str], bytes]) -> list[Raw]:
    """The files of a directory, read one by one."""
    if len(names) > MAX_FILES:
        raise PlanError(f"holds more than {MAX_FILES} files", location=shown)
    prefix = f"{shown.rstrip('/')}/" if shown else ""
    raws, total = [], 0
    for name in names:
        data = read(name)
        total += len(data)
        if total > MAX_TOTAL_BYTES:
            raise PlanError(f"holds more than {MAX_TOTAL_BYTES} bytes", location=shown)
        raws.append(Raw(prefix + name, _without_suffix(name), data))
    return raws


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return str(path if _SCHEMA_VERSION.match(path.name) else path.with_suffix(""))


def _bytes(path: Path, shown: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise PlanError(f"cannot be read: {exc.strerror or exc}", location=shown) from exc
    if len(data) > MAX_BYTES:
        raise PlanError(f"is larger than {MAX_BYTES} bytes", location=shown)
    return data


# --- git --------------------------------------------------------------------------------------------------------------


def from_git(reference: str, base: Path) -> list[Raw]:
    """The file or directory at `git+file://REPOSITORY@REF:PATH`, as that commit has it. Asks nothing but the local git.

    REPOSITORY: a directory, relative to `base` unless it begins with a slash. PATH: from the top of the repository.

    Raises:
        ConfigError: the reference is not of that form, or there is no git.
        PlanError: there is no such repository, commit or file.
    """
    match = _GIT.match(reference)
    if match is None or match["ref"].startswith("-"):
        raise ConfigError(
            f"{reference!r} is not of the form git+file://REPOSITORY@REF:PATH, such as git+file://.@main:plan.yaml",
            key="plan",
        )
    repository, ref, path = base / match["repository"], match["ref"], match["path"].strip("/")
    shown = f"{ref}:{path}"
    commit = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
    if not commit:
        raise PlanError(f"no commit {ref!r} in {match['repository']}", location=shown)
    thing = f"{commit.decode()}:{path}"
    kind = _git(repository, "cat-file", "-t", thing).strip()
    if kind == b"blob":
        return [Raw(shown, PurePosixPath(path).stem, _blob(repository, thing, shown))]
    if kind != b"tree":
        raise PlanError("no such file or directory in that commit", location=shown)
    files = _tree(repository, thing)
    shown = shown.rstrip("/")
    chosen = _plan_files([*files], shown)
    for name in chosen:
        if files[name][1] > MAX_BYTES:
            raise PlanError(f"is larger than {MAX_BYTES} bytes", location=f"{shown}/{name}")
    if sum(files[name][1] for name in chosen) > MAX_TOTAL_BYTES:
        raise PlanError(f"holds more than {MAX_TOTAL_BYTES} bytes", location=shown)
    blobs = _blobs(repository, [files[name][0] for name in chosen], shown)
    return _within(shown, chosen, dict(zip(chosen, blobs, strict=True)).__getitem__)


def _tree(repository: Path, thing: str) -> dict[str, tuple[str, int]]:
    """The files of a directory in a commit: name -> object, bytes. Hidden ones, links and submodules left out."""
    files = {}
    for entry in _git(repository, "ls-tree", "-r", "-z", "-l", thing).decode("utf-8", "replace").split("\0"):
        about, _, name = entry.partition("\t")
        mode, kind, digest, size = about.split() if about else ("", "", "", "")
        if kind == "blob" and mode != "120000" and not any(step.startswith(".") for step in name.split("/")):
            files[name] = (digest, int(size))
    return files


def _blobs(repository: Path, digests: Sequence[str], shown: str) -> list[bytes]:
    """The contents of objects, all from one process."""
    data = _git(repository, "cat-file", "--batch", given="".join(f"{digest}\n" for digest in digests).encode())
    blobs, at = [], 0
    for digest in digests:  # each as `<object> blob <size>`, a line end, the content, a line end
        end = data.find(b"\n", at)
        head = data[at:end]
        if end < 0 or not head.startswith(digest.encode() + b" blob "):
            raise PlanError("git cannot read it", location=shown)
        size = int(head.rpartition(b" ")[2])
        blobs.append(data[end + 1 : end + 1 + size])
        at = end + size + 2
    return blobs


def _blob(repository: Path, thing: str, shown: str) -> bytes:
    size = _git(repository, "cat-file", "-s", thing).strip()
    if size.isdigit() and int(size) > MAX_BYTES:
        raise PlanError(f"is larger than {MAX_BYTES} bytes", location=shown)
    return _git(repository, "cat-file", "blob", thing)


def _git(repository: Path, *arguments: str, given: bytes = b"") -> bytes:
    """What git prints; nothing where it fails. It asks for no password and fetches nothing."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set inside hooks, about another repository
        environment.pop(name, None)
    try:
        done = subprocess.run(  # noqa: S603  # no shell; a reference cannot begin with a dash
            ["git", "-C", str(repository), *arguments],  # noqa: S607  # whichever git the user has
            input=given,
            capture_output=True,
            timeout=GIT_S,
            env=environment,
            check=False,
        )
    except FileNotFoundError as exc:
        raise ConfigError("git+file:// needs git, which is not on the PATH", key="plan") from exc
    except subprocess.TimeoutExpired as exc:
        raise PlanError(f"git took longer than {GIT_S:.0f} seconds", location=str(repository)) from exc
    return done.stdout if done.returncode == 0 else b""


# --- an address -------------------------------------------------------------------------------------------------------


def from_url(
    url: str,
    *,
    token: str | None = None,
    token_env: str = "",
    limits: Limits | None = None,
    watch: Watch = unwatched,
) -> list[Raw]:
    """The document at an address.

    token: sent as a bearer token, to that server only. token_env: the variable it came from, for messages.

    Raises:
        ConfigError: the address is not one we would send a request to.
        PullError: nobody answered, or not with a document.
    """
    asked = checked(url)
    shown = without_secrets(asked)
    headers: Mapping[str, str] = {
        "Accept": "application/yaml, application/json, text/csv, text/plain, */*;q=0.5",
        **({"Authorization": f"Bearer {token}"} if token is not None else {}),
    }
    with Server(urlunsplit(asked), headers=headers, token_env=token_env, limits=limits, watch=watch) as server:
        data = server.get()
    assert data is not None
    if data.lstrip()[:1] == b"<":
        raise PullError(f"{shown} answered with a web page, not a plan", url=shown, status=200)
    return [Raw(shown, PurePosixPath(unquote(asked.path)).stem or asked.hostname or "plan", data)]
