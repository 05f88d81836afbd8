from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from archon_ops.errors import PreconditionError
from archon_ops.storage.atomic import TEMP_PREFIX, Temporary, abandoned, write_atomic

RUN = "20251217T100648Z-0a1b"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_appears_whole_and_private(tmp_path: Path, umask: int) -> None:
    final = tmp_path / "final"
    with Temporary(tmp_path, RUN) as temporary:
        assert temporary.path.name.startswith(f"{TEMP_PREFIX}{RUN}-")
        assert mode(temporary.path) == 0o600
        temporary.write(b"hello ")
        temporary.write(memoryview(b"world"))
        assert not final.exists()
        temporary.publish(final)
    assert final.read_bytes() == b"hello world"
    assert mode(final) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["final"]
    assert final.stat().st_nlink == 1


def test_nothing_is_left_of_one_that_failed(tmp_path: Path) -> None:
    with pytest.raises(TypeError), Temporary(tmp_path, RUN) as temporary:
        temporary.write("text is not bytes")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False])
def test_a_taken_name_is_never_overwritten(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:  # as on vfat
        monkeypatch.setattr(os, "link", _no_links)
    write_atomic(tmp_path / "a", b"first", RUN)
    with pytest.raises(PreconditionError, match="exists already"):
        write_atomic(tmp_path / "a", b"second", RUN)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def _no_links(*args: object, **kwargs: object) -> None:
    raise OSError(1, "Operation not permitted")


def test_replacing_is_asked_for(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"first", RUN)
    write_atomic(tmp_path / "a", b"second", RUN, overwrite=True)
    assert (tmp_path / "a").read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_says_how_much_is_free(mounted: Callable[[str], Path]) -> None:
    folder = mounted("size=1m")
    with (
        pytest.raises(PreconditionError, match=r"no space left \(.* free\)"),
        Temporary(folder, RUN) as temporary,
    ):
        temporary.write(bytes(2 << 20))
    assert list(folder.iterdir()) == []


def test_a_read_only_folder_names_path_and_user(mounted: Callable[[str], Path]) -> None:
    folder = mounted("ro")
    with pytest.raises(PreconditionError, match="read-only") as caught:
        write_atomic(folder / "a", b"x", RUN)
    assert str(folder) in caught.value.message
    assert "as user" in caught.value.message


def test_the_sweep_can_tell_the_living_from_the_dead(tmp_path: Path) -> None:
    code = (
        "import sys,time;from pathlib import Path;"
        "from archon_ops.storage.atomic import Temporary;"
        "t=Temporary(Path(sys.argv[1]),'r');t.write(b'x');print(t.path,flush=True);time.sleep(60)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        path = Path(writer.stdout.readline().strip())
        assert not abandoned(path)
        writer.send_signal(signal.SIGKILL)
        writer.wait(60)
    assert path.exists()
    assert abandoned(path)
    assert not abandoned(tmp_path / "gone")


def test_one_swept_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    taken: list[Path] = []

    def sweep_first(fd: int, how: int) -> None:
        if not taken:
            (victim,) = tmp_path.iterdir()
            victim.unlink()
            taken.append(victim)
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    write_atomic(tmp_path / "a", b"x", RUN)
    assert taken
    assert (tmp_path / "a").read_bytes() == b"x"


def test_the_time_of_a_file_can_be_kept(tmp_path: Path) -> None:
    with Temporary(tmp_path, RUN) as temporary:
        temporary.set_modified(1_000_000_000)
        temporary.publish(tmp_path / "a")
    assert time.time() - (tmp_path / "a").stat().st_mtime > 3600
