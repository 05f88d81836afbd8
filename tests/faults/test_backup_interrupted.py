"""A backup that is stopped, killed, or runs out of disk: never half a backup under a name."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.direct import Direct, Host, error_of
from tests.disks import fill, small_disk
from tests.support import MB, Spawned, wait_until

PG_DUMP_WAITS = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name LIKE 'archon_ops%' AND query LIKE 'LOCK TABLE%'
      AND wait_event_type = 'Lock'
"""
PATIENT = {"ARCHON_DEADLINES__LOCK": "60"}
MOMENTS = 10


# --- B2: signals -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)]
)
def test_a_signal_while_pg_dump_runs_ends_everything(
    host: Host, direct: Direct, how: signal.Signals, code: int
) -> None:
    with direct.unharmed():
        run = direct.spawn("backup", pause_at="backup.dump", env=PATIENT)
        run.wait_paused("backup.dump")
        with host.locking("n8n.workflow"):
            run.go_on()
            wait_until(lambda: host.execute(PG_DUMP_WAITS), 30, "pg_dump waits")
            run.send(how)
            done = run.finish(timeout=30).ended(code)  # long before any of our own limits
            # Cancelled on the server while the lock is still held, not just let go afterwards.
            wait_until(lambda: not host.sessions(), 20, "no session left")
    assert f"error: stopped by {how.name}" in done.stderr
    assert json.loads(direct.records()[-1].read_text())["result"] == "interrupted"
    direct.run("backup").ok()


@pytest.mark.slow
def test_a_signal_in_any_phase_leaves_nothing(direct: Direct) -> None:
    *before_commit, last = named_phases(direct)
    assert last == "backup.retention"
    direct.host.reset()
    for phase in before_commit:
        with direct.unharmed():
            run = direct.spawn("backup", pause_at=phase)
            run.wait_paused(phase)
            run.send(signal.SIGTERM)
            run.finish().ended(143)


# --- B4: SIGKILL -------------------------------------------------------------------------------


def named_phases(direct: Direct) -> list[str]:
    """The phases and steps that a whole backup writes down; the new backup stays."""
    direct.run("backup").ok()
    return phases_of(direct.records()[-1])


def phases_of(record: Path) -> list[str]:
    return [phase["name"] for phase in json.loads(record.read_text())["phases"]]


def killed(direct: Direct, run: Spawned) -> None:
    """Kill a run; only whole backups bear a name, and the next run sweeps and succeeds."""
    files = direct.files()
    run.kill()
    direct.assert_all_sound(orphans=True)
    assert all(direct.files()[name] == content for name, content in files.items())
    direct.run("backup").ok()
    assert direct.temporary_files() == []
    direct.assert_all_sound()
    assert direct.lock_is_free()
    wait_until(lambda: not direct.host.sessions(), 20, "no session left")


@pytest.mark.slow
def test_a_kill_in_any_phase_leaves_whole_backups(
    host: Host, direct: Direct, record_property: pytest.RecordProperty
) -> None:
    named = named_phases(direct)
    content = host.content()
    hit = []
    for phase in named:
        run = direct.spawn("backup", pause_at=phase)
        run.wait_paused(phase)
        killed(direct, run)
        hit.append(phase)
    record_property("phases killed in", " ".join(hit))
    assert set(hit) == set(named)
    assert len(named) >= 8
    assert host.content() == content
    assert direct.run("verify", "all").ok()


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_whole_backups(
    host: Host, direct: Direct, record_property: pytest.RecordProperty
) -> None:
    content = host.content()
    named = named_phases(direct)
    measured = json.loads(direct.records()[-1].read_text())
    began, ended = (
        datetime.fromisoformat(measured[key]).timestamp() for key in ("started_at", "finished_at")
    )
    whole = ended - began
    hit = []
    for number in range(MOMENTS):
        records = len(direct.records())
        run = direct.spawn("backup")
        if number:  # the first is killed before it has written anything down
            wait_until(lambda n=records: len(direct.records()) > n, 60, "the run has a record")
            begun = len(named) * (number - 1) // (MOMENTS - 1)
            wait_until(
                lambda n=begun: len(phases_of(direct.records()[-1])) >= n, 60, "so many phases"
            )
            time.sleep(whole / MOMENTS * number / MOMENTS)  # somewhere in that phase, or behind
        run.kill()
        found = direct.records()[records:]
        hit.append((phases_of(found[0]) or ["lock"])[-1] if found else "start")
        killed(direct, run)
    record_property("phases killed in", " ".join(hit))
    assert len(set(hit)) >= 3, hit
    assert host.content() == content


@pytest.mark.slow
def test_what_a_killed_run_left_on_the_server_is_ended_by_the_next(
    host: Host, direct: Direct
) -> None:
    run = direct.spawn("backup", pause_at="backup.dump", env=PATIENT)
    run.wait_paused("backup.dump")
    with host.locking("n8n.workflow"):
        run.go_on()
        wait_until(lambda: host.execute(PG_DUMP_WAITS), 30, "pg_dump waits")
        run.kill()
        left = {pid for pid, *_ in host.sessions()}
        assert left
        next_run = direct.run("backup").ended(11)
        assert "sessions that a killed run left" in next_run.stderr
        assert not left & {pid for pid, *_ in host.sessions()}
    direct.run("backup").ok()
    direct.assert_all_sound()
    assert direct.temporary_files() == []


# --- B1: the disk is full ----------------------------------------------------------------------


@pytest.fixture
def cramped(direct: Direct) -> Iterator[Direct]:
    """The backup directory on a file system of 2 MB of its own."""
    with small_disk(direct.backups, 2):
        yield direct


def grow(host: Host, size: int) -> None:
    """Put bytes that do not compress into a neighbour's table."""
    host.execute("CREATE TABLE n8n.blobs (data bytea)")
    with host.connect() as connection:
        for _ in range(size // MB):
            connection.execute("INSERT INTO n8n.blobs VALUES (%s)", [os.urandom(MB)])


@pytest.mark.slow
def test_too_small_a_disk_is_refused_before_anything_is_written(
    host: Host, cramped: Direct
) -> None:
    for path in cramped.backups.glob("archon_postgres*"):
        path.unlink()  # without a backup before it, the size is asked of the tables
    grow(host, 6 * MB)
    with cramped.unharmed():
        told = error_of(cramped.run("backup"), 3)
    needed, free = map(int, re.findall(r"(\d+) bytes", told))
    assert needed > 6 * MB > 2 * MB > free
    assert str(cramped.backups) in told


@pytest.mark.slow
def test_a_disk_that_fills_while_dumping_leaves_nothing(host: Host, cramped: Direct) -> None:
    grow(host, 6 * MB)  # the backup before was small: the estimate does not foresee this
    with cramped.unharmed():
        told = error_of(cramped.run("backup"), 3)
    needed, free = map(int, re.findall(r"(\d+) bytes", told))
    assert needed >= free > MB
    assert str(cramped.backups) in told
    host.execute("DROP TABLE n8n.blobs")
    cramped.run("backup").ok()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "leave"),
    [
        ("backup.dump", 0),
        ("backup.readback", 0),
        ("backup.commit", 0),  # RESTORE.txt
        ("backup.commit", 4096),  # the manifest: RESTORE.txt still fits
    ],
)
def test_a_disk_that_is_full_in_a_phase_leaves_nothing(
    cramped: Direct, phase: str, leave: int
) -> None:
    with cramped.unharmed():
        run = cramped.spawn("backup", pause_at=phase)
        run.wait_paused(phase)
        filler = fill(cramped.backups, but=leave)
        run.go_on()
        done = run.finish()
        filler.unlink()
        if phase == "backup.readback":  # nothing more is written but the manifest
            assert "no space left" in done.stderr
        told = error_of(done, 3)
    assert len(re.findall(r"(\d+) bytes", told)) == 2
    assert "free some space" in told
    cramped.run("backup").ok()


@pytest.mark.slow
def test_a_disk_that_is_full_when_the_backup_is_done_loses_no_backup(cramped: Direct) -> None:
    before = len(cramped.files())
    run = cramped.spawn("backup", pause_at="backup.retention")
    run.wait_paused("backup.retention")
    filler = fill(cramped.backups, but=0)
    run.go_on()
    done = run.finish().ok()
    assert "the run record is not up to date" in done.stderr
    filler.unlink()
    assert len(cramped.files()) == before + 2
    cramped.assert_all_sound()
    assert cramped.temporary_files() == []
    cramped.run("backup").ok()
    cramped.run("verify", "all").ok()
