"""SIGKILL at every step of a restore and of an undo: production is one whole database always."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import psycopg
import pytest

from archon_ops.model.proof import Found
from archon_ops.model.runs import Result
from tests.support import Installation, wait_until

RESTORE = ("restore", "latest", "--scope", "database", "--yes")
UNDO = ("undo", "--yes")
MOMENTS = 8
GROUPS = 2
EVERY = 4  # kills, then a whole run

pytestmark = pytest.mark.slow


def change(installation: Installation) -> Found:
    """Make production another database than any backup or kept one; what it is then."""
    installation.psql(
        "UPDATE public.archon_projects SET title = title || '!';"
        "INSERT INTO public.archon_tasks (project_id, title)"
        " SELECT id, 'later' FROM public.archon_projects LIMIT 1"
    )
    return installation.content()


def phases(installation: Installation, *args: str) -> tuple[str, ...]:
    """The phases and steps that a whole run goes through, as its record names them."""
    installation.run(*args).ok()
    record = installation.site().journal.records()[0]
    assert record.result is Result.DONE
    return tuple(phase.name for phase in record.phases)


def untouched(installation: Installation) -> dict[str, bytes]:
    """Backups and what lies beside them, but for what restores add: their proof, safety backups."""
    return {
        name: content
        for name, content in installation.files().items()
        if not name.endswith(".verify.json") and not name.startswith("safety/")
    }


def kill_at(installation: Installation, phase: str, *args: str) -> None:
    spawned = installation.spawn(*args, pause_at=phase)
    spawned.wait_paused(phase)
    spawned.kill()


def last_phase(installation: Installation, pid: int) -> str:
    """Where a run was when it was killed."""
    record = installation.site().journal.records()[0]
    if record.pid != pid:
        return "start of Python"
    if record.result is Result.DONE:
        return "end"
    return record.phases[-1].name if record.phases else "start of the run"


def served(installation: Installation) -> Found | None:
    """What production holds; None where there is no such database."""
    if installation.site().database not in installation.databases():
        return None
    return installation.content()


def check_swept(installation: Installation) -> None:
    """Nothing of a killed run is left after the next one."""
    names = installation.databases()
    assert not [name for name in names if name.startswith("archon_side_")]
    assert len([name for name in names if name.startswith("archon_before_")]) <= 1
    sessions = """SELECT count(*) FROM pg_stat_activity
                  WHERE application_name LIKE 'archon_ops:%' AND pid <> pg_backend_pid()"""
    wait_until(lambda: installation.psql(sessions) == "0", 10, "no session of a dead run")
    assert list(installation.temporary.glob("archon_ops-*")) == []


@pytest.mark.parametrize("half", [0, 1])  # two workers share them
def test_a_restore_killed_at_every_named_step(running: Installation, half: int) -> None:
    backup = running.content()
    files = untouched(running)
    names = phases(running, *RESTORE)
    assert {"restore.pre-data", "restore.data", "restore.post-data", "restore.switch"} <= set(names)
    hit = []
    for name in names[half::2]:
        old = change(running)
        kill_at(running, name, *RESTORE)
        hit.append(name)
        switched = names.index(name) >= names.index("restore.switched")
        assert served(running) == (backup if switched else old), name
        # Each run meets what the kill before it left; some are let through to their end.
        if len(hit) % EVERY == 0 or name == names[half::2][-1]:
            running.run(*RESTORE).ok()
            assert served(running) == backup, name
            check_swept(running)
    print("killed at:", ", ".join(hit))
    assert tuple(hit) == names[half::2]
    assert untouched(running) == files


def test_a_restore_into_a_new_home_killed_at_every_named_step(running: Installation) -> None:
    backup = running.content()
    drop = 'DROP DATABASE IF EXISTS "postgres" WITH (FORCE)'
    running.psql(drop, "template1")
    names = phases(running, *RESTORE)
    for name in names:
        running.psql(drop, "template1")
        kill_at(running, name, *RESTORE)
        switched = names.index(name) >= names.index("restore.switched")
        assert served(running) == (backup if switched else None), name
    running.run(*RESTORE).ok()
    assert served(running) == backup
    check_swept(running)


def test_an_undo_killed_at_every_named_step(running: Installation) -> None:
    change(running)
    running.run(*RESTORE).ok()
    names = phases(running, *UNDO)
    assert "undo.switch" in names
    for name in names:
        now = change(running)
        earlier = running.content(kept(running))
        kill_at(running, name, *UNDO)
        switched = names.index(name) >= names.index("undo.switched")
        assert same(served(running), earlier if switched else now), name
        running.run(*UNDO).ok()
        assert same(served(running), now if switched else earlier), name
        check_swept(running)


def kept(installation: Installation) -> str:
    """Name of the database that an undo would bring back."""
    return next(n for n in installation.databases() if n.startswith("archon_before_"))


def same(one: Found | None, other: Found | None) -> bool:
    """Whether two databases are equal in all but their comment: a kept one's is its mark."""
    assert one is not None
    assert other is not None
    assert one.attributes is not None
    assert other.attributes is not None
    own = {k: v for k, v in one.attributes.items() if k != "comment"}
    theirs = {k: v for k, v in other.attributes.items() if k != "comment"}
    return own == theirs and (one.tables, one.sequences, one.inventory) == (
        other.tables,
        other.sequences,
        other.inventory,
    )


@pytest.mark.parametrize("group", range(GROUPS))
def test_a_restore_killed_at_moments_spread_over_a_run(
    installation: Installation, group: int
) -> None:
    backup = installation.content()
    began = time.monotonic()
    installation.run(*RESTORE).ok()
    whole = time.monotonic() - began
    hit = []
    for number in range(group, MOMENTS, GROUPS):
        old = change(installation)
        spawned = installation.spawn(*RESTORE)
        try:
            spawned.popen.wait(whole * (number + 1) / (MOMENTS + 1))
        except subprocess.TimeoutExpired:
            spawned.kill()
        hit.append(last_phase(installation, spawned.pid))
        assert served(installation) in (old, backup), hit
        installation.run(*RESTORE).ok()
        assert served(installation) == backup, hit
        check_swept(installation)
    print("killed in:", ", ".join(hit))


@pytest.mark.parametrize("victim", ["us", "the server"])
@pytest.mark.parametrize("command", [RESTORE, UNDO], ids=["restore", "undo"])
def test_killed_between_the_two_renames(
    installation: Installation, command: tuple[str, ...], victim: str
) -> None:
    """A lock on the comments holds the switch in the middle of its transaction."""
    backup = installation.content()
    if command is UNDO:
        installation.run(*RESTORE).ok()
    before = change(installation)
    phase = f"{command[0]}.switch"
    spawned = installation.spawn(*command, pause_at=phase)
    spawned.wait_paused(phase)
    with installation.server() as server, psycopg.connect(**server.conninfo("template1")) as lock:
        lock.execute("LOCK TABLE pg_shdescription IN SHARE MODE")
        spawned.go_on()
        waiting = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COMMENT ON DATABASE%'"
        wait_until(lambda: installation.psql(waiting, "template1"), 30, "the switch is half way")
        if victim == "us":
            spawned.kill()
        else:
            kill_server(installation)
            with contextlib.suppress(psycopg.Error):
                lock.rollback()
    assert spawned.finish().returncode != 0
    now = served(installation)
    # When the server dies, the session with the lock may end first, and the switch go through.
    assert now == before or (victim == "the server" and now == backup)
    installation.run(*command).ok()
    assert served(installation) == (before if command is UNDO and now == backup else backup)
    check_swept(installation)


def kill_server(installation: Installation) -> None:
    pid_file = installation.site().cluster.data_folder / "postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)


@pytest.mark.parametrize("after", [0.0, 0.01, 0.02, 0.05])
def test_the_server_is_killed_around_the_switch(installation: Installation, after: float) -> None:
    backup = installation.content()
    old = change(installation)
    spawned = installation.spawn(*RESTORE, pause_at="restore.switch")
    spawned.wait_paused("restore.switch")
    spawned.go_on()
    time.sleep(after)  # somewhere before, in or behind the two renames
    kill_server(installation)
    done = spawned.finish()
    assert served(installation) in (old, backup)
    if done.returncode:
        assert len(done.stderr[done.stderr.index("error:") :].splitlines()) <= 3, done
    installation.run(*RESTORE).ok()
    assert served(installation) == backup
    check_swept(installation)


def test_the_server_is_killed_right_after_the_switch(installation: Installation) -> None:
    backup = installation.content()
    change(installation)
    spawned = installation.spawn(*RESTORE, pause_at="restore.switched")
    spawned.wait_paused("restore.switched")
    kill_server(installation)
    spawned.go_on()
    assert spawned.finish().returncode != 0
    assert served(installation) == backup
    installation.run(*UNDO).ok()


def test_nothing_is_taken_for_a_side_database_but_what_a_run_made(running: Installation) -> None:
    running.psql("CREATE DATABASE archon_side_project", "template1")
    running.psql("CREATE DATABASE archon_before_lunch", "template1")
    running.psql("COMMENT ON DATABASE archon_before_lunch IS 'archon_ops kept: {'", "template1")
    kill_at(running, "restore.data", *RESTORE)
    running.run(*RESTORE).ok()
    assert {"archon_side_project", "archon_before_lunch"} <= set(running.databases())


def test_a_kill_between_the_commands_leaves_the_server_to_the_next(
    installation: Installation,
) -> None:
    kill_at(installation, "restore.post-data", *RESTORE)
    done = installation.run(*RESTORE).ok()
    assert "dropped what a killed run left: database archon_side_" in done.stderr
    records = installation.site().journal.records()
    assert [r.result for r in records[:2]] == [Result.DONE, Result.KILLED]


def test_a_run_that_lives_is_not_swept_by_another(installation: Installation) -> None:
    spawned = installation.spawn(*RESTORE, pause_at="restore.proof")
    spawned.wait_paused("restore.proof")
    other = installation.root / "elsewhere"
    done = installation.run("backup", "--backup-dir", str(other)).ok()
    assert "dropped" not in done.stderr
    spawned.go_on()
    assert spawned.finish().returncode == 0
