"""How a package gets onto the disk, and what stays there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from itly_core.codegen import compare, render, write
from itly_core.errors import ConfigError
from tests.codegen.plans import event, plan_of

FILES = render(plan_of(event("A")))
LATER = render(plan_of(event("A"), event("B")))


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def kinds(files: dict[str, bytes], path: Path) -> dict[str, str]:
    return {difference.name: difference.kind for difference in compare(files, path)}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write(FILES, tmp_path / "itly")
    return tmp_path / "itly"


def test_a_new_package_appears_whole(tmp_path: Path) -> None:
    done = write(FILES, tmp_path / "apps" / "itly")

    assert contents(tmp_path) == {f"apps/itly/{name}": data for name, data in FILES.items()}
    assert done.written == tuple(sorted(FILES))
    assert (tmp_path / "apps" / "itly").stat().st_mode & 0o777 == (tmp_path / "apps").stat().st_mode & 0o777


def test_nothing_differs_from_what_was_just_written(package: Path) -> None:
    assert compare(FILES, package) == []


def test_what_is_right_already_is_left_alone(package: Path) -> None:
    before = {name: (package / name).stat() for name in FILES}

    done = write(FILES, package)

    assert done.unchanged == tuple(sorted(FILES))
    assert done.written == ()
    for name, stat in before.items():
        assert (package / name).stat().st_ino == stat.st_ino
        assert (package / name).stat().st_mtime_ns == stat.st_mtime_ns


def test_a_later_plan_replaces_what_it_changes(package: Path) -> None:
    assert kinds(LATER, package) == {"__init__.py": "stale", "__init__.pyi": "stale", "_plan.json": "stale"}

    done = write(LATER, package)

    assert contents(package) == LATER
    assert done.written == ("__init__.py", "__init__.pyi", "_plan.json")
    assert done.overwritten == ()


def test_what_the_user_keeps_there_survives(package: Path) -> None:
    (package / "notes.txt").write_text("mine")
    (package / "helpers").mkdir()
    (package / "helpers" / "__init__.py").write_text("also mine")

    write(LATER, package)

    assert contents(package) == {**LATER, "notes.txt": b"mine", "helpers/__init__.py": b"also mine"}


@pytest.mark.parametrize("name", ["__init__.py", "__init__.pyi", "requirements.txt", "py.typed"])
def test_a_hand_edited_file_is_noticed(package: Path, name: str) -> None:
    (package / name).write_bytes(FILES[name] + b"# changed\n")

    assert kinds(FILES, package) == {name: "edited"}
    assert kinds(LATER, package)[name] == "edited"


@pytest.mark.parametrize(
    "change",
    [lambda text: text.replace(b'"A"', b'"Z"'), lambda text: text + b" ", lambda text: b"<<<<<<< ours\n" + text],
)
def test_a_hand_edited_plan_is_noticed(package: Path, change: object) -> None:
    assert callable(change)
    (package / "_plan.json").write_bytes(change(FILES["_plan.json"]))

    assert kinds(FILES, package)["_plan.json"] in ("edited", "stale")
    assert contents(package) != FILES

    write(FILES, package)

    assert contents(package) == FILES


def test_a_loosened_plan_is_edited_and_not_stale(package: Path) -> None:
    document = json.loads(FILES["_plan.json"])
    document["events"]["A"]["schema"]["additionalProperties"] = True
    (package / "_plan.json").write_text(json.dumps(document))

    assert kinds(FILES, package) == {"_plan.json": "edited"}


def test_a_missing_file_is_missed(package: Path) -> None:
    (package / "__init__.pyi").unlink()

    assert kinds(FILES, package) == {"__init__.pyi": "missing"}
    assert write(FILES, package).written == ("__init__.pyi",)


def test_where_nothing_is_all_is_missing(tmp_path: Path) -> None:
    assert kinds(FILES, tmp_path / "nowhere") == dict.fromkeys(FILES, "missing")
    assert not (tmp_path / "nowhere").exists()


def test_line_ends_that_git_turned_make_no_difference(package: Path) -> None:
    for name, data in FILES.items():
        (package / name).write_bytes(data.replace(b"\n", b"\r\n"))

    assert compare(FILES, package) == []


def test_an_edited_file_of_ours_is_written_anew_and_said(package: Path) -> None:
    (package / "__init__.py").write_bytes(FILES["__init__.py"] + b"x = 1\n")

    assert write(FILES, package).overwritten == ("__init__.py",)
    assert contents(package) == FILES


@pytest.mark.parametrize("name", ["__init__.py", "requirements.txt", "_plan.json"])
def test_a_file_that_is_not_ours_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("important = True\n")

    with pytest.raises(ConfigError, match="was not written by itly") as caught:
        write(FILES, tmp_path)

    assert caught.value.key == "path"
    assert contents(tmp_path) == {name: b"important = True\n"}


def test_an_empty_file_is_no_loss(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()

    write(FILES, tmp_path)

    assert contents(tmp_path) == FILES


def test_a_file_no_plan_gives_any_more_is_deleted_unless_edited(package: Path) -> None:
    earlier = {**FILES, "old.py": b"a\n", "changed.py": b"b\n"}
    document = json.loads(FILES["_plan.json"])
    from itly_core.codegen.render import digest_of, plan_json, sha256

    del document["digest"]
    document["files"] |= {"old.py": sha256(b"a\n"), "changed.py": sha256(b"b\n")}
    document["digest"] = digest_of(document)
    write({**earlier, "_plan.json": plan_json(document)}, package)
    (package / "changed.py").write_bytes(b"c\n")

    assert kinds(FILES, package) == {"_plan.json": "stale", "old.py": "stale", "changed.py": "edited"}
    assert write(FILES, package).deleted == ("old.py",)
    assert contents(package) == {**FILES, "changed.py": b"c\n"}


def test_a_plan_file_cannot_name_files_elsewhere(tmp_path: Path, package: Path) -> None:
    from itly_core.codegen.render import sha256

    victim = tmp_path / "victim.txt"
    victim.write_text("keep")
    document = json.loads(FILES["_plan.json"])
    for name in ("../victim.txt", str(victim), "..", ".", ""):
        document["files"][name] = sha256(b"keep")
    (package / "_plan.json").write_text(json.dumps(document))

    assert {*kinds(FILES, package)} == {"_plan.json"}
    write(FILES, package)

    assert victim.read_text() == "keep"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path, package: Path) -> None:
    target = tmp_path / "elsewhere.py"
    target.write_bytes(FILES["__init__.py"] + b"# mine\n")
    (package / "__init__.py").unlink()
    (package / "__init__.py").symlink_to(target)

    write(FILES, package)

    assert target.read_bytes().endswith(b"# mine\n")
    assert not (package / "__init__.py").is_symlink()


def test_a_package_behind_a_link_is_written_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "itly").symlink_to(tmp_path / "real")

    write(FILES, tmp_path / "itly")

    assert contents(tmp_path / "real") == FILES
    assert (tmp_path / "itly").is_symlink()


def test_a_write_that_fails_half_way_changes_nothing(package: Path) -> None:
    (package / "__init__.pyi").unlink()
    (package / "__init__.pyi").mkdir()  # comes second: the first is replaced by then
    (package / "__init__.pyi" / "mine").write_text("x")
    before = contents(package)

    with pytest.raises(ConfigError) as caught:
        write(LATER, package)

    assert caught.value.key == "path"
    assert contents(package) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is read-only here")
def test_a_directory_that_cannot_be_written(package: Path) -> None:
    package.chmod(0o500)
    try:
        with pytest.raises(ConfigError, match="cannot be written"):
            write(LATER, package)
        assert contents(package) == FILES
    finally:
        package.chmod(0o700)


def test_a_path_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "itly").write_text("a file")

    with pytest.raises(ConfigError):
        write(FILES, tmp_path / "itly")

    assert (tmp_path / "itly").read_text() == "a file"


def test_nothing_is_left_beside_the_package(tmp_path: Path, package: Path) -> None:
    write(LATER, package)

    assert [file.name for file in tmp_path.iterdir()] == ["itly"]
    assert {file.name for file in package.iterdir()} == {*FILES}
