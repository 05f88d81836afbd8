"""What a restore refuses before it touches anything, and what it tells the operator then."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import psycopg
import pytest

from archon_ops.errors import OpsError
from archon_ops.postgres.server import Server
from archon_ops.postgres.tools import wheel_tools
from tests.support import Completed, Installation, wait_until
from tests.terminal import ASKED, typed

RESTORE = ("restore", "latest", "--scope", "database", "--yes")
SMALL = """CREATE TABLE public.archon_sources (source_id text PRIMARY KEY, title text);
           INSERT INTO public.archon_sources VALUES ('one', 'first')"""


def source(installation: Installation, server: Server, database: str, **more: str) -> None:
    """Add a source `other`: a database on another server."""
    where = {**server.address, "dbname": database, **more}
    dsn = " ".join(f"{key}={value}" for key, value in where.items())
    (installation.root / "archon.toml").write_text(
        f"[sources.other]\nkind = 'direct'\ndsn = '{dsn}'\n"
    )


def made(server: Server, database: str, *statements: str) -> None:
    """Make a database anew on a server that tests share."""
    with server.connect("template1") as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{database}"'.encode())
    with server.connect(database) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def refused(done: Completed, code: int, *words: str) -> None:
    """It ended with a code, said all these words, and in three lines at most."""
    said = done.ended(code).stderr
    said = said[said.index("error:") :]
    assert len(said.splitlines()) <= 3, said
    assert "hint:" in said
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"


# --- what the dump needs (R1) -----------------------------------------------------------------


@pytest.mark.slow
def test_an_extension_that_the_target_lacks(running: Installation, postgres_15: Server) -> None:
    made(
        postgres_15, "needs", "CREATE EXTENSION pgcrypto SCHEMA public", SMALL
    )  # the wheel has no pgcrypto
    source(running, postgres_15, "needs")
    running.run("backup", "--source", "other").ok()
    (dump,) = (running.root / "backups" / "other").glob("*.dump")
    before = running.content()
    done = running.run("restore", str(dump), "--scope", "database", "--yes", "--trust")
    refused(done, 3, "lacks the extension pgcrypto", "postgres was not touched", "PostgreSQL 18")
    assert running.content() == before
    assert running.databases() == ("postgres",)


@pytest.mark.slow
def test_vector_is_missing_in_a_server_without_it(installation: Installation) -> None:
    """The wheel's programs without pgvector's control file, which is what pg_restore would miss."""
    before, files = installation.content(), installation.files()
    wheel = wheel_tools().folder.parents[1]
    copy = installation.root / "packages"
    for part in wheel.parent.glob(f"{wheel.name}*"):  # its libraries lie beside it
        if part.suffix != ".dist-info":
            shutil.copytree(part, copy / part.name)
    for control in copy.rglob("vector.control"):
        control.unlink()
    path = f"{copy}:{installation.environment()['PYTHONPATH']}"
    done = installation.run(*RESTORE, env={"PYTHONPATH": path})
    refused(done, 3, "lacks the extension vector", "postgresql-18-pgvector")
    assert "restore.side" not in done.stderr
    assert installation.files() == files
    assert installation.content() == before


def test_a_server_that_is_older_than_the_backup(running: Installation, postgres_15: Server) -> None:
    made(postgres_15, "of_15", SMALL)
    source(running, postgres_15, "of_15")
    dump = running.latest_dump()
    done = running.run(
        "restore", str(dump), "--scope", "database", "--source", "other", "--yes", "--trust"
    )
    refused(done, 3, "of PostgreSQL 18", "server is PostgreSQL 15", "PostgreSQL 18 or newer")


@pytest.mark.slow
def test_roles_that_the_target_lacks(running: Installation, postgres_15: Server) -> None:
    made(postgres_15, "roles", SMALL)
    with postgres_15.connect("roles") as connection:
        connection.execute('DROP ROLE IF EXISTS "odd; role"')
        connection.execute('CREATE ROLE "odd; role"')
        connection.execute('GRANT SELECT ON public.archon_sources TO "odd; role"')
    source(running, postgres_15, "roles")
    running.run("backup", "--source", "other").ok()
    with postgres_15.connect("roles") as connection:
        connection.execute('DROP OWNED BY "odd; role"')
        connection.execute('DROP ROLE "odd; role"')
    done = running.run("restore", "latest", "--scope", "database", "--source", "other", "--yes")
    refused(done, 3, "lacks the roles odd; role", 'CREATE ROLE "odd; role" NOLOGIN')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("grants", "statement"),
    [
        ("", 'ALTER ROLE clerk CREATEDB; ALTER DATABASE "rights" OWNER TO clerk'),
        ("ALTER ROLE clerk CREATEDB", 'ALTER DATABASE "rights" OWNER TO clerk'),
        ('ALTER DATABASE "rights" OWNER TO clerk', "ALTER ROLE clerk CREATEDB"),
    ],
)
def test_rights_that_the_role_lacks(
    running: Installation, postgres_15: Server, grants: str, statement: str
) -> None:
    made(postgres_15, "rights", SMALL)
    source(running, postgres_15, "rights")
    running.run("backup", "--source", "other").ok()
    with postgres_15.connect("rights") as connection:
        connection.execute("DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN OTHERS THEN END $$")
        connection.execute("ALTER ROLE clerk NOCREATEDB")
        connection.execute("GRANT pg_read_all_data TO clerk")
        if grants:
            connection.execute(grants.encode())
    source(running, postgres_15, "rights", user="clerk")
    done = running.run("restore", "latest", "--scope", "database", "--source", "other", "--yes")
    refused(done, 3, "clerk may not replace database rights", f"run: {statement}\n")


# --- which server (R15) -----------------------------------------------------------------------


@pytest.mark.slow
def test_two_servers_mixed_up(running: Installation, postgres_18: Server) -> None:
    made(postgres_18, "staging", SMALL)
    source(running, postgres_18, "staging")
    ours = running.psql("SELECT system_identifier FROM pg_control_system()")
    with postgres_18.connect("staging") as connection:
        theirs = str(
            connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()[0]  # type: ignore[index]
        )
        for role in ("anon", "authenticated", "service_role"):
            query = f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN OTHERS THEN END $$"
            connection.execute(query.encode())
    arguments = (
        "restore",
        str(running.latest_dump()),
        "--scope",
        "database",
        "--source",
        "other",
        "--yes",
    )
    done = running.run(*arguments)
    refused(done, 4, ours, theirs, "an Archon of its own", "--trust")
    with postgres_18.connect("staging") as connection:
        assert connection.execute("SELECT title FROM public.archon_sources").fetchall() == [
            ("first",)
        ]
    done = running.run(*arguments, "--trust", "--json").ok()
    assert done.json["proof"]["equal"] is True
    assert ours in " ".join(done.json["plan"]["notes"])


@pytest.mark.slow
@pytest.mark.parametrize("home", ["empty", "absent"])
def test_a_new_home_is_accepted_and_shown(
    running: Installation, postgres_18: Server, home: str
) -> None:
    name = f"home_{home}"
    made(postgres_18, name)
    with postgres_18.connect("template1") as connection:
        for role in ("anon", "authenticated", "service_role"):
            query = f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN OTHERS THEN END $$"
            connection.execute(query.encode())
        if home == "absent":
            connection.execute(f"DROP DATABASE {name}".encode())
    source(running, postgres_18, name)
    ours = running.psql("SELECT system_identifier FROM pg_control_system()")
    done = running.run(
        "restore", str(running.latest_dump()), "--scope", "database", "--source", "other", "--yes"
    ).ok()
    assert "a new home" in done.stderr
    assert ours in done.stderr


# --- who agrees -------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_a_terminal_the_plan_is_printed_and_nothing_done(running: Installation) -> None:
    before, files = running.content(), running.files()
    for command in (("restore", "latest"), ("undo",)):
        if command == ("undo",):
            running.run(*RESTORE).ok()
            before, files = running.content(), running.files()
        done = running.run(*command)
        refused(done, 3, "only when somebody confirms it", "--yes")
        assert "Into     demo@localhost/postgres#" in done.stderr
        assert "Loss     none" in done.stderr
        assert running.content() == before
        assert running.files() == files


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["yes", "", "postgres", "demo@localhost/postgres#0000"])
def test_a_wrong_answer_changes_nothing(running: Installation, answer: str) -> None:
    before, files = running.content(), running.files()
    code, screen = typed(running, "restore", "latest", answers=[(ASKED, answer)])
    assert code == 3, screen
    assert "not confirmed, nothing was changed" in screen
    assert running.content() == before
    assert running.files() == files
    assert running.databases() == ("postgres",)


@pytest.mark.slow
def test_the_right_answer_restores(running: Installation) -> None:
    backup = running.content()
    running.psql("DELETE FROM public.archon_tasks")
    code, screen = typed(running, "restore", "latest", answers=[(ASKED, None)])
    assert code == 0, screen
    assert running.content() == backup


# --- what nothing speaks for ------------------------------------------------------------------


def foreign(installation: Installation) -> Path:
    """A dump as the document's script makes it: no manifest."""
    plain = installation.root / "archon_postgres-20200101_000000.dump"
    shutil.copy(installation.latest_dump(), plain)
    return plain


@pytest.mark.slow
def test_a_dump_that_is_not_ours_needs_trust_and_stays_unproven(running: Installation) -> None:
    before, plain = running.content(), foreign(running)
    refused(
        running.run("restore", str(plain), "--scope", "database", "--yes"),
        4,
        "no manifest",
        "--trust",
    )
    assert running.content() == before
    running.psql("DELETE FROM public.archon_prompts")
    done = (
        running.run("restore", str(plain), "--scope", "database", "--yes", "--trust", "--json")
        .ended(5)
        .json
    )
    assert done["proof"]["equal"] is False
    assert done["proof"]["not_proven"] == ["content: the backup has no manifest to hold it against"]
    assert running.content() == before
    said = (
        running.run("restore", str(plain), "--scope", "database", "--yes", "--trust")
        .ended(5)
        .stderr
    )
    assert "not proven: content" in said
    assert "Done, Not Fully Proven" in said


@pytest.mark.slow
def test_a_database_that_lets_nobody_in_can_be_replaced(running: Installation) -> None:
    backup = running.content()
    kinds = "pg_catalog.pg_proc"  # a session cannot start without it
    running.psql(f"SET allow_system_table_mods = on; DELETE FROM {kinds}")
    with pytest.raises(OpsError):
        running.psql("SELECT lower('A')")
    refused(running.run(*RESTORE), 3, "live data cannot be read", "--accept-unreadable")
    done = running.run(*RESTORE, "--accept-unreadable", "--json").ok().json
    assert done["plan"]["rows_lost"] is None
    assert running.content() == backup


# --- the safety backup ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("interrupted", [False, True])
def test_nothing_is_switched_before_what_is_live_is_saved(
    running: Installation, interrupted: bool
) -> None:
    before, files, databases = running.content(), running.files(), running.databases()
    env = {"ARCHON_DEADLINES__LOCK": "120" if interrupted else "1"}
    run = running.spawn(*RESTORE, pause_at="restore.safety", env=env)
    run.wait_paused("restore.safety")
    with running.connect() as session, session.transaction():
        session.execute("LOCK TABLE public.archon_tasks IN ACCESS EXCLUSIVE MODE")
        run.go_on()
        if interrupted:
            run.wait_for("Comparing every row")
            run.send(signal.SIGINT)
        done = run.finish()
    if interrupted:
        done.ended(130)
    else:
        refused(done, 11, "archon_tasks", "is as it was")
    assert running.content() == before
    assert running.files() == files
    assert running.databases() == databases


# --- what cannot move -------------------------------------------------------------------------


@pytest.mark.slow
def test_prepared_transactions_are_named(installation: Installation) -> None:
    auto = installation.site().cluster.data_folder / "postgresql.auto.conf"
    auto.write_text("max_prepared_transactions = 5\n")
    installation.psql(
        "BEGIN; UPDATE public.archon_projects SET title = 'x'; PREPARE TRANSACTION 'it''s odd'"
    )
    for command in (RESTORE, ("undo", "--yes")):
        done = installation.run(*command)
        if command[0] == "undo":
            refused(done, 3, "nothing to undo")
        else:
            refused(done, 3, "prepared transactions", "it's odd", "ROLLBACK PREPARED 'it''s odd'")
    installation.psql("ROLLBACK PREPARED 'it''s odd'")
    installation.run(*RESTORE).ok()


@pytest.mark.slow
def test_slots_and_a_subscription(running: Installation) -> None:
    running.psql("SELECT pg_create_logical_replication_slot('of_ours', 'pgoutput')")
    done = running.run(*RESTORE).ok()
    assert "logical replication slots stay with the old database: of_ours" in done.stderr
    running.run("undo", "--yes").ok()

    running.psql("CREATE DATABASE far", "template1")
    running.psql("CREATE TABLE public.n (i int); CREATE PUBLICATION p FOR TABLE public.n", "far")
    with running.server() as server:
        info = psycopg.conninfo.make_conninfo(**{**server.address, "dbname": "far"})
    running.psql("SELECT pg_create_logical_replication_slot('far', 'pgoutput')", "far")
    running.psql("CREATE TABLE public.n (i int)")
    running.psql(
        f"CREATE SUBSCRIPTION s CONNECTION '{info}' PUBLICATION p"
        " WITH (create_slot = false, slot_name = 'far')"
    )
    workers = """SELECT count(*) FROM pg_stat_activity
                 WHERE datname = 'postgres' AND backend_type LIKE 'logical replication%'"""
    wait_until(lambda: running.psql(workers) != "0", 60, "a worker of the subscription is there")
    done = running.run(*RESTORE)
    refused(done, 3, "background workers hold postgres", "logical replication", "DISABLE")
    running.psql("ALTER SUBSCRIPTION s DISABLE")
    running.psql("ALTER SUBSCRIPTION s SET (slot_name = NONE)")
    running.psql("DROP SUBSCRIPTION s")
