"""Scope archon when something is in the way: kills, locks, neighbours, rights."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import psycopg
import pytest

from archon_ops.model.proof import Found
from archon_ops.model.runs import Result
from tests.support import Installation, wait_until

pytestmark = pytest.mark.slow

RESTORE = ("restore", "latest", "--yes")
UNDO = ("undo", "--yes")
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^archon_' ORDER BY 1"
FUNCTION = "SELECT prosrc FROM pg_proc WHERE proname = 'update_updated_at_column'"


def change(installation: Installation) -> Found:
    """Make Archon other than any backup or kept one; what the database is then."""
    installation.psql(
        "UPDATE public.archon_projects SET title = title || '!';"
        "INSERT INTO public.archon_tasks (project_id, title)"
        " SELECT id, 'later' FROM public.archon_projects LIMIT 1"
    )
    return installation.content()


def schemas(installation: Installation) -> list[str]:
    """Our schemas in the live database."""
    return installation.psql(SCHEMAS).splitlines()


# --- kills (R4, R6) ---------------------------------------------------------------------------


@pytest.mark.parametrize("half", [0, 1])  # two workers share them
def test_killed_at_every_named_step(running: Installation, half: int) -> None:
    backup = running.content()
    running.run(*RESTORE).ok()
    record = running.site().journal.records()[0]
    assert record.result is Result.DONE
    names = tuple(dict.fromkeys(phase.name for phase in record.phases))
    assert {"restore.data", "restore.post-data", "restore.switch"} <= set(names)
    for name in names[half::2]:
        old = change(running)
        spawned = running.spawn(*RESTORE, pause_at=name)
        spawned.wait_paused(name)
        spawned.kill()
        switched = names.index(name) >= names.index("restore.switched")
        assert running.content() == (backup if switched else old), name
    running.run(*RESTORE).ok()
    assert running.content() == backup
    (kept,) = schemas(running)
    assert kept.startswith("archon_before_")
    assert running.databases() == ("postgres",)


def test_an_undo_killed_around_its_switch(running: Installation) -> None:
    backup = running.content()
    old = change(running)
    running.run(*RESTORE).ok()
    for name, served in (("undo.switch", backup), ("undo.switched", old)):
        spawned = running.spawn(*UNDO, pause_at=name)
        spawned.wait_paused(name)
        spawned.kill()
        assert running.content() == served, name
    running.run(*UNDO).ok()
    assert running.content() == backup
    assert len(schemas(running)) == 1


def test_who_is_interrupted_at_the_end_is_told_which_archon_serves(running: Installation) -> None:
    running.psql(
        "CREATE PUBLICATION every FOR ALL TABLES;CREATE PUBLICATION one FOR TABLES IN SCHEMA public"
    )
    spawned = running.spawn(*RESTORE, pause_at="restore.finish")
    spawned.wait_paused("restore.finish")
    spawned.send(signal.SIGINT)
    said = spawned.finish().ended(130).stderr
    assert "Archon's objects are the new ones already; inv undo brings those before back" in said
    assert "publication every is of all tables" in said
    assert "publication one is of schema public" in said
    running.run(*UNDO).ok()


# --- locks (R17) ------------------------------------------------------------------------------


def test_a_reader_in_the_way_is_named_and_nobody_waits_for_long(running: Installation) -> None:
    backup, old = running.content(), change(running)
    waits: list[float] = []
    over = threading.Event()
    with running.server() as server:
        info = {**server.conninfo("postgres"), "application_name": "client"}

        def read() -> None:
            with psycopg.connect(**info, autocommit=True) as session:
                while not over.is_set():
                    began = time.monotonic()
                    session.execute("SELECT count(*) FROM public.archon_tasks")
                    waits.append(time.monotonic() - began)
                    time.sleep(0.01)

        with psycopg.connect(**{**info, "application_name": "sleeper"}) as session:
            session.execute("SELECT * FROM public.archon_tasks LIMIT 1")
            sleeper = session.info.backend_pid
            client = threading.Thread(target=read)
            client.start()
            try:
                done = running.run(*RESTORE).ended(11)
            finally:
                over.set()
                client.join()
    assert f"pid {sleeper}" in done.stderr
    assert "sleeper" in done.stderr
    assert "Archon's objects are as they were" in done.stderr
    held_up = [seconds for seconds in waits if seconds > 0.3]
    assert len(held_up) > 1, "somebody waited, was let go on, and waited again"
    assert max(waits) < 10, "and never as long as the sleeper sleeps"
    assert running.content() == old
    (staged,) = schemas(running)
    assert staged.startswith("archon_staging_")

    again = running.run(*RESTORE).ok()
    assert f"{staged} was built by an earlier run" in again.stderr
    assert running.content() == backup
    assert not [name for name in schemas(running) if name.startswith("archon_staging_")]


def test_whoever_waits_for_us_with_what_we_want_is_never_cancelled(running: Installation) -> None:
    """PostgreSQL ends one of two that wait for each other: after a second, whoever has waited."""
    backup = running.content()
    change(running)
    spawned = running.spawn(*RESTORE, pause_at="restore.switch")
    spawned.wait_paused("restore.switch")
    waiting = """SELECT count(*) FROM pg_locks WHERE NOT granted
                 AND relation = 'public.archon_prompts'::regclass AND mode = '{}'"""
    ours, theirs = waiting.format("AccessExclusiveLock"), waiting.format("AccessShareLock")
    over = threading.Event()
    with running.server() as server, contextlib.ExitStack() as stack:
        info = server.conninfo("postgres")
        sleeper, client = (stack.enter_context(psycopg.connect(**info)) for _ in range(2))
        sleeper.execute("SELECT FROM public.archon_prompts")
        client.execute("SELECT FROM public.archon_sources")

        def wake() -> None:
            wait_until(lambda: running.psql(theirs) == "1" or over.is_set(), 60, "it waits")
            time.sleep(0.3)  # so that it waits for longer than we do once we wait for it
            sleeper.rollback()

        spawned.go_on()
        wait_until(lambda: running.psql(ours) == "1", 60, "we wait for the sleeper")
        waking = threading.Thread(target=wake)
        waking.start()
        try:
            client.execute("SELECT FROM public.archon_prompts")  # behind us
        finally:
            over.set()
            waking.join()
        client.rollback()
        spawned.finish().ok()
    assert running.content() == backup


# --- neighbours -------------------------------------------------------------------------------


def test_what_hangs_on_archon_is_named_and_nothing_is_built(running: Installation) -> None:
    running.psql(
        "CREATE VIEW public.report AS SELECT title FROM public.archon_tasks;"
        "CREATE TABLE n8n.notes (project uuid REFERENCES public.archon_projects,"
        " status public.task_status);"
        "CREATE TABLE n8n.all_things (); CREATE TABLE public.archon_things () INHERITS"
        " (n8n.all_things)"
    )
    before = running.content()
    done = running.run(*RESTORE).ended(3)
    for word in (
        "view public.report (on table public.archon_tasks)",
        "table n8n.all_things (on table public.archon_things)",
        "n8n.notes",
        "task_status",
    ):
        assert word in done.stderr
    assert running.content() == before
    assert schemas(running) == []


def test_a_routine_of_neighbours_is_replaced_and_undo_gives_it_back(running: Installation) -> None:
    before = running.psql(FUNCTION)
    running.psql(
        "ALTER TABLE public.chat_flow ADD updated_at timestamptz;"
        "CREATE TRIGGER stamp BEFORE UPDATE ON public.chat_flow"
        " FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();"
        "CREATE OR REPLACE FUNCTION public.update_updated_at_column() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN NEW.updated_at := ''2001-01-01''; RETURN NEW; END'"
    )
    changed = running.psql(FUNCTION)
    assert changed != before
    trigger = "SELECT tgfoid::regproc::text FROM pg_trigger WHERE tgname = 'stamp'"
    done = running.run(*RESTORE).ok()
    assert "routine update_updated_at_column() is used by neighbours too" in done.stderr
    assert running.psql(FUNCTION) == before
    running.run(*UNDO).ok()
    assert running.psql(FUNCTION) == changed
    running.run(*UNDO).ok()
    assert running.psql(FUNCTION) == before
    assert running.psql(trigger) == "public.update_updated_at_column"


def test_what_would_fail_at_the_exchange_is_told_before_anything_is_built(
    running: Installation,
) -> None:
    make = "CREATE FUNCTION public.archon_slug({} text) RETURNS text LANGUAGE sql AS 'SELECT $1'"
    use = "ALTER TABLE public.chat_flow ALTER name SET DEFAULT public.archon_slug('x')"
    running.psql(f"{make.format('title')}; {use}")
    running.run("backup").ok()
    running.psql(
        "ALTER TABLE public.chat_flow ALTER name DROP DEFAULT;"
        f"DROP FUNCTION public.archon_slug(text); {make.format('name')}; {use}"
    )
    done = running.run(*RESTORE).ended(3)
    assert "routine archon_slug(text) is used by neighbours too" in done.stderr
    assert 'cannot change name of input parameter "name"' in done.stderr
    assert "built beside" not in done.stderr

    running.psql(
        f"{use.partition(' SET')[0]} DROP DEFAULT; CREATE TABLE n8n.log (what text);"
        "CREATE FUNCTION n8n.logs() RETURNS event_trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO n8n.log VALUES (tg_tag); END';"
        "CREATE EVENT TRIGGER logged ON ddl_command_end EXECUTE FUNCTION n8n.logs()"
    )
    done = running.run(*RESTORE).ended(3)
    assert "event trigger (logged) writes to n8n.log" in done.stderr
    assert "built beside" not in done.stderr
    running.psql("ALTER EVENT TRIGGER logged DISABLE")
    assert running.psql("SELECT count(*) FROM n8n.log") == "0"
    assert schemas(running) == []
    running.run(*RESTORE).ok()


def test_a_row_of_a_neighbour_that_is_gone_is_no_damage_of_the_backup(
    running: Installation,
) -> None:
    running.psql(
        "CREATE TABLE n8n.owners (id int PRIMARY KEY); INSERT INTO n8n.owners VALUES (7);"
        "CREATE TABLE public.archon_owned (id int PRIMARY KEY, owner int REFERENCES n8n.owners);"
        "INSERT INTO public.archon_owned VALUES (1, 7)"
    )
    running.run("backup").ok()
    running.psql("TRUNCATE public.archon_owned; DELETE FROM n8n.owners")
    before = running.content()
    done = running.run(*RESTORE).ended(3)
    assert "(owner)=(7)" in done.stderr
    assert "neighbour" in done.stderr
    assert running.content() == before
    assert schemas(running) == []


def test_what_is_kept_does_not_bind_neighbours_and_is_bound_again_by_an_undo(
    running: Installation,
) -> None:
    running.psql(
        'CREATE ROLE "the clerk; Owner: a" ; CREATE TABLE n8n.owners (id int PRIMARY KEY);'
        "INSERT INTO n8n.owners VALUES (7), (8);"
        "CREATE TABLE public.archon_owned (id int PRIMARY KEY,"
        " owner int CONSTRAINT whose REFERENCES n8n.owners ON DELETE CASCADE);"
        "INSERT INTO public.archon_owned VALUES (1, 7);"
        'ALTER TABLE public.archon_owned OWNER TO "the clerk; Owner: a";'
        'GRANT REFERENCES, SELECT ON n8n.owners TO "the clerk; Owner: a";'
        'GRANT USAGE ON SCHEMA n8n TO "the clerk; Owner: a"'
    )
    running.run("backup").ok()
    running.psql("INSERT INTO public.archon_owned VALUES (2, 8)")
    running.run(*RESTORE).ok()
    (kept,) = schemas(running)
    running.psql("DELETE FROM n8n.owners")
    assert running.psql("SELECT count(*) FROM public.archon_owned") == "0"  # as it was declared
    assert running.psql(f'SELECT count(*) FROM "{kept}".archon_owned') == "2"
    said = running.run("undo", "--dry-run").ok()
    assert "key whose of archon_owned comes back for new rows alone: 2 of" in said.stdout
    running.run(*UNDO).ok()
    valid = "SELECT convalidated FROM pg_constraint WHERE conname = 'whose'"
    assert running.psql("SELECT count(*) FROM public.archon_owned") == "2"
    assert running.psql(valid) == "False"
    running.psql("INSERT INTO n8n.owners VALUES (7)")
    running.run(*UNDO).ok()
    assert running.psql(valid) == "True"
    owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'archon_owned'"
    assert set(running.psql(owner).splitlines()) == {"the clerk; Owner: a"}


def test_rights_that_the_backup_lacks_are_told_as_statements(running: Installation) -> None:
    running.psql("CREATE ROLE clerk; GRANT SELECT ON public.archon_tasks TO clerk")
    done = running.run(*RESTORE).ok()
    assert "GRANT SELECT ON TABLE public.archon_tasks TO clerk" in done.stderr


# --- objects that an Archon of tomorrow may have ----------------------------------------------

TOMORROW = """
CREATE FUNCTION public.archon_due(t public.archon_tasks, s public.task_status DEFAULT 'todo')
    RETURNS boolean LANGUAGE sql AS 'SELECT t.status = s';
CREATE STATISTICS public.archon_wont ON status, assignee FROM public.archon_tasks;
CREATE TABLE public."archon_Log's" (id bigint GENERATED ALWAYS AS IDENTITY, at date,
    PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE public."archon_log 1" PARTITION OF public."archon_Log's" DEFAULT;
INSERT INTO public."archon_Log's" (at) VALUES ('2026-01-01'), ('2026-01-02');
"""


def test_functions_over_archons_types_statistics_and_partitions_are_exchanged(
    running: Installation,
) -> None:
    running.psql(TOMORROW)
    running.run("backup").ok()
    backup, old = running.content(), change(running)
    done = running.run(*RESTORE).ok()
    assert "left service" not in done.stderr
    assert running.content() == backup
    for expected in (old, backup):
        running.run(*UNDO).ok()
        assert running.content() == expected


# --- rights (R10) -----------------------------------------------------------------------------


def test_missing_privileges_are_printed_and_suffice(running: Installation) -> None:
    running.psql(
        "CREATE ROLE clerk LOGIN; GRANT pg_read_all_data TO clerk;"
        "GRANT anon, authenticated, service_role TO clerk; ALTER ROLE clerk BYPASSRLS"
    )
    with running.server() as server:
        where = f"host={server.address['host']} port={server.address['port']}"
        (running.root / "archon.toml").write_text(
            "[sources.clerk]\nkind = 'direct'\n"
            f"dsn = '{where} user=clerk dbname=postgres'\nbackup_dir = '{running.backups}'\n"
        )
        as_clerk = (*RESTORE, "--source", "clerk")
        done = running.run(*as_clerk).ended(3)
        wanted = (
            'GRANT CREATE ON DATABASE "postgres" TO "clerk"',
            'GRANT USAGE, CREATE ON SCHEMA "public" TO "clerk"',
            'ALTER TABLE public.archon_tasks OWNER TO "clerk"',
            'ALTER TYPE public.task_status OWNER TO "clerk"',
        )
        for statement in wanted:
            assert statement in done.stderr
        running.psql(done.stderr.partition("administrator run: ")[2].strip())
        changed = running.content()
        running.run(*as_clerk, "--trust").ok()
        assert running.content() != changed
        running.run(*UNDO, "--source", "clerk").ok()
        assert running.content() == changed
