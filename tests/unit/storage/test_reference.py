from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from archon_ops.errors import OpsError, PreconditionError, UsageError
from archon_ops.storage.directory import Directory
from archon_ops.storage.names import manifest_path
from archon_ops.storage.reference import resolve

Put = Callable[..., Path]


def test_latest(directory: Directory, put: Put) -> None:
    put(5)
    newest = put(1)
    put(0.5, foreign=True)
    put(0, safety=True)
    located = resolve(directory, "latest")
    assert (located.path, located.inside) == (newest, True)


def test_latest_of_nothing_says_what_to_type(directory: Directory, put: Put) -> None:
    with pytest.raises(PreconditionError, match="no backups") as caught:
        resolve(directory, "latest")
    assert caught.value.hint == "inv backup"
    put(1, foreign=True)
    with pytest.raises(PreconditionError, match="1 dump") as caught:
        resolve(directory, "latest")
    assert "--trust" in caught.value.hint


def test_a_bare_name_is_looked_up_in_the_catalogue(
    directory: Directory, put: Put, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dump, safety = put(1), put(2, safety=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.dump").write_bytes(b"PGDMP")
    assert resolve(directory, dump.name).path == dump
    assert resolve(directory, safety.name).path == safety
    with pytest.raises(PreconditionError) as caught:
        resolve(directory, "here.dump")
    assert "./here.dump" in caught.value.hint
    assert resolve(directory, "./here.dump").path == tmp_path / "here.dump"


@pytest.mark.parametrize("reference", ["", "a\x00b", "a\nb", ".", "..", "a\x1b[1m"])
def test_references_that_are_none(directory: Directory, reference: str) -> None:
    with pytest.raises(UsageError):
        resolve(directory, reference)


@pytest.mark.parametrize("reference", ["nothing.dump", "--help", "$(id)", "a;id", "~"])
def test_names_that_nothing_bears(directory: Directory, reference: str) -> None:
    with pytest.raises(PreconditionError, match="no backup"):
        resolve(directory, reference)


def test_a_path_inside_is_the_backup_itself(directory: Directory, put: Put) -> None:
    dump, safety = put(1), put(2, safety=True)
    for path in (dump, safety):
        located = resolve(directory, str(path))
        assert (located.path, located.inside) == (path, True)
        assert located.backup in directory.list()


def test_a_path_through_a_linked_folder_is_inside(
    directory: Directory, put: Put, tmp_path: Path
) -> None:
    dump = put(1)
    (tmp_path / "short").symlink_to(directory.path)
    located = resolve(directory, str(tmp_path / "short" / dump.name))
    assert (located.path, located.inside) == (dump, True)


def test_a_path_outside_is_foreign_unless_its_manifest_lies_beside(
    directory: Directory, put: Put, tmp_path: Path
) -> None:
    dump = put(1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = dump.rename(elsewhere / dump.name)
    located = resolve(directory, str(moved))
    assert (located.inside, located.backup.managed) == (False, False)
    manifest_path(dump).rename(manifest_path(moved))
    assert resolve(directory, str(moved)).backup.trustworthy


def test_what_is_no_regular_file_is_refused_by_its_kind(
    directory: Directory, put: Put, tmp_path: Path
) -> None:
    real = put(1)
    os.mkfifo(directory.path / "pipe.dump")
    (directory.path / "link.dump").symlink_to(real)
    (directory.path / "folder.dump").mkdir()
    kinds = {"pipe.dump": "named pipe", "link.dump": "symbolic link", "folder.dump": "folder"}
    with contextlib.suppress(PermissionError):  # only root may
        os.mknod(directory.path / "zero.dump", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        kinds["zero.dump"] = "device"
    for name, said in kinds.items():
        for reference in (name, str(directory.path / name)):
            with pytest.raises(UsageError, match=said):
                resolve(directory, reference)
    with pytest.raises(UsageError, match="device"):
        resolve(directory, "/dev/zero")


def test_a_path_that_climbs_is_refused(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.dump").write_bytes(b"PGDMP")
    monkeypatch.chdir(directory.path)
    with pytest.raises(UsageError, match=r"\.\.") as caught:
        resolve(directory, "../x.dump")
    assert str(tmp_path / "x.dump") in caught.value.hint


def test_a_path_to_nothing_is_named(directory: Directory, tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="No such file") as caught:
        resolve(directory, str(tmp_path / "none.dump"))
    assert isinstance(caught.value, PreconditionError)
