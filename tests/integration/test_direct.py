"""The main job through a DSN, on a PostgreSQL of the system's packages, as a user would have it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from archon_ops.errors import PreconditionError
from archon_ops.postgres.dump import dumping, exported_snapshot
from archon_ops.postgres.programs import LocalPrograms
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.tools import SERVER_PROGRAMS, local_tools, wheel_tools
from tests.direct import DATABASE, SOURCE, Direct, Host, error_of, hosting
from tests.support import TMP, Completed, answers, free_port, require, wait_until

pytestmark = pytest.mark.slow

SECRET = "p:a\\s s'w@rd"  # noqa: S105 - awkward on purpose, and only here
IN_DSN = "p:a%5Cs%20s'w%40rd"
ROLES = f"""
CREATE ROLE keeper LOGIN CREATEDB PASSWORD '{SECRET.replace("'", "''")}';
CREATE ROLE poor LOGIN; GRANT keeper TO poor;
CREATE ROLE peered LOGIN SUPERUSER;
"""
# In a user namespace root is whoever we say; a server that is not root knows us by that name.
NOBODY = 65534
KEEPER_PASSWORD = f"ARCHON_SOURCES__{SOURCE.upper()}__PASSWORD"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    try:
        tools = local_tools(15)
    except PreconditionError:
        require(False, "the package postgresql-15")
        raise
    require(all(map(tools.has, SERVER_PROGRAMS)), "the package postgresql-15")
    me = pwd.getpwuid(NOBODY if os.geteuid() == 0 else os.geteuid()).pw_name
    if tools.prefix:
        whoever = (f"--map-user={NOBODY}", f"--map-group={NOBODY}")
        tools = replace(tools, prefix=("unshare", "--user", *whoever, "--"))
    files = {
        "pg_hba.conf": "local all keeper scram-sha-256\n"
        "local all peered peer map=us\nlocal all all trust\n",
        "pg_ident.conf": f"us {me} peered\n",
    }
    with hosting(tools, files, roles=ROLES, owner="keeper") as host:
        yield host


def by_password(host: Host) -> str:
    return host.dsn.replace("postgres@", f"keeper:{IN_DSN}@")


def by_password_elsewhere(host: Host) -> str:
    return host.dsn.replace("postgres@", "keeper@")


def by_peer(host: Host) -> str:
    return f"host={host.address.host} port={host.address.port} user=peered dbname={DATABASE}"


# --- the main job ------------------------------------------------------------------------------


@pytest.mark.parametrize("dsn", [by_password, by_password_elsewhere, by_peer])
def test_the_main_job(host: Host, direct: Direct, dsn: object) -> None:
    assert callable(dsn)
    direct.configure(dsn(host))
    env = {KEEPER_PASSWORD: SECRET} if dsn is by_password_elsewhere else {}
    before = host.content()

    taken = direct.run("backup", "--json", env=env).ok().json
    assert taken["source"] == SOURCE
    name = taken["filename"]
    assert direct.run("verify", name, env=env).ok()
    proven = direct.run("verify", name, "--restore", "--json", env=env).ok().json
    assert proven["backups"][0]["proof"]["equal"] is True

    host.execute("DELETE FROM archon_tasks WHERE id <= 100")
    changed = host.content()
    restored = (
        direct.run("restore", "latest", "--scope", "database", "--yes", "--json", env=env).ok().json
    )
    assert restored["proof"]["equal"] is True
    assert tables(host) == tables_of(before)
    direct.run("undo", "--yes", env=env).ok()
    assert tables(host) == tables_of(changed)
    direct.run("undo", "--yes", env=env).ok()
    assert tables(host) == tables_of(before)

    host.execute(f"DROP DATABASE {DATABASE}", "template1")
    told = error_of(direct.run("backup", env=env), 3)
    assert f"database '{DATABASE}' does not exist" in told
    assert "inv restore latest" in told
    direct.run("restore", "latest", "--scope", "database", "--yes", env=env).ok()
    assert tables(host) == tables_of(before)
    assert direct.temporary_files() == []
    assert not host.sessions()


def tables(host: Host) -> dict[str, str]:
    return tables_of(host.content())


def tables_of(content: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in content.items() if name != "databases"}


def test_a_role_that_may_not_create_databases_is_told_the_missing_right(
    host: Host, direct: Direct
) -> None:
    direct.configure(host.dsn.replace("postgres@", "poor@"))
    direct.run("backup").ok()
    with direct.unharmed():
        told = error_of(direct.run("restore", "latest", "--scope", "database", "--yes"), 3)
    assert "ALTER ROLE poor CREATEDB" in told or 'ALTER ROLE "poor" CREATEDB' in told


# --- what is in the way ------------------------------------------------------------------------


def test_an_unreachable_server(host: Host, direct: Direct) -> None:
    port = free_port()
    direct.configure(f"postgresql://postgres@127.0.0.1:{port}/{DATABASE}")
    with direct.unharmed():
        for command in (
            ["backup"],
            ["backup", "--dry-run"],
            ["restore", "latest", "--scope", "database", "--yes"],
        ):
            told = error_of(direct.run(*command), 3)
            assert f"127.0.0.1:{port}" in told
            assert "refused" in told
    direct.run("status").ok()  # what lies in the directory is known all the same
    direct.run("verify", "latest").ok()


def test_a_server_that_accepts_and_says_nothing(host: Host, direct: Direct) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        direct.configure(f"postgresql://postgres@127.0.0.1:{port}/{DATABASE}")
        with direct.unharmed():
            told = error_of(direct.run("backup", env={"ARCHON_DEADLINES__CONNECT": "2"}), 3)
    assert f"127.0.0.1:{port}" in told
    assert "timeout" in told


@pytest.mark.parametrize("password", ["", "wrong-one"])
def test_a_wrong_password(host: Host, direct: Direct, password: str) -> None:
    direct.configure(host.dsn.replace("postgres@", f"keeper:{password}@"))
    with direct.unharmed():
        done = direct.run("backup")
        told = error_of(done, 3)
    assert "'keeper'" in told
    assert "password" in told
    assert "wrong-one" not in done.stderr


def test_peer_authentication_as_somebody_else(host: Host, direct: Direct) -> None:
    direct.configure(by_peer(host))
    ident = host.cluster.data_folder / "pg_ident.conf"
    kept = ident.read_text()
    ident.write_text("us somebody_else peered\n")
    host.execute("SELECT pg_reload_conf()")
    try:
        with direct.unharmed():
            told = error_of(direct.run("backup"), 3)
    finally:
        ident.write_text(kept)
        host.execute("SELECT pg_reload_conf()")
    assert "'peered'" in told
    assert "system user" in told


def test_a_role_that_does_not_exist(host: Host, direct: Direct) -> None:
    direct.configure(host.dsn.replace("postgres@", "stranger@"))
    with direct.unharmed():
        assert "stranger" in error_of(direct.run("backup"), 3)


def test_tools_of_the_servers_version_are_missing(host: Host, direct: Direct) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("missing: root and unshare, to hide installed programs")
    hide = f'mount -t tmpfs none {local_tools(15).folder} && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", hide, "sh"]
    with direct.unharmed():
        for command in (
            ["backup"],
            ["restore", "latest", "--scope", "database", "--yes"],
            ["psql", "--command", "SELECT 1"],
        ):
            done = subprocess.run(
                [*argv, sys.executable, "-m", "invoke", *command],
                cwd=direct.installation.root,
                env=direct.installation.environment({"ARCHON_SOURCE": SOURCE}),
                capture_output=True,
                text=True,
                check=False,
            )
            said = Completed(tuple(command), done.returncode, done.stdout, done.stderr)
            assert "postgresql-client-15" in error_of(said, 3)


# --- versions ----------------------------------------------------------------------------------


def test_a_server_newer_than_the_tools(postgres_18: Server) -> None:
    require(_has_15(), "the package postgresql-client-15")
    server = replace(postgres_18, programs=LocalPrograms(local_tools(15), postgres_18.address))
    with (
        pytest.raises(PreconditionError) as caught,
        exported_snapshot(server, "postgres", ()) as snapshot,
        dumping(server, "postgres", snapshot, Scope(), codec="gzip:1", stall_seconds=20) as blocks,
    ):
        assert b"".join(blocks) == b""
    assert wheel_tools().version in caught.value.message
    assert local_tools(15).version in caught.value.message
    assert "postgresql-client-18" in caught.value.hint


def _has_15() -> bool:
    try:
        return bool(local_tools(15))
    except PreconditionError:
        return False


def test_a_dump_newer_than_pg_restore(
    host: Host, direct: Direct, postgres_18: Server, tmp_path: Path
) -> None:
    newer = postgres_18
    dump = tmp_path / "newer.dump"
    with (
        exported_snapshot(newer, "postgres", ()) as snapshot,
        dumping(newer, "postgres", snapshot, Scope(), codec="gzip:1", stall_seconds=20) as blocks,
        dump.open("wb") as file,
    ):
        file.writelines(blocks)
    with direct.unharmed():
        told = error_of(
            direct.run("restore", str(dump), "--scope", "database", "--trust", "--yes"), 3
        )
    assert "PostgreSQL 17 or newer" in told
    assert local_tools(15).version in told


# --- poolers -----------------------------------------------------------------------------------


@contextlib.contextmanager
def pooler(host: Host, mode: str) -> Iterator[int]:
    """A pgbouncer before the server; gives its port."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    require(program, "the package pgbouncer")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pgb-", dir=TMP) as folder:
        config = Path(folder) / "pgbouncer.ini"
        config.write_text(
            "[databases]\n"
            f"* = host={host.address.host} port={host.address.port} user=postgres\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = {mode}\n"
        )
        argv = [*wheel_tools().prefix, str(program), str(config)]
        with (Path(folder) / "log").open("wb") as log:
            running = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            wait_until(lambda: answers(port), 20, "pgbouncer")
            yield port
        finally:
            running.terminate()
            running.wait(60)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_refused(host: Host, direct: Direct, mode: str) -> None:
    with pooler(host, mode) as port:
        direct.configure(f"postgresql://postgres@127.0.0.1:{port}/{DATABASE}")
        files = direct.files()
        for command in (["backup"], ["restore", "latest", "--scope", "database", "--yes"]):
            told = error_of(direct.run(*command), 3)
            assert f"127.0.0.1:{port}" in told
            assert "pooler in" in told
            assert "session mode" in told
        assert direct.files() == files


def test_a_pooler_in_session_mode_serves(host: Host, direct: Direct) -> None:
    with pooler(host, "session") as port:
        direct.configure(f"postgresql://postgres@127.0.0.1:{port}/{DATABASE}")
        direct.run("backup").ok()
        direct.run("verify", "latest", "--restore").ok()
        # A restore needs settings of its own, which a pooler does not let through.
        told = error_of(direct.run("restore", "latest", "--scope", "database", "--yes"), 3)
        assert "pooler" in told
        assert "5432" in told
    direct.assert_all_sound()


def test_rows_come_back_a_part_beside_and_a_migration_is_rehearsed(
    host: Host, direct: Direct
) -> None:
    before = host.content()
    host.execute("DELETE FROM archon_tasks WHERE id <= 100; DELETE FROM archon_sources"
                 " WHERE source_id NOT IN (SELECT source_id FROM archon_tasks)")  # fmt: skip
    rescue = ("rescue", "latest", "--table", "archon_tasks", "--yes", "--json")
    assert direct.run(*rescue).ok().json["plan"]["rows_inserted"] >= 100
    assert host.content() == before

    (direct.installation.root / "m.sql").write_text(
        "ALTER TABLE archon_tasks ADD done boolean;\n\nSELECT nothing FROM\n nowhere;\n"
    )
    failed = direct.run("rehearse", "m.sql").ended(1)
    assert "m.sql line 4: statement 2 (SELECT nothing FROM nowhere)" in failed.stderr
    assert "on PostgreSQL 15." in failed.stdout
    direct.run("restore", "latest", "--schema", "n8n", "--into", "n8n_old", "--yes").ok()
    assert host.execute("SELECT count(*) FROM n8n_old.workflow") == [(200,)]
    host.execute("DROP SCHEMA n8n_old CASCADE")
    assert host.content() == before
