from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError, UsageError
from archon_ops.model.backup import Backup, Verification
from archon_ops.storage import retire
from archon_ops.storage.directory import Directory
from archon_ops.storage.names import manifest_path, verify_path
from archon_ops.storage.retire import archive, remove
from archon_ops.storage.sweep import sweep
from archon_ops.storage.verifications import append_verification

Put = Callable[..., Path]
RUN = "20251217T100648Z-0a1b"


def only(directory: Directory) -> Backup:
    (backup,) = directory.list()
    return backup


def sidecars(dump: Path) -> tuple[Path, Path]:
    return manifest_path(dump), verify_path(dump)


def look(directory: Directory, dump: Path, now: datetime) -> None:
    manifest = only(directory).manifest
    assert manifest is not None
    append_verification(dump, Verification(now, "checksum", True, (), manifest.sha256, 1.0), RUN)


@pytest.mark.parametrize("safety", [False, True])
def test_a_removal_leaves_nothing(
    directory: Directory, put: Put, safety: bool, now: datetime
) -> None:
    dump = put(1, safety=safety)
    look(directory, dump, now)
    remove(directory, only(directory))
    assert {path.name for path in dump.parent.iterdir()} <= {"safety"}


def test_what_is_not_provably_ours_is_never_deleted(directory: Directory, put: Put) -> None:
    dump = put(1)
    manifest_path(dump).write_text("{}")
    with pytest.raises(OpsError, match="never deleted"):
        remove(directory, only(directory))
    manifest_path(dump).unlink()
    with pytest.raises(OpsError, match="never deleted"):
        remove(directory, only(directory))
    assert dump.exists()


@pytest.mark.parametrize("steps", range(4))
def test_a_removal_cut_off_anywhere_is_finished_by_the_sweep(
    directory: Directory, put: Put, now: datetime, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = put(1)
    look(directory, dump, now)
    backup, left = only(directory), [steps]
    unlink = Path.unlink

    def die(path: Path, missing_ok: bool = False) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", die)
        if steps < 3:
            with pytest.raises(KeyboardInterrupt):
                remove(directory, backup)
        else:
            remove(directory, backup)
    found = directory.list()
    assert found == ((backup,) if steps == 0 else ())  # whole or gone, never without a manifest
    sweep(directory)
    assert len(list(directory.path.iterdir())) == (3 if steps == 0 else 0)


@pytest.mark.parametrize("foreign", [False, True])
def test_archiving_moves_all_of_it_over_file_systems(
    directory: Directory, put: Put, mounted: Callable[[str], Path], foreign: bool
) -> None:
    dump = put(30, content=b"PGDMP" + os.urandom(3 << 20), foreign=foreign)
    before, content = only(directory), dump.read_bytes()
    to = mounted("size=8m") / "archive"
    target = archive(directory, before, to, RUN)
    assert target.read_bytes() == content
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert stat.S_IMODE(to.stat().st_mode) == 0o700
    assert only(Directory(to)) == before  # mtime, and so its age, too
    assert list(directory.path.iterdir()) == []


def test_verification_results_move_too(
    directory: Directory, put: Put, tmp_path: Path, now: datetime
) -> None:
    dump = put(1)
    look(directory, dump, now)
    before = only(directory)
    archive(directory, before, tmp_path / "archive", RUN)
    assert only(Directory(tmp_path / "archive")) == before


def test_a_damaged_one_is_not_moved(directory: Directory, put: Put, tmp_path: Path) -> None:
    dump = put(1, content=b"PGDMP1")
    backup = only(directory)
    dump.write_bytes(b"PGDMP2")
    with pytest.raises(UntrustworthyError, match="checksum"):
        archive(directory, backup, tmp_path / "archive", RUN)
    assert dump.exists()
    assert list((tmp_path / "archive").iterdir()) == []


@pytest.mark.parametrize("which", [0, 1, 2])
def test_nothing_in_the_archive_is_overwritten(
    directory: Directory, put: Put, tmp_path: Path, now: datetime, which: int
) -> None:
    dump = put(1)
    look(directory, dump, now)
    to = tmp_path / "archive"
    to.mkdir()
    there = to / (dump, *sidecars(dump))[which].name
    there.write_bytes(b"another")
    with pytest.raises(PreconditionError, match="not overwritten"):
        archive(directory, only(directory), to, RUN)
    assert there.read_bytes() == b"another"
    assert dump.exists()
    assert not list(to.glob(".tmp-*"))


def test_a_move_cut_off_before_the_deletion_goes_on(
    directory: Directory, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(1)
    backup, to = only(directory), tmp_path / "archive"

    def die(dump: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retire, "_unlink", die)
        with pytest.raises(KeyboardInterrupt):
            archive(directory, backup, to, RUN)
    (to / ".tmp-dead").touch()
    archive(directory, backup, to, RUN)
    assert only(Directory(to)) == backup
    assert directory.list() == ()
    assert not (to / ".tmp-dead").exists()


def test_a_full_archive_leaves_all_as_it_was(
    directory: Directory, put: Put, mounted: Callable[[str], Path]
) -> None:
    dump = put(1, content=b"PGDMP" + os.urandom(3 << 20))
    backup, to = only(directory), mounted("size=1m")
    with pytest.raises(PreconditionError, match="no space left"):
        archive(directory, backup, to, RUN)
    assert dump.exists()
    assert only(directory) == backup
    assert list(to.iterdir()) == []


def test_the_archive_is_another_folder(directory: Directory, put: Put, tmp_path: Path) -> None:
    put(1)
    (tmp_path / "alias").symlink_to(directory.path)
    for to in (directory.path, tmp_path / "alias"):
        with pytest.raises(UsageError, match="where the backups lie"):
            archive(directory, only(directory), to, RUN)
    assert len(directory.list()) == 1
