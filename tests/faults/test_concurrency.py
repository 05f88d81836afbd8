"""Two commands at once, and what a killed one leaves behind."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from tests.direct import error_of
from tests.support import Installation, wait_until

# Whoever waits for others waits as long as they may take on a machine that does much else.
PATIENT = {"ARCHON_DEADLINES__LOCK": "300"}


def has_open(pid: int, name: str) -> bool:
    """Whether a process has a file of this name open."""
    with contextlib.suppress(FileNotFoundError):
        return any(str(fd.readlink()).endswith(name) for fd in Path(f"/proc/{pid}/fd").iterdir())
    return False


@pytest.mark.slow
def test_a_second_command_says_who_is_at_work(installation: Installation) -> None:
    before, files = installation.content(), installation.files()
    with installation.server():  # else the second would not even find out about tables
        first = installation.spawn("backup", pause_at="backup.prerequisites")
        first.wait_paused("backup.prerequisites")
        for args in (
            ("backup",),
            ("verify", "latest"),
            ("restore", "latest", "--yes"),
            ("undo", "--yes"),
        ):
            told = error_of(installation.run(*args, env={"ARCHON_DEADLINES__LOCK": "0.3"}), 11)
            held = rf"is held by pid {first.pid} \(backup\) since 20\d\d-\d\d-\d\dT[\d:]+Z"
            assert re.search(held, told), told
        # Who only looks waits for nobody.
        for task in ("backups", "status"):
            installation.run(task).ok()
        assert installation.files() == files
        first.go_on()
        first.finish().ok()
    assert len(installation.dumps()) == 2
    assert installation.content() == before


def test_a_second_command_waits_for_the_first(installation: Installation) -> None:
    first = installation.spawn("backup", pause_at="backup.prerequisites")
    first.wait_paused("backup.prerequisites")
    second = installation.spawn("backup", env=PATIENT)
    wait_until(lambda: has_open(second.pid, ".ops/lock"), 60, "the second comes to the lock")
    first.go_on()
    first.finish().ok()
    second.finish().ok()
    assert len(installation.dumps()) == 3
    installation.run("verify", "all").ok()


@pytest.mark.slow
def test_many_at_once_all_come_through(installation: Installation) -> None:
    runs = [installation.spawn("backup", env=PATIENT) for _ in range(4)]
    for run in runs:
        run.finish().ok()
    assert len(installation.dumps()) == 5
    installation.run("verify", "all").ok()


@pytest.mark.parametrize("phase", ["backup.prerequisites", "backup.dump", "backup.publish"])
def test_a_killed_holder_holds_nothing_up(installation: Installation, phase: str) -> None:
    files = installation.files()
    first = installation.spawn("backup", pause_at=phase)
    first.wait_paused(phase)
    first.kill()
    left = {name: data for name, data in installation.files().items() if name.endswith(".dump")}
    assert left == {name: data for name, data in files.items() if name.endswith(".dump")}
    installation.run("backup", env={"ARCHON_DEADLINES__LOCK": "0.3"}).ok()
    assert len(installation.dumps()) == 2
    assert not list(installation.backups.glob(".tmp-*"))
    installation.run("verify", "all").ok()
    records = installation.site().journal.records()
    assert [r.result.value for r in records if r.action == "backup"].count("killed") == 1


@pytest.mark.slow
def test_two_demos_at_once_both_end_well(empty_installation: Installation) -> None:
    runs = [empty_installation.spawn("demo", "--size", "1MB", env=PATIENT) for _ in range(2)]
    for run in runs:
        assert "What was proven" in run.finish().ok().stdout
    assert len(empty_installation.dumps()) == 2
    empty_installation.run("verify", "all").ok()


@pytest.mark.slow
def test_a_second_demo_that_may_not_wait_says_why(empty_installation: Installation) -> None:
    first = empty_installation.spawn("demo", "--size", "1MB", pause_at="demo.1")
    first.wait_paused("demo.1")
    env = {"ARCHON_DEADLINES__LOCK": "0.3"}
    told = error_of(empty_installation.run("demo", "--size", "1MB", env=env), 11)
    assert f"is held by pid {first.pid} (demo) since " in told
    first.kill()
    wait_until(lambda: not first.running(), 10, "its end")
    empty_installation.run("demo", "--size", "1MB").ok()
