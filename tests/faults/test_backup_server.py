"""A backup whose server, network or tables get in the way: nothing is left, and it says why."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.direct import Direct, Host, error_of
from tests.support import wait_until

pytestmark = pytest.mark.slow

WAITING = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'archon_ops%' AND {}"
PG_DUMP = "query LIKE 'LOCK TABLE%' AND wait_event_type = 'Lock'"
READER = "query LIKE 'SELECT count(*), sum(%' AND wait_event_type = 'Lock'"
EXPORTER = "query LIKE '%pg_current_snapshot%' AND state = 'idle in transaction'"
# The last moment before, and the first moments after, the server is needed for something new.
PHASES = ("backup.prerequisites", "backup.snapshot", "backup.dump", "backup.recheck")


# --- B5, B6: who serves us ends ---------------------------------------------------------------


@pytest.mark.parametrize("who", [PG_DUMP, READER, EXPORTER])
def test_a_backend_of_ours_that_is_ended_leaves_no_backup(
    host: Host, direct: Direct, who: str
) -> None:
    with direct.unharmed():
        run = direct.spawn("backup", pause_at="backup.dump", env={"ARCHON_DEADLINES__LOCK": "60"})
        run.wait_paused("backup.dump")
        with host.locking("n8n.workflow"):
            run.go_on()
            for needed in (PG_DUMP, READER, EXPORTER):
                wait_until(lambda q=needed: host.execute(WAITING.format(q)), 30, needed)
            host.execute(
                WAITING.replace("SELECT pid", "SELECT pg_terminate_backend(pid)").format(who)
            )
        told = error_of(run.finish(), 1)
    assert "connection" in told
    direct.run("backup").ok()


def test_a_server_that_restarts_leaves_no_backup(host: Host, direct: Direct) -> None:
    with direct.unharmed():
        run = direct.spawn("backup", pause_at="backup.dump", env={"ARCHON_DEADLINES__LOCK": "60"})
        run.wait_paused("backup.dump")
        with contextlib.suppress(psycopg.OperationalError), host.locking("n8n.workflow"):
            run.go_on()
            wait_until(lambda: host.execute(WAITING.format(PG_DUMP)), 30, "pg_dump waits")
            host.restart()
        told = error_of(run.finish(), 1)
    assert "connection" in told
    direct.run("backup").ok()


@pytest.mark.parametrize("phase", ["backup.dump", "backup.recheck"])
def test_a_server_that_restarted_between_two_phases_leaves_no_backup(
    host: Host, direct: Direct, phase: str
) -> None:
    with direct.unharmed():
        run = direct.spawn("backup", pause_at=phase)
        run.wait_paused(phase)
        host.restart()
        run.go_on()
        assert "connection" in error_of(run.finish(), 1)


# --- B7: the network ---------------------------------------------------------------------------


@pytest.mark.parametrize("phase", PHASES)
def test_a_frozen_network_ends_within_its_deadline(host: Host, direct: Direct, phase: str) -> None:
    # Before the network freezes, pg_dump has to come to its first byte within such a time.
    short = {"ARCHON_DEADLINES__STALL": "6", "ARCHON_DEADLINES__PROOF": "10"}
    with direct.unharmed():
        run = direct.spawn(
            "backup", pause_at=phase, env={**short, "ARCHON_DEADLINES__CONNECT": "4"}
        )
        run.wait_paused(phase)
        host.proxy.freeze()
        run.go_on()
        # The longest: pg_dump is given time to stop, and so is the reader.
        done = run.finish(timeout=60)
        host.proxy.thaw()
    told = error_of(done, 3 if "no connection" in done.stderr else 1)
    assert re.search("stopped answering|sent nothing|timeout expired", told), told
    direct.run("backup").ok()


def test_a_network_that_freezes_while_pg_dump_waits_ends_within_its_deadline(
    host: Host, direct: Direct
) -> None:
    env = {
        "ARCHON_DEADLINES__STALL": "3",
        "ARCHON_DEADLINES__PROOF": "600",
        "ARCHON_DEADLINES__LOCK": "60",
    }
    with direct.unharmed():
        run = direct.spawn("backup", pause_at="backup.dump", env=env)
        run.wait_paused("backup.dump")
        with host.locking("n8n.workflow"):
            run.go_on()
            wait_until(lambda: host.execute(WAITING.format(PG_DUMP)), 30, "pg_dump waits")
            host.proxy.freeze()
            told = error_of(run.finish(timeout=40), 1)
            host.proxy.thaw()
    assert "sent nothing for 3 s" in told or "did not end within" in told


@pytest.mark.parametrize("phase", ["backup.prerequisites", "backup.snapshot"])
def test_a_network_that_freezes_under_a_query_ends_within_its_deadline(
    host: Host, direct: Direct, phase: str
) -> None:
    env = {"ARCHON_DEADLINES__STALL": "2", "ARCHON_DEADLINES__LOCK": "6"}
    busy = "query LIKE 'LOCK TABLE%'" if phase == "backup.snapshot" else "query LIKE '%pg_locks%'"
    with direct.unharmed():
        run = direct.spawn("backup", pause_at=phase, env=env)
        run.wait_paused(phase)
        with host.locking("archon_tasks"):
            run.go_on()
            wait_until(lambda: host.execute(WAITING.format(busy)), 30, busy)
            host.proxy.freeze()
            told = error_of(run.finish(timeout=40), 1)
        host.proxy.thaw()
    assert "did not end within 8 s" in told


@pytest.mark.parametrize("phase", PHASES)
def test_a_network_that_is_cut_leaves_no_backup(host: Host, direct: Direct, phase: str) -> None:
    before = direct.files()
    content = host.content()
    run = direct.spawn("backup", pause_at=phase)
    run.wait_paused(phase)
    host.proxy.cut()
    host.proxy.freeze()
    host.proxy.target += "-gone"
    host.proxy.thaw()
    run.go_on()
    done = run.finish()
    host.proxy.target = host.proxy.target.removesuffix("-gone")
    assert "connection" in error_of(done, done.returncode)
    assert done.returncode in (1, 3)
    assert direct.files() == before
    assert direct.temporary_files() == []
    assert direct.lock_is_free()
    assert host.content() == content
    wait_until(lambda: not host.sessions(), 20, "no session left")


def test_a_connection_that_is_cut_while_pg_dump_waits_leaves_no_backup(
    host: Host, direct: Direct
) -> None:
    with direct.unharmed():
        run = direct.spawn("backup", pause_at="backup.dump", env={"ARCHON_DEADLINES__LOCK": "60"})
        run.wait_paused("backup.dump")
        with host.locking("n8n.workflow"):
            run.go_on()
            wait_until(lambda: host.execute(WAITING.format(PG_DUMP)), 30, "pg_dump waits")
            host.proxy.cut()
            assert "connection" in error_of(run.finish(), 1)


# --- B8: locks and migrations ------------------------------------------------------------------


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize("table", ["public.archon_tasks", "n8n.workflow"])
def test_a_table_that_is_locked_before_the_backup_is_named(
    host: Host, direct: Direct, table: str, with_manifest: bool
) -> None:
    if not with_manifest:  # without one the size is asked of the tables, which takes their locks
        for path in direct.backups.glob("archon_postgres*"):
            path.unlink()
    with direct.unharmed(), host.locking(table) as pid:
        told = error_of(direct.run("backup"), 11)
    assert table in told
    assert f"pid {pid} (postgres the blocker" in told


@pytest.mark.parametrize(
    ("table", "phase"),
    [
        ("public.archon_tasks", "backup.snapshot"),  # later we hold a lock on it ourselves
        ("n8n.workflow", "backup.snapshot"),
        ("n8n.workflow", "backup.dump"),
    ],
)
def test_a_table_that_is_locked_during_the_backup_is_named(
    host: Host, direct: Direct, table: str, phase: str
) -> None:
    with direct.unharmed():
        run = direct.spawn("backup", pause_at=phase)
        run.wait_paused(phase)
        with host.locking(table) as pid:
            run.go_on()
            told = error_of(run.finish(), 11)
    assert table in told
    assert f"pid {pid} (postgres the blocker" in told


@pytest.mark.parametrize(
    ("migration", "named"),
    [
        ("INSERT INTO archon_migrations VALUES ('0.2', 'second')", "0.2/second"),
        ("CREATE TABLE archon_new (id int)", "archon_new"),
        ("ALTER TABLE n8n.workflow ADD COLUMN added int", "n8n.workflow"),
    ],
)
def test_a_migration_that_runs_meanwhile_leaves_no_backup(
    host: Host, direct: Direct, migration: str, named: str
) -> None:
    files = direct.files()
    run = direct.spawn("backup", pause_at="backup.recheck")
    run.wait_paused("backup.recheck")
    host.execute(migration)
    run.go_on()
    told = error_of(run.finish(), 1)
    assert named in told
    assert "schema changed" in told
    assert (direct.files(), direct.temporary_files()) == (files, [])
    direct.run("backup").ok()


# --- B11: what the role may not read -----------------------------------------------------------


@pytest.fixture
def reader(host: Host, direct: Direct) -> Iterator[Direct]:
    """The source reached as a role that may read everything and bypasses nothing."""
    host.execute(
        "CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader; CREATE ROLE nobody_else"
    )
    direct.configure(host.dsn.replace("postgres@", "reader@"))
    try:
        yield direct
    finally:
        host.execute("DROP OWNED BY reader", "archon")
        host.execute("DROP ROLE reader, nobody_else")


def test_a_policy_that_would_hide_rows_is_named(host: Host, reader: Direct) -> None:
    host.execute(
        "ALTER TABLE archon_tasks ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY few ON archon_tasks TO reader USING (id < 10)"
    )
    with reader.unharmed():
        told = error_of(reader.run("backup"), 3)
    assert "public.archon_tasks" in told
    assert "BYPASSRLS" in told
    host.execute("ALTER ROLE reader BYPASSRLS")
    reader.run("backup").ok()


@pytest.mark.parametrize(
    ("hide", "named", "flag"),
    [
        (
            "REVOKE pg_read_all_data FROM reader; GRANT SELECT ON ALL TABLES IN SCHEMA public"
            " TO reader; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO reader",
            "schema n8n",
            "--exclude-schema=n8n",
        ),
        (
            "REVOKE pg_read_all_data FROM reader; GRANT USAGE ON SCHEMA n8n TO reader;"
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;"
            "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO reader",
            "n8n.workflow",
            "--exclude-table=n8n.workflow",
        ),
    ],
)
def test_what_cannot_be_read_is_named_and_can_be_left_out(
    host: Host, reader: Direct, hide: str, named: str, flag: str
) -> None:
    host.execute(hide)
    with reader.unharmed():
        told = error_of(reader.run("backup"), 3)
    assert named in told
    assert "another role" in told
    option, what = flag.split("=")
    assert option in told
    taken = reader.run("backup", flag, "--json").ok().json
    what = f"{option.removeprefix('--exclude-')} {what}"
    assert taken["not_covered"] == [what]
    assert reader.run("status", "--json").ok().json["not_covered"] == [what]
    assert what in reader.run("status").ok().stdout
    assert "not covered" in reader.run("backup", flag).ok().stderr
    reader.assert_all_sound()
