from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from archon_ops.errors import LockedError, OpsError, PreconditionError
from archon_ops.hosts import process
from archon_ops.hosts.process import Finished
from archon_ops.postgres.messages import complaints, failure
from archon_ops.postgres.server import Server
from archon_ops.postgres.tools import local_tools
from tests.support import new_database, require

DOING = "pg_dump of database x"


def told(stderr: str, returncode: int = 1) -> OpsError:
    return failure(Finished(("pg_dump",), returncode, "", stderr), DOING)


def dump(server: Server, *args: str, database: str = "said") -> Finished:
    with server.spawn("pg_dump", "--file=/dev/null", *args, database=database) as child:
        return child.wait(60)


@pytest.fixture(scope="module")
def server(postgres_18: Server) -> Iterator[Server]:
    with new_database(postgres_18, "said") as connection:
        connection.execute(
            "CREATE TABLE public.t (id int PRIMARY KEY, parent int REFERENCES public.t)"
        )
        yield postgres_18


def test_only_what_is_known_is_harmless() -> None:
    assert complaints("\n\n") == ()
    assert complaints("pg_restore: while PROCESSING TOC:\npg_restore: from TOC entry 5; x\n") == ()
    said = "pg_dump: warning: something new\npg_restore: warning: errors ignored on restore: 1\n"
    assert complaints(said) == tuple(said.splitlines())
    assert complaints("Traceback\n") == ("Traceback",)


def test_a_table_that_refers_to_itself_is_harmless(server: Server) -> None:
    done = dump(server, "--data-only")
    assert "circular" in done.stderr
    assert complaints(done.stderr) == ()


def test_a_lock_that_does_not_come(server: Server) -> None:
    with psycopg.connect(server.programs.dsn("said")) as other:
        other.execute("LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE")
        done = dump(server, "--lock-wait-timeout=50ms")
    error = failure(done, DOING)
    assert isinstance(error, LockedError)
    assert "lock" in error.message
    assert error.hint


def test_a_client_older_than_the_server(server: Server) -> None:
    require(Path("/usr/lib/postgresql/15/bin/pg_dump").exists(), "postgresql-client-15")
    argv = local_tools(15).argv(
        "pg_dump", "--file=/dev/null", f"--dbname={server.programs.dsn('said')}"
    )
    error = failure(process.run(argv, timeout=60), DOING)
    assert isinstance(error, PreconditionError)
    assert "the server is 18" in error.message
    assert "pg_dump is 15" in error.message
    assert error.hint == "install the package postgresql-client-18"


def test_a_dump_newer_than_the_client(server: Server, tmp_path: Path) -> None:
    require(Path("/usr/lib/postgresql/15/bin/pg_restore").exists(), "postgresql-client-15")
    path = tmp_path / "x.dump"
    with server.spawn("pg_dump", "-Fc", f"--file={path}", database="said") as child:
        assert child.wait(60).returncode == 0
    done = process.run(local_tools(15).argv("pg_restore", "--list", str(path)), timeout=60)
    error = failure(done, "reading x.dump")
    assert isinstance(error, PreconditionError)
    assert "newer" in error.message


def test_rows_that_a_policy_hides_and_tables_without_a_right(server: Server) -> None:
    with psycopg.connect(server.programs.dsn("said"), autocommit=True) as admin:
        admin.execute("ALTER TABLE public.t ENABLE ROW LEVEL SECURITY")
        admin.execute("CREATE ROLE half_blind LOGIN")
        try:
            denied = failure(dump(server, "--role=half_blind"), DOING)
            admin.execute("GRANT SELECT ON public.t TO half_blind")
            hidden = failure(dump(server, "--role=half_blind"), DOING)
        finally:
            admin.execute("DROP OWNED BY half_blind; DROP ROLE half_blind")
            admin.execute("ALTER TABLE public.t DISABLE ROW LEVEL SECURITY")
    assert isinstance(denied, PreconditionError)
    assert "permission denied" in denied.message
    assert "--exclude-table" in denied.hint
    assert isinstance(hidden, PreconditionError)
    assert "row level security hides rows" in hidden.message


def test_a_full_disk_and_what_nobody_foresaw() -> None:
    full = told('pg_restore: error: could not extend file "base/1": No space left on device\n')
    assert "disk is full" in full.message
    odd = told("pg_dump: error: the moon is full\npg_dump: detail: very\n")
    assert odd.message == f"{DOING} failed: error: the moon is full"
    assert type(odd) is OpsError
    assert "signal 9" in told("", -9).message
    assert "exit status 3" in told("", 3).message
