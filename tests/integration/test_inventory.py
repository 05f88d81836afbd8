"""Every change of a schema is named, and a restored copy has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archon_ops.model.inventory import differences
from archon_ops.postgres import databases
from archon_ops.postgres.inventory import read_extensions, read_inventory
from archon_ops.postgres.restore import restore_into
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from tests.support import new_database

HERE = Path(__file__).parent
ROLES = ("owner_of_things", "reader")


def read(connection: Connection, scope: Scope | None = None) -> dict[str, str]:
    return read_inventory(connection, scope or Scope(), timeout=60)


def make_roles(server: Server) -> None:
    with server.connect("template1") as connection:
        for role in ROLES:
            found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
            if found.rowcount == 0:
                connection.execute(f"CREATE ROLE {role}".encode())


def fill(connection: Connection) -> None:
    for name in ("every_kind.sql", "every_kind_14.sql"):
        connection.execute((HERE / name).read_bytes())


def dump(server: Server, database: str, folder: Path) -> Path:
    path = folder / "copy.dump"
    with server.spawn("pg_dump", "-Fc", f"--file={path}", database=database) as child:
        done = child.wait(60)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def full(postgres_18: Server) -> Iterator[Connection]:
    """A database with one of every kind."""
    make_roles(postgres_18)
    with new_database(postgres_18, "every") as connection:
        fill(connection)
        yield connection


@pytest.fixture
def db(full: Connection) -> Iterator[Connection]:
    """The same again after the test."""
    with full.transaction(force_rollback=True):
        yield full


def test_there_is_one_of_every_kind(full: Connection) -> None:
    names = " ".join(read(full))
    for kind in (
        "schema house",
        "extension pg_trgm",
        "table house.things",
        "column house.things.name",
        "default house.things.made",
        "view house.seen",
        "view house.kept",
        "sequence house.alone",
        "sequence house.things_id_seq",
        "index house.things_trgm",
        "constraint things_pkey",
        "trigger stamped",
        "policy own",
        "rule no_delete",
        "function house.stamp",
        "function house.total",
        "SQL function house.standard",
        "type house.mood",
        "type house.code",
        "type house.pair",
        "type house.span",
        "event trigger watched",
        "publication news",
        "statistics house.together",
        "default rights owner_of_things",
        "operator house.~==",
        "operator class btree house.by_size",
        "cast integer as house.pair",
        "collation house.plain",
        "text search dictionary house.stems",
        "text search configuration house.words",
        "foreign-data wrapper nothing",
        "foreign server elsewhere",
        "table house.far",
        "column house.pair.a",
    ):
        assert kind in names


def test_a_restored_copy_differs_in_nothing(postgres_18: Server, tmp_path: Path) -> None:
    make_roles(postgres_18)
    with new_database(postgres_18, "original") as connection:
        fill(connection)
        before = read(connection)
        path = dump(postgres_18, "original", tmp_path)
    with new_database(postgres_18, "copy") as connection:
        restore_into(postgres_18, "copy", path, timeout=60)
        assert differences(before, read(connection)) == ()
        second = dump(postgres_18, "copy", tmp_path)
    with new_database(postgres_18, "second") as connection:
        restore_into(postgres_18, "second", second, timeout=60)
        assert differences(before, read(connection)) == ()


@pytest.mark.slow
def test_names_are_the_same_on_15_and_18(
    postgres_15: Server, postgres_18: Server, tmp_path: Path
) -> None:
    make_roles(postgres_15)
    make_roles(postgres_18)
    with new_database(postgres_15, "older") as connection:
        fill(connection)
        before = read(connection)
        path = dump(postgres_15, "older", tmp_path)
    with new_database(postgres_15, "copy") as connection:
        restore_into(postgres_15, "copy", path, timeout=60)
        assert differences(before, read(connection)) == ()
    with new_database(postgres_18, "newer") as connection:
        restore_into(postgres_18, "newer", path, timeout=60)
        assert set(read(connection)) == set(before)


def _named(name: str) -> str:
    return f"{name}: defined otherwise"


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("ALTER SCHEMA house OWNER TO reader", _named("schema house")),
        ("COMMENT ON SCHEMA house IS 'other'", _named("schema house")),
        ("DROP EXTENSION pg_trgm CASCADE", "extension pg_trgm: missing"),
        ("CREATE TABLE house.extra ()", "table house.extra: not in the backup"),
        ("DROP TABLE house.passing", "table house.passing: missing"),
        ("ALTER TABLE house.things OWNER TO reader", _named("table house.things")),
        ("COMMENT ON TABLE house.things IS NULL", _named("table house.things")),
        ("GRANT DELETE ON house.things TO reader", _named("table house.things")),
        ("ALTER TABLE house.things SET (fillfactor = 71)", _named("table house.things")),
        ("ALTER TABLE house.things NO FORCE ROW LEVEL SECURITY", _named("table house.things")),
        ("ALTER TABLE house.passing SET LOGGED", _named("table house.passing")),
        ("ALTER TABLE house.heir NO INHERIT house.things", _named("table house.heir")),
        ("ALTER FOREIGN TABLE house.far OPTIONS (SET t 'near')", _named("table house.far")),
        (
            "ALTER FOREIGN TABLE house.far ALTER a OPTIONS (SET as_name 'c')",
            _named("column house.far.a"),
        ),
        (
            "ALTER TABLE house.parts DETACH PARTITION house.parts_2024",
            _named("table house.parts_2024"),
        ),
        ("ALTER TABLE house.heir ALTER more TYPE bigint", _named("column house.heir.more")),
        ("ALTER TABLE house.heir ALTER late SET NOT NULL", _named("column house.heir.late")),
        (
            "ALTER TABLE house.things ALTER name SET STATISTICS 501",
            _named("column house.things.name"),
        ),
        (
            "ALTER TABLE house.things ALTER name SET STORAGE MAIN",
            _named("column house.things.name"),
        ),
        (
            "ALTER TABLE house.things ALTER name SET (n_distinct = 5)",
            _named("column house.things.name"),
        ),
        ("GRANT SELECT (name) ON house.things TO reader", _named("column house.things.name")),
        ("COMMENT ON COLUMN house.things.name IS NULL", _named("column house.things.name")),
        (
            "ALTER TABLE house.nulls ALTER b SET COMPRESSION DEFAULT",
            _named("column house.nulls.b"),
        ),
        ("ALTER TYPE house.pair ALTER ATTRIBUTE b TYPE text", _named("column house.pair.b")),
        (
            "ALTER TABLE house.things ALTER made SET DEFAULT now() + '1 day'",
            _named("default house.things.made"),
        ),
        (
            "ALTER TABLE house.things ALTER state SET DEFAULT 'sad'",
            _named("default house.things.state"),
        ),
        (
            "CREATE OR REPLACE VIEW house.seen WITH (security_barrier) AS"
            " SELECT id, name FROM house.things WHERE kind IN ('a', 'c')",
            _named("view house.seen"),
        ),
        ("ALTER VIEW house.seen RESET (security_barrier)", _named("view house.seen")),
        ("REVOKE SELECT ON house.seen FROM PUBLIC", _named("view house.seen")),
        ("ALTER SEQUENCE house.alone MAXVALUE 98", _named("sequence house.alone")),
        ("ALTER SEQUENCE house.alone OWNER TO reader", _named("sequence house.alone")),
        (
            "ALTER SEQUENCE house.things_id_seq OWNED BY NONE",
            _named("sequence house.things_id_seq"),
        ),
        ("DROP INDEX house.things_trgm", "index house.things_trgm on house.things: missing"),
        (
            "DROP INDEX house.things_lower;"
            "CREATE UNIQUE INDEX things_lower ON house.things (lower(name)) WHERE kind IN ('a')",
            _named("index house.things_lower on house.things"),
        ),
        (
            "ALTER TABLE house.things SET WITHOUT CLUSTER",
            _named("index house.things_pkey on house.things"),
        ),
        (
            "ALTER TABLE house.things DROP CONSTRAINT things_kind_check;"
            "ALTER TABLE house.things ADD CHECK (kind IN ('a', 'bb'))",
            _named("constraint things_kind_check on house.things"),
        ),
        (
            "ALTER TABLE house.parts VALIDATE CONSTRAINT later",
            _named("constraint later on house.parts"),
        ),
        (
            "ALTER TABLE house.parts ALTER CONSTRAINT parts_thing_fkey INITIALLY IMMEDIATE",
            _named("constraint parts_thing_fkey on house.parts"),
        ),
        (
            "ALTER TABLE house.things DISABLE TRIGGER stamped",
            _named("trigger stamped on house.things"),
        ),
        (
            "DROP TRIGGER stamped ON house.things;"
            "CREATE TRIGGER stamped BEFORE UPDATE ON house.things FOR EACH ROW"
            " WHEN (NEW.kind IN ('a', 'c')) EXECUTE FUNCTION house.stamp()",
            _named("trigger stamped on house.things"),
        ),
        ("ALTER POLICY own ON house.things TO PUBLIC", _named("policy own on house.things")),
        (
            "ALTER POLICY own ON house.things USING (kind IN ('a', 'c'))",
            _named("policy own on house.things"),
        ),
        (
            "CREATE OR REPLACE RULE no_delete AS ON DELETE TO house.things DO INSTEAD NOTHING",
            _named("rule no_delete on house.things"),
        ),
        (
            "CREATE OR REPLACE FUNCTION house.add(a int, b int DEFAULT 3) RETURNS int"
            " LANGUAGE sql IMMUTABLE AS 'SELECT a + b'",
            _named("function house.add(integer,integer)"),
        ),
        (
            "CREATE OR REPLACE FUNCTION house.add(a int, b int DEFAULT 2) RETURNS int"
            " LANGUAGE sql IMMUTABLE AS 'SELECT (a) + b'",
            _named("function house.add(integer,integer)"),
        ),
        ("GRANT EXECUTE ON FUNCTION house.add(text) TO PUBLIC", _named("function house.add(text)")),
        ("ALTER FUNCTION house.add(text) OWNER TO reader", _named("function house.add(text)")),
        (
            "CREATE OR REPLACE FUNCTION house.standard(a varchar) RETURNS bool LANGUAGE sql"
            " BEGIN ATOMIC SELECT a IN ('a', 'c'); END",
            _named("SQL function house.standard(character varying)"),
        ),
        ("DROP AGGREGATE house.total(int)", "function house.total(integer): missing"),
        ("ALTER TYPE house.mood ADD VALUE 'new'", _named("type house.mood")),
        ("COMMENT ON TYPE house.mood IS NULL", _named("type house.mood")),
        ("ALTER DOMAIN house.code DROP NOT NULL", _named("type house.code")),
        (
            "ALTER DOMAIN house.code DROP CONSTRAINT known;"
            "ALTER DOMAIN house.code ADD CONSTRAINT known CHECK (VALUE IN ('a', 'c'))",
            _named("type house.code"),
        ),
        ("ALTER EVENT TRIGGER watched DISABLE", _named("event trigger watched")),
        ("ALTER PUBLICATION news ADD TABLE house.parts", _named("publication news")),
        ("ALTER PUBLICATION news SET (publish = 'update')", _named("publication news")),
        (
            "ALTER PUBLICATION columns SET TABLE house.nulls (a) WHERE (a > 6)",
            _named("publication columns"),
        ),
        (
            "ALTER PUBLICATION columns SET TABLE house.nulls WHERE (a > 5)",
            _named("publication columns"),
        ),
        ("ALTER PUBLICATION schemas DROP TABLES IN SCHEMA house", _named("publication schemas")),
        ("ALTER STATISTICS house.together SET STATISTICS 7", _named("statistics house.together")),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE owner_of_things IN SCHEMA house"
            " GRANT DELETE ON TABLES TO reader",
            _named("default rights owner_of_things house r"),
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE owner_of_things"
            " GRANT EXECUTE ON FUNCTIONS TO reader",
            _named("default rights owner_of_things f"),
        ),
        (
            "ALTER OPERATOR house.~== (house.pair, house.pair) OWNER TO reader",
            _named("operator house.~==(house.pair,house.pair)"),
        ),
        (
            "DROP OPERATOR CLASS house.by_size USING btree",
            "operator class btree house.by_size: missing",
        ),
        ("DROP CAST (int AS house.pair)", "cast integer as house.pair: missing"),
        ("ALTER COLLATION house.plain RENAME TO plane", "collation house.plane: not in the backup"),
        (
            "ALTER TEXT SEARCH DICTIONARY house.stems (StopWords = english)",
            _named("text search dictionary house.stems"),
        ),
        (
            "ALTER TEXT SEARCH CONFIGURATION house.words DROP MAPPING FOR asciiword",
            _named("text search configuration house.words"),
        ),
        ("ALTER SERVER elsewhere OWNER TO owner_of_things", _named("foreign server elsewhere")),
        (
            "GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO reader",
            _named("foreign-data wrapper nothing"),
        ),
    ],
)
def test_a_change_is_named(db: Connection, change: str, difference: str) -> None:
    before = read(db)
    for role in ROLES:  # an owner must be one who may create
        db.execute(f"ALTER ROLE {role} SUPERUSER".encode())
    db.execute(change.encode())
    assert difference in differences(before, read(db))


def test_the_same_rights_spelled_out_are_no_difference(db: Connection) -> None:
    before = read(db)
    db.execute("GRANT ALL ON TABLE house.passing TO CURRENT_USER")
    db.execute("GRANT EXECUTE ON FUNCTION house.stamp() TO PUBLIC")
    db.execute("REVOKE ALL ON SEQUENCE house.things_number_seq FROM PUBLIC")
    assert differences(before, read(db)) == ()


def test_what_is_left_out(db: Connection) -> None:
    names = read(db, Scope(schemas=("house",)))
    assert [name for name in names if "house." in name and not name.startswith("cast ")] == []
    names = read(db, Scope(tables=(("house", "things"),)))
    assert not {"table house.things", "column house.things.name", "policy own on house.things"} & {
        *names
    }
    db.execute("CREATE SCHEMA archon_before_x CREATE TABLE t (a int)")
    assert not [name for name in read(db) if "archon_before_x" in name]


def test_an_extension_is_one_object(db: Connection) -> None:
    assert not [name for name in read(db) if "trgm_ops" in name or "similarity" in name]
    assert ("pg_trgm", "public") in [(e.name, e.schema) for e in read_extensions(db)]


def test_an_invalid_index_is_no_part_of_a_dump(full: Connection) -> None:
    before = read(full)
    full.execute("CREATE INDEX broken ON house.heir (more)")
    full.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'house.broken'::regclass"
    )
    try:
        assert differences(before, read(full)) == ()
    finally:
        full.execute("DROP INDEX house.broken")


def test_databases_are_gone(postgres_18: Server) -> None:
    with postgres_18.connect("template1") as connection:
        assert not databases.exists(connection, "copy")
