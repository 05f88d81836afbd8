"""Names that are commands, options, quotes or no files at all: taken as names, or refused."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import sql

from archon_ops.actions import backup, instructions
from archon_ops.errors import OpsError, PreconditionError, UsageError
from archon_ops.model.backup import Manifest
from archon_ops.model.dump_names import dump_name
from archon_ops.postgres import databases
from archon_ops.postgres.scope import resolve
from archon_ops.postgres.session import Connection
from archon_ops.settings import load
from archon_ops.storage import reference
from archon_ops.storage.manifest import read
from tests.direct import SOURCE, error_of
from tests.support import Installation, dsn, require

TRACE = "executed"
HOSTILE = (
    "a;id",
    f"$(touch {TRACE})",
    f"`touch {TRACE}`",
    f"x'; touch {TRACE}; '",
    "--help",
    "-rf",
    '"; DROP TABLE x; --',
    "it's 'quoted' \"twice\"",
    "100%s %(name)s %%",
    "{0} {name}",
    "two\nlines",
    "tab\there\rthere",
    "line\u2028separator \x0b and \x0c",
    "база 数据 🗄️ \u202egnp",
    "back\\slash\\",
    "dotted.name",
    " space ",
    "*",
    "public archon_x",
)


@pytest.fixture(scope="module")
def hostile(template: Installation) -> Iterator[Installation]:
    """A database whose schemas, tables, columns, sequences and owners bear such names."""
    copy = template.copy()
    try:
        with copy.connect() as connection:
            for number, name in enumerate(HOSTILE):
                _make(connection, name, number)
        yield copy
    finally:
        copy.teardown()


def _make(connection: Connection, name: str, number: int) -> None:
    """A schema, a table with a serial column, an index and a role of this name; an Archon table."""
    schema, table, role = sql.Identifier(name), sql.Identifier(name, name), sql.Identifier(name)
    archon = sql.Identifier("public", f"archon_{name}")
    column = sql.Identifier(name)
    for statement in (
        "CREATE ROLE {role} NOLOGIN",
        "CREATE SCHEMA {schema} AUTHORIZATION {role}",
        "CREATE TABLE {table} ({column} text, n bigserial)",
        "ALTER TABLE {table} OWNER TO {role}",
        "INSERT INTO {table} ({column}) VALUES ({text}), (NULL)",
        "CREATE INDEX {index} ON {table} ({column})",
        "COMMENT ON COLUMN {table}.{column} IS {text}",
        "CREATE TABLE {archon} ({column} text DEFAULT {text})",
        "INSERT INTO {archon} SELECT {text} FROM generate_series(1, {number})",
    ):
        connection.execute(
            sql.SQL(statement).format(
                schema=schema,
                table=table,
                role=role,
                archon=archon,
                column=column,
                index=sql.Identifier(f"{name} i"),
                text=sql.Literal(name),
                number=sql.Literal(1000 + number),
            )
        )


def traces(installation: Installation) -> list[Path]:
    return list(installation.root.rglob(TRACE))


# --- S4: in the database -----------------------------------------------------------------------


@pytest.mark.slow
def test_names_in_the_database_come_back_as_they_are(hostile: Installation) -> None:
    before = hostile.content()
    hostile.run("backup").ok()
    hostile.run("verify", "latest", "--restore").ok()
    with hostile.connect() as connection:
        for name in HOSTILE:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name, name)))
    done = hostile.run("restore", "latest", "--scope", "database", "--yes", "--json").ok()
    assert done.json["proof"]["equal"] is True
    assert hostile.content() == before
    hostile.run("undo", "--yes").ok()
    hostile.run("undo", "--yes").ok()
    assert hostile.content() == before
    assert traces(hostile) == []


@pytest.mark.slow
@pytest.mark.parametrize("names", [HOSTILE[::2], HOSTILE[1::2]])
def test_what_is_left_out_is_quoted(hostile: Installation, names: tuple[str, ...]) -> None:
    """In this process: a command line is another test's subject."""
    site = hostile.site()
    tables = tuple(f"archon_{name}" for name in names)
    with hostile.server():
        taken = backup.backup(site, backup.Request(exclude_schemas=names, exclude_tables=tables))
    manifest = read(taken.path)
    assert manifest is not None
    covered = {(t.schema, t.table) for t in manifest.tables}
    others = [other for other in HOSTILE if other not in names]
    assert not covered & {(name, name) for name in names}
    assert not covered & {("public", table) for table in tables}
    assert {(other, other) for other in others} <= covered
    assert {("public", f"archon_{other}") for other in others} <= covered
    left_out = {f"schema {name}" for name in names} | {f"table public.{name}" for name in tables}
    assert set(manifest.not_covered) == left_out


@pytest.mark.slow
def test_the_instructions_quote_every_name(hostile: Installation, tmp_path: Path) -> None:
    """Each command of RESTORE.txt, run by a shell: the programs see the names, no more runs."""
    hostile.run("backup").ok()
    site = hostile.site()
    dump = hostile.latest_dump()
    manifest = read(dump)
    assert manifest is not None
    assert set(HOSTILE) <= set(manifest.roles)
    stub = tmp_path / "bin"
    stub.mkdir()
    for program in ("psql", "createdb", "pg_restore", "docker"):
        (stub / program).write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" >> {tmp_path}/asked\n')
        (stub / program).chmod(0o755)
    for name in HOSTILE:
        text = instructions.text(site, "direct", dump.name, _in_database(manifest, name))
        script = "\n".join(line[4:] for line in text.split("\n") if line.startswith("    "))
        subprocess.run(
            ["/bin/bash", "-c", script],
            cwd=hostile.backups,
            env={**os.environ, "PATH": f"{stub}:/usr/bin:/bin"},
            capture_output=True,
            timeout=600,
            check=True,
        )
    assert not list(hostile.backups.rglob(TRACE))
    asked = (tmp_path / "asked").read_text().split("\0")
    assert f"CREATE ROLE {instructions.identifier(HOSTILE[1])}" in asked
    with hostile.connect() as connection:
        for name in HOSTILE:  # a server reads each identifier as that very name
            query = f"SELECT 1 AS {instructions.identifier(name)}"
            cursor = connection.execute(query.encode())
            assert cursor.description is not None
            assert cursor.description[0].name == name


def _in_database(manifest: Manifest, name: str) -> Manifest:
    return replace(manifest, server=replace(manifest.server, database=name))


# --- S4: on the command line -------------------------------------------------------------------

LABELS = [name for name in HOSTILE if name != "dotted.name"]


@pytest.mark.parametrize("name", [*LABELS, "", "UPPER", "a" * 60, "x.verify", "../up", "a/b"])
def test_a_label_is_part_of_a_file_name(name: str) -> None:
    with pytest.raises(UsageError, match="not usable in a file name"):
        dump_name(datetime.now(UTC), name)


@pytest.mark.parametrize("name", [*HOSTILE, "", "a/b", "../demo"])
def test_a_source_that_is_no_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "tasks.py").touch()
    with pytest.raises(UsageError, match="unknown source"):
        load(tmp_path, source=name)
    quoted = '"' + "".join(f"\\U{ord(c):08x}" for c in name) + '"'
    config = tmp_path / "archon.toml"
    config.write_text(f'[retention]\nlast = 3\n\n[sources.{quoted}]\nkind = "embedded"\n')
    with pytest.raises(UsageError, match="cannot be the name of a source"):
        load(tmp_path, source=name)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_shall_be_left_out_and_does_not_exist(
    module_installation: Installation, name: str
) -> None:
    with module_installation.connect() as connection:
        with pytest.raises(UsageError, match="no schema"):
            resolve(connection, (name,), ())
        with pytest.raises(UsageError, match="no table"):
            resolve(connection, (), (name,))


@pytest.mark.parametrize(
    "given",
    [
        ("backup", f"--label=$(touch {TRACE})"),
        ("backup", f"--label=x;touch {TRACE}"),
        ("backup", f"--exclude-schema=$(touch {TRACE})"),
        ("backup", f"--exclude-table=x'; touch {TRACE}; '"),
        ("status", f"--source=$(touch {TRACE})"),
        ("status", "--source=../demo"),
        ("backup", "--source", "prod"),
    ],
)
def test_hostile_flags_are_refused_and_nothing_runs(
    module_installation: Installation, given: tuple[str, ...]
) -> None:
    before = module_installation.files()
    error_of(module_installation.run(*given), 2)
    assert module_installation.files() == before
    assert traces(module_installation) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ['we"ird $(touch executed)', "it's\n100%s"])
def test_a_restore_beside_under_any_name(installation: Installation, name: str) -> None:
    before = installation.content()
    done = installation.run("restore", "latest", f"--database={name}", "--yes", "--json").ok()
    assert done.json["proof"]["equal"] is True
    with installation.connect("template1") as connection:
        assert databases.exists(connection, name)
    assert installation.content(name).tables == before.tables
    assert installation.content() == before
    told = error_of(installation.run("restore", "latest", f"--database={name}", "--yes"), 3)
    assert "exists already" in told
    assert "pg_database" not in told
    shown = installation.run("psql", "--command", "SELECT datname FROM pg_database").ok().stdout
    assert name in shown
    assert traces(installation) == []


@pytest.mark.slow
def test_a_production_database_of_any_name(
    empty_installation: Installation, template: Installation
) -> None:
    name = f"pro\"d's $(touch {TRACE}) %s; \\"
    copy = template.copy()
    try:
        with copy.connect("template1") as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE postgres RENAME TO {}").format(sql.Identifier(name))
            )
        with copy.site().cluster.running() as address:
            where = dsn(address, "postgres")
            env = {
                "ARCHON_SOURCE": SOURCE,
                "ARCHON_SOURCES__LIVE__KIND": "direct",
                "ARCHON_SOURCES__LIVE__DSN": where,
                "ARCHON_SOURCES__LIVE__DATABASE": name,
            }
            done = empty_installation.run("backup", env=env)
            require("postgresql-client-18" not in done.stderr, "the package postgresql-client-18")
            done.ok()
            before = copy.content(name)
            empty_installation.run(
                "restore", "latest", "--scope", "database", "--yes", env=env
            ).ok()
            assert copy.content(name) == before
            empty_installation.run("undo", "--yes", env=env).ok()
            assert copy.content(name) == before
    finally:
        copy.teardown()
    assert traces(empty_installation) == []


# --- S5: what is no file -----------------------------------------------------------------------


@pytest.fixture
def odd(module_installation: Installation) -> Iterator[Path]:
    folder = module_installation.root / "odd"
    folder.mkdir()
    (folder / "inner").mkdir()
    (folder / "x.dump").symlink_to(module_installation.latest_dump())
    (folder / "loop.dump").symlink_to("loop.dump")
    os.mkfifo(folder / "pipe.dump")
    if os.geteuid() == 0:
        os.mknod(folder / "zero.dump", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    (folder / "folder.dump").mkdir()
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(folder / "socket.dump"))
    made.close()
    yield folder
    shutil.rmtree(folder)


ODD = {
    "x.dump": "a symbolic link",
    "loop.dump": "a symbolic link",
    "pipe.dump": "a named pipe",
    "folder.dump": "a folder",
    "socket.dump": "a socket",
    "zero.dump": "a device",
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_regular_file_is_not_opened(
    module_installation: Installation, odd: Path, name: str
) -> None:
    if not os.path.lexists(odd / name):
        pytest.skip("missing: root, to make a device")
    done = module_installation.run(
        "restore", str(odd / name), "--scope", "database", "--yes", "--trust", timeout=30
    )
    assert f"is not a dump but {ODD[name]}" in error_of(done, 2)
    # In the backup directory itself it is no backup either, and nobody waits for it.
    inside = module_installation.backups / name
    (odd / name).rename(inside)
    try:
        directory = module_installation.site().directory
        with pytest.raises(UsageError, match=f"is not a dump but {ODD[name]}"):
            reference.resolve(directory, name)
        listing = directory.scan()
        assert [(o.name, o.what) for o in listing.oddities] == [(name, ODD[name])]
        assert len(listing.backups) == 1
    finally:
        inside.rename(odd / name)


@pytest.mark.slow
def test_the_list_says_what_it_ignored(module_installation: Installation, odd: Path) -> None:
    inside = module_installation.backups / "pipe.dump"
    (odd / "pipe.dump").rename(inside)
    try:
        listed = module_installation.run("backups", "--json", timeout=30).ok().json
        assert (listed["count"], listed["ignored"]) == (
            1,
            [{"name": "pipe.dump", "what": "a named pipe"}],
        )
        shown = module_installation.run("backups", timeout=30).ok()
        assert "ignored pipe.dump: a named pipe" in shown.stderr
        module_installation.run("verify", "all", timeout=30).ok()
    finally:
        inside.unlink()


USAGE, GONE = UsageError, PreconditionError


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("/dev/zero", USAGE),
        ("/dev/stdin", USAGE),
        ("/proc/self/fd/0", USAGE),
        ("/", USAGE),
        ("./", USAGE),
        ("..", USAGE),
        (".", USAGE),
        ("../x.dump", USAGE),
        ("/etc/../etc/passwd", USAGE),
        ("", USAGE),
        ("a\nb", USAGE),
        ("/no/such.dump", GONE),
        ("no-such.dump", GONE),
        ("latest ", GONE),
        ("LATEST", GONE),
        ("*.dump", GONE),
        ("x" * 300, GONE),
        ("/" + "x" * 5000, GONE),
    ],
)
def test_references_that_are_no_backups(
    module_installation: Installation, given: str, error: type[OpsError]
) -> None:
    with pytest.raises(error):
        reference.resolve(module_installation.site().directory, given)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("/dev/zero", 2),
        ("../x.dump", 2),
        ("/etc/passwd", 4),
        ("no-such.dump", 3),
        ("--trust-me", 2),
    ],
)
def test_commands_refuse_them_quickly(
    module_installation: Installation, given: str, code: int
) -> None:
    error_of(module_installation.run("verify", given, timeout=30), code)
    error_of(module_installation.run("restore", given, "--scope", "database", timeout=30), code)


def test_an_identifier_is_one_printable_line() -> None:
    for name in HOSTILE:
        assert instructions.identifier(name).isprintable()
