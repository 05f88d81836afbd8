"""Scope archon on a full disk, cut off, stopped, with what it needs missing: nothing is changed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import psycopg
import pytest

from archon_ops.model.proof import Found
from archon_ops.postgres.server import Server
from tests.disks import fill, small_disk
from tests.faults.test_restore_tools import room_for_wal
from tests.support import Completed, Installation, Spawned, wait_until

RESTORE = ("restore", "latest", "--scope", "archon", "--yes")
UNDO = ("undo", "--yes")
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^archon_' ORDER BY 1"
SESSIONS = """SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'archon_ops:%'
              AND pid <> pg_backend_pid() AND datname = 'postgres'"""

pytestmark = pytest.mark.slow


@pytest.fixture
def running(installation: Installation) -> Iterator[Installation]:
    """An installation whose server runs throughout, with a change that no backup has."""
    with installation.server():
        installation.psql("UPDATE public.archon_projects SET title = title || '!'")
        yield installation


def assert_untouched(installation: Installation, before: Found) -> None:
    """Archon and its neighbours as they were, nothing beside them, and the next run works."""
    assert installation.content() == before
    assert installation.psql(SCHEMAS) == ""
    assert installation.databases() == ("postgres",)
    installation.run(*RESTORE).ok()


def refused(done: Completed, code: int, *words: str) -> None:
    """It ended with a code, said all these words, and in three lines at most."""
    said = done.ended(code).stderr
    said = said[said.index("error:") :]
    assert len(said.splitlines()) <= 3, said
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"


@contextlib.contextmanager
def copying(installation: Installation) -> Iterator[Spawned]:
    """A restore in the middle of writing rows: the staged table that it wants is locked."""
    spawned = installation.spawn(*RESTORE, pause_at="restore.data")
    spawned.wait_paused("restore.data")
    (schema,) = installation.psql(SCHEMAS).splitlines()
    with (
        installation.server() as server,
        contextlib.suppress(psycopg.OperationalError),
        psycopg.connect(**server.conninfo("postgres")) as session,
    ):
        session.execute(f'LOCK TABLE "{schema}".archon_tasks IN ACCESS EXCLUSIVE MODE'.encode())
        spawned.go_on()
        waiting = """SELECT count(*) FROM pg_stat_activity
                     WHERE wait_event_type = 'Lock' AND query LIKE 'COPY%'"""
        wait_until(lambda: installation.psql(waiting) != "0", 30, "the restore waits for a table")
        yield spawned


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_rows_are_written(
    running: Installation, how: signal.Signals, code: int
) -> None:
    before = running.content()
    with copying(running) as spawned:
        spawned.send(how)
        # What was built cannot be dropped while somebody else holds a table of it.
        wait_until(lambda: "stopped" in spawned.stderr or not spawned.running(), 30, "it heard")
    done = spawned.finish().ended(code)
    assert "Archon's objects are as they were" in done.stderr
    assert running.content() == before
    wait_until(lambda: running.psql(SESSIONS) == "", 20, "no session left")
    running.run(*RESTORE).ok()
    assert [n for n in running.psql(SCHEMAS).splitlines() if "staging" in n] == []


def test_our_sessions_are_ended_by_somebody(running: Installation) -> None:
    before = running.content()
    with copying(running) as spawned:
        running.psql(f"SELECT pg_terminate_backend(pid) FROM ({SESSIONS}) AS ours")
        wait_until(lambda: running.psql(SESSIONS) == "", 30, "they are gone")
    done = spawned.finish()
    assert done.returncode not in (0, 5), done
    assert running.content() == before
    running.run(*RESTORE).ok()


def test_the_servers_disk_is_full(installation: Installation) -> None:
    before = installation.content()
    cluster = installation.site().cluster.folder
    with small_disk(cluster, 250):
        spawned = installation.spawn(*RESTORE, pause_at="restore.data")
        spawned.wait_paused("restore.data")
        room_for_wal(installation)
        filler = fill(cluster, but=1 << 20)
        spawned.go_on()
        done = spawned.finish()
        refused(done, 3, "disk is full")
        assert "Archon's objects are as they were" in done.stderr
        filler.unlink()
        assert_untouched(installation, before)
        installation.site().cluster.remove()


def test_where_old_and_new_do_not_fit_the_old_is_saved_and_dropped(
    installation: Installation,
) -> None:
    before = installation.content()
    cluster = installation.site().cluster.folder
    with small_disk(cluster, 250):
        with installation.server():
            for scope in ("archon", "database"):
                installation.psql("UPDATE public.archon_projects SET title = title || '!'")
                later = installation.content()
                args = ("restore", "latest", "--scope", scope)
                plan = installation.run(*args, "--dry-run", "--json").ok().json["plan"]
                filler = fill(cluster, but=round(1.3 * plan["needed_bytes"]))
                done = installation.run(*args, "--yes").ok()
                filler.unlink()
                assert "would be free with old and new side by side" in done.stderr
                assert "inv undo brings" not in done.stderr
                assert installation.content() == before
                refused(installation.run("undo", "--yes"), 3, "nothing to undo")
                left = installation.psql(SCHEMAS), installation.databases()
                assert left == ("", ("postgres",))
            saved = max((installation.backups / "safety").glob("*.dump"))
            installation.run("restore", str(saved), "--yes").ok()
            assert installation.content() == later
        installation.site().cluster.remove()


def test_an_extension_that_archon_needs_is_gone(running: Installation) -> None:
    running.psql("DROP EXTENSION pg_trgm CASCADE")
    before = running.content()
    done = running.run(*RESTORE)
    refused(done, 3, "pg_trgm", "nothing was touched", "CREATE EXTENSION")
    assert running.content() == before
    assert running.psql(SCHEMAS) == ""
    running.psql('CREATE EXTENSION "pg_trgm" WITH SCHEMA "public"')
    running.run(*RESTORE).ok()


def test_another_servers_backup_is_refused_without_trust(
    running: Installation, postgres_18: Server
) -> None:
    ours = running.psql("SELECT system_identifier FROM pg_control_system()")
    with postgres_18.connect("template1") as connection:
        connection.execute('DROP DATABASE IF EXISTS "mixed" WITH (FORCE)')
        connection.execute('CREATE DATABASE "mixed"')
    with postgres_18.connect("mixed") as connection:
        connection.execute(
            "CREATE TABLE public.archon_sources (source_id text PRIMARY KEY);"
            "INSERT INTO public.archon_sources VALUES ('theirs');"
            "CREATE EXTENSION vector SCHEMA public; CREATE EXTENSION pg_trgm SCHEMA public"
        )
        for role in ("anon", "authenticated", "service_role"):
            query = f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN OTHERS THEN END $$"
            connection.execute(query.encode())
    where = " ".join(f"{k}={v}" for k, v in {**postgres_18.address, "dbname": "mixed"}.items())
    (running.root / "archon.toml").write_text(
        f"[sources.other]\nkind = 'direct'\ndsn = '{where}'\n"
    )
    dump = str(running.latest_dump())
    restore = ("restore", dump, "--scope", "archon", "--source", "other", "--yes")
    refused(running.run(*restore), 4, ours, "--trust")
    with postgres_18.connect("mixed") as connection:
        rows = connection.execute("SELECT source_id FROM public.archon_sources").fetchall()
    assert rows == [("theirs",)]


def test_after_a_migration_an_undo_is_refused_and_says_which(running: Installation) -> None:
    running.run(*RESTORE).ok()
    running.psql(
        "ALTER TABLE public.archon_tasks ADD due date;"
        "INSERT INTO public.archon_migrations (version, migration_name)"
        " VALUES ('0.9', '099_due_dates')"
    )
    before = running.content()
    refused(running.run(*UNDO), 3, "0.9/099_due_dates", "archon_tasks.due")
    assert running.content() == before
    running.psql(
        "ALTER TABLE public.archon_tasks DROP due;"
        "DELETE FROM public.archon_migrations WHERE version = '0.9'"
    )
    running.run(*UNDO).ok()


def test_settings_and_rights_of_the_database_stay(running: Installation) -> None:
    running.psql(
        "ALTER DATABASE postgres SET work_mem = '7MB'; ALTER DATABASE postgres CONNECTION LIMIT 77;"
        "COMMENT ON DATABASE postgres IS 'ours'"
    )
    attributes = running.content().attributes
    running.run(*RESTORE).ok()
    assert running.content().attributes == attributes
    assert attributes is not None
    assert "7MB" in str(attributes)
