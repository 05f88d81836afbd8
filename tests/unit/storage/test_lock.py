from __future__ import annotations

import contextlib
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archon_ops.errors import ExitCode, LockedError, PreconditionError
from archon_ops.storage.directory import Directory
from archon_ops.storage.lock import Lock

HOLD = (
    "import sys,time;from pathlib import Path;"
    "from archon_ops.storage.directory import Directory;from archon_ops.storage.lock import Lock\n"
    "with Lock(Directory(Path(sys.argv[1])),'backup'):\n"
    "    print('held',flush=True);sys.stdin.readline()\n"
)


@pytest.fixture
def holder(directory: Directory) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is given a line."""
    argv = [sys.executable, "-c", HOLD, str(directory.path)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_is_told_who_holds_it(
    directory: Directory, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockedError) as caught, Lock(directory, "prune"):
        pass
    said = rf"held by pid {holder.pid} \(backup\) since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.search(said, caught.value.message)
    assert caught.value.exit_code is ExitCode.LOCKED


def test_a_killed_holder_frees_it(directory: Directory, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait(60)
    with Lock(directory, "prune") as lock:
        assert '"prune"' in lock.path.read_text()


def test_one_waits_if_asked(directory: Directory, holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    stdin, told = holder.stdin, threading.Event()

    def let_go() -> None:
        told.set()
        stdin.write("go\n")
        stdin.flush()

    timer = threading.Timer(0.5, let_go)
    timer.start()
    with Lock(directory, "prune", wait_seconds=120):
        assert told.is_set()
    timer.join()


def test_waiting_has_an_end(directory: Directory, holder: subprocess.Popen[str]) -> None:
    began = time.monotonic()
    with pytest.raises(LockedError), Lock(directory, "prune", wait_seconds=0.3):
        pass
    assert time.monotonic() - began >= 0.3


def test_it_can_be_taken_again_and_nothing_of_the_former_holder_stays(
    directory: Directory,
) -> None:
    with Lock(directory, "backup") as lock:
        path = lock.path
    assert path.read_text() == ""
    with Lock(directory, "a" * 500):
        pass
    with Lock(directory, "b"), pytest.raises(LockedError, match=r"\(b\)"), Lock(directory, "c"):
        pass


def test_a_holder_that_has_not_signed(directory: Directory) -> None:
    with Lock(directory, "backup") as lock:
        lock.path.write_text("")
        with pytest.raises(LockedError, match="another run"), Lock(directory, "prune"):
            pass


def test_it_is_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    directory = Directory(tmp_path)
    with Lock(directory, "backup") as lock:
        assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(directory.ops.stat().st_mode) == 0o700


def test_an_error_inside_frees_it(directory: Directory) -> None:
    with pytest.raises(RuntimeError), Lock(directory, "backup"):
        raise RuntimeError
    with Lock(directory, "backup") as lock:
        assert lock.path in open_files()
    assert lock.path not in open_files()


def open_files() -> list[Path]:
    """What this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the folder itself is closed by then
            found.append(descriptor.readlink())
    return found


def test_a_directory_that_refuses(tmp_path: Path, mounted: Callable[[str], Path]) -> None:
    with pytest.raises(PreconditionError), Lock(Directory(tmp_path / "none"), "backup"):
        pass
    with (
        pytest.raises(PreconditionError, match="read-only"),
        Lock(Directory(mounted("ro")), "backup"),
    ):
        pass


def test_a_link_in_its_place_is_not_followed(directory: Directory, tmp_path: Path) -> None:
    directory.ops.mkdir()
    (tmp_path / "victim").write_text("precious")
    (directory.ops / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(PreconditionError), Lock(directory, "backup"):
        pass
    assert (tmp_path / "victim").read_text() == "precious"
