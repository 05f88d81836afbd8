from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.storage.explain import explained
from archon_ops.storage.files import NotRegularError, kind_of, open_regular, read_limited, sha256_of
from archon_ops.storage.space import free_bytes, room


@pytest.mark.parametrize("cold", [False, True])
def test_digest_and_length(tmp_path: Path, cold: bool) -> None:
    data = os.urandom(3 * (1 << 20) + 17)
    (tmp_path / "a").write_bytes(data)
    seen: list[tuple[int, int]] = []
    found = sha256_of(tmp_path / "a", lambda done, total: seen.append((done, total)), cold=cold)
    assert found == (hashlib.sha256(data).hexdigest(), len(data))
    assert seen[-1] == (len(data), len(data))
    assert len(seen) == 4


def test_what_is_no_file_is_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "target").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
    names = {"pipe": "named pipe", "link": "symbolic link", "sock": "socket"}
    for name, said in {**names, ".": "folder"}.items():
        with pytest.raises(NotRegularError, match=said):
            open_regular(tmp_path / name)
        with pytest.raises(PreconditionError, match=said):
            sha256_of(tmp_path / name)
    with pytest.raises(NotRegularError, match="device"):
        open_regular(Path("/dev/zero"))


def test_one_exchanged_for_a_link_while_we_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"secret")
    honest = os.lstat(target)
    (tmp_path / "a").symlink_to(target)
    monkeypatch.setattr(os, "lstat", lambda _: honest)
    with pytest.raises(PreconditionError):
        sha256_of(tmp_path / "a")


def test_a_limit_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_limited(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="longer"):
        read_limited(tmp_path / "a", 4)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match=str(tmp_path / "a")):
        sha256_of(tmp_path / "a")


def test_a_failing_disk_is_a_failure_and_no_precondition(tmp_path: Path) -> None:
    with pytest.raises(OpsError) as caught, explained("read", tmp_path):
        raise OSError(5, "Input/output error")
    assert not isinstance(caught.value, PreconditionError)
    with pytest.raises(PreconditionError, match="as user"), explained("read", tmp_path):
        raise OSError(13, "Permission denied")


def test_room_is_what_the_system_says(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    assert abs(free_bytes(tmp_path) - found.f_bavail * found.f_frsize) < 1 << 30
    assert 0 <= room(tmp_path).used_percent <= 100
    with pytest.raises(PreconditionError):
        free_bytes(tmp_path / "missing")


def test_kinds_of_files() -> None:
    assert kind_of(os.lstat("/dev/null").st_mode) == "a device"
    assert kind_of(os.lstat("/").st_mode) == "a folder"
