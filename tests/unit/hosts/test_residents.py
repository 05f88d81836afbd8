"""Who works in a folder is ended, and nobody else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from archon_ops.hosts.residents import end_residents

# Says when it is there; asked to quit, it stays.
_STUBBORN = """
import signal
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for one in made:
        one.kill()
        one.communicate(timeout=60)


def start(
    made: list[subprocess.Popen[str]], folder: Path, *words: str, program: str = ""
) -> subprocess.Popen[str]:
    """A process that works in a folder, and waits."""
    text = program or "import signal; print('ready', flush=True); signal.pause()"
    argv = [sys.executable, "-I", "-c", text, *words]
    made.append(one := subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, text=True))
    assert one.stdout is not None
    assert one.stdout.readline() == "ready\n"
    return one


def test_those_who_work_in_it_are_ended_and_no_others(
    started: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    (deep := tmp_path / "room" / "data").mkdir(parents=True)
    (near := tmp_path / "room-2").mkdir()
    there = start(started, deep)
    told = start(started, near, f"--config={tmp_path / 'room'}/it.conf")
    others = [start(started, near), start(started, tmp_path), start(started, near, f"{near}/room")]
    end_residents(tmp_path / "room", 20)
    assert (there.wait(60), told.wait(60)) == (-3, -3)
    assert [one.poll() for one in others] == [None, None, None]


def test_who_does_not_quit_is_killed(started: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    stubborn = start(started, tmp_path, program=_STUBBORN)
    end_residents(tmp_path, 0.2)
    assert stubborn.wait(60) == -9
