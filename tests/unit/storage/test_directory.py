from __future__ import annotations

import contextlib
import os
import socket
import stat
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from archon_ops.errors import PreconditionError
from archon_ops.model.backup import Trust, Verification
from archon_ops.storage import manifest as manifests
from archon_ops.storage.directory import Directory
from archon_ops.storage.names import manifest_path, verify_path
from archon_ops.storage.verifications import append_verification

Put = Callable[..., Path]
RUN = "20251217T100648Z-0a1b"


def test_a_missing_directory_holds_nothing(tmp_path: Path) -> None:
    assert Directory(tmp_path / "none").list() == ()


def test_backups_of_every_kind(directory: Directory, put: Put, now: datetime) -> None:
    plain, safety = put(1), put(2, safety=True)
    foreign, edited = put(3, foreign=True), put(4)
    manifest_path(edited).write_text("{}")
    found = {backup.name: backup for backup in directory.list()}
    assert found[plain.name].trust is Trust.CHECKED
    assert found[safety.name].safety
    assert found[foreign.name].trust is Trust.UNMANAGED
    assert "manifest" in (found[edited.name].manifest_problem or "")
    assert directory.path_of(found[safety.name]) == safety
    assert directory.path_of(found[plain.name]) == plain
    assert found[plain.name].manifest is not None
    latest = directory.catalog().latest()
    assert latest is not None
    assert latest.name == plain.name


def test_verifications_are_read_with_it(directory: Directory, put: Put, now: datetime) -> None:
    dump = put(1)
    (before,) = directory.list()
    assert before.manifest is not None
    look = Verification(now, "checksum", False, ("bad",), before.manifest.sha256, 1.0)
    append_verification(dump, look, RUN)
    (after,) = directory.list()
    assert after.trust is Trust.FAILED


def test_damaged_results_do_not_hide_a_backup(directory: Directory, put: Put) -> None:
    verify_path(put(1)).write_text("rubbish")
    (backup,) = directory.list()
    assert backup.trust is Trust.CHECKED
    assert "cannot be read" in (backup.verify_problem or "")


def test_what_is_no_file_is_reported_and_never_opened(directory: Directory, put: Put) -> None:
    real = put(1)
    os.mkfifo(directory.path / "pipe.dump")
    (directory.path / "link.dump").symlink_to(real)
    (directory.path / "dangling.dump").symlink_to("/nowhere")
    (directory.path / "folder.dump").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory.path / "sock.dump"))
    with contextlib.suppress(PermissionError):  # only root may
        os.mknod(directory.path / "zero.dump", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    listing = directory.scan()
    assert [backup.name for backup in listing.backups] == [real.name]
    odd = {oddity.name: oddity.what for oddity in listing.oddities}
    assert odd.pop("zero.dump", "a device") == "a device"
    assert odd == {
        "pipe.dump": "a named pipe",
        "link.dump": "a symbolic link",
        "dangling.dump": "a symbolic link",
        "folder.dump": "a folder",
        "sock.dump": "a socket",
    }


def test_other_files_are_none_of_its_business(directory: Directory, put: Put) -> None:
    put(1)
    for name in (".tmp-x.dump", ".hidden.dump", "notes.txt", "old.dump.gpg", "RESTORE.txt"):
        (directory.path / name).touch()
    assert len(directory.list()) == 1
    assert directory.scan().oddities == ()


def test_names_that_would_paint_the_terminal(directory: Directory) -> None:
    (directory.path / "a\x1b[31m.dump").touch()
    Path(os.fsdecode(os.fsencode(directory.path) + b"/b\xff.dump")).touch()
    listing = directory.scan()
    assert listing.backups == ()
    assert all(oddity.name.isprintable() for oddity in listing.oddities)
    assert len(listing.oddities) == 2


def test_what_vanishes_while_we_look_is_left_out(
    directory: Directory, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, going, half = put(1), put(2), put(3)
    lstat = os.lstat

    def vanish(path: Any) -> os.stat_result:
        if str(path) == str(going):
            going.unlink(missing_ok=True)
        return lstat(path)

    def read(dump: Path) -> Any:
        if dump == half:  # removed as a whole after we had seen its dump
            half.unlink()
            manifest_path(half).unlink()
        return manifest_read(dump)

    manifest_read = manifests.read
    monkeypatch.setattr(os, "lstat", vanish)
    monkeypatch.setattr(manifests, "read", read)
    assert [backup.name for backup in directory.list()] == [stays.name]


def test_dumps_are_not_read(directory: Directory, put: Put) -> None:
    dump = put(1)
    os.truncate(dump, 400 << 30)  # sparse: to read it would take minutes
    began = time.monotonic()
    (backup,) = directory.list()
    assert time.monotonic() - began < 60
    assert backup.size_bytes == 400 << 30
    assert backup.trust is Trust.FAILED


def test_ten_thousand_files(directory: Directory, put: Put) -> None:
    sealed = put(0)
    for number in range(10_000):
        (directory.path / f"foreign-{number:05}.dump").touch()
    began = time.monotonic()
    listing = directory.scan()
    assert len(listing.backups) == 10_001
    assert time.monotonic() - began < 120
    latest = directory.catalog().latest()
    assert latest is not None
    assert latest.name == sealed.name


def test_prepare_makes_it_private(tmp_path: Path, umask: int) -> None:
    made = Directory(tmp_path / "backups")
    made.prepare()
    made.prepare()
    made.prepare_safety()
    for path in (made.path, made.safety):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert [path.name for path in made.path.iterdir()] == ["safety"]


def test_prepare_refuses_before_anything(tmp_path: Path, mounted: Callable[[str], Path]) -> None:
    with pytest.raises(PreconditionError, match="does not exist"):
        Directory(tmp_path / "no" / "where").prepare()
    (tmp_path / "file").touch()
    with pytest.raises(PreconditionError, match="is not a folder"):
        Directory(tmp_path / "file").prepare()
    folder = mounted("ro")
    for path in (folder, folder / "new"):
        with pytest.raises(PreconditionError, match="read-only") as caught:
            Directory(path).prepare()
        assert str(folder) in caught.value.message


def test_prepare_refuses_what_belongs_to_another(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").mkdir(mode=0o700)
    said = _as_nobody(tmp_path / "theirs")
    assert "Permission denied (as user nobody)" in said or "does not exist" in said


def _as_nobody(path: Path) -> str:
    """What `prepare` says when nobody runs it, in a child of our own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            Directory(path).prepare()
        except PreconditionError as error:
            os.write(writing, error.message.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_a_name_is_free_only_with_all_that_lies_beside_it(directory: Directory, put: Put) -> None:
    dump = put(1)
    assert not directory.is_free(dump.name)
    dump.unlink()
    assert not directory.is_free(dump.name)
    manifest_path(dump).unlink()
    assert directory.is_free(dump.name)
    assert directory.is_free(dump.name, safety=True)
