"""Every change of content is noticed, and nothing but content."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql

from archon_ops.errors import OpsError
from archon_ops.model.fingerprint import TableFingerprint
from archon_ops.postgres.fingerprint import fingerprint, sequences
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from tests.support import new_database


@pytest.fixture(scope="module")
def database(postgres_18: Server) -> Iterator[Connection]:
    with new_database(postgres_18, "fingerprint") as connection:
        connection.execute("CREATE EXTENSION vector SCHEMA public")
        yield connection


@pytest.fixture
def db(database: Connection) -> Iterator[Connection]:
    """An empty database again after the test."""
    with database.transaction(force_rollback=True):
        yield database


EVERYTHING = Scope()


def read(db: Connection, scope: Scope = EVERYTHING) -> dict[str, TableFingerprint]:
    return {t.name: t for t in fingerprint(db, scope, timeout=60)}


def table(db: Connection, columns: str, *rows: str) -> TableFingerprint:
    """The fingerprint of a new table `t` with these rows."""
    db.execute("DROP TABLE IF EXISTS public.t CASCADE")
    db.execute(f"CREATE TABLE public.t ({columns})".encode())
    for row in rows:
        db.execute(f"INSERT INTO public.t VALUES ({row})".encode())
    return read(db)["public.t"]


@pytest.mark.parametrize(
    ("columns", "rows", "others"),
    [
        ("a int", ["1", "2"], ["1", "3"]),
        ("a int", ["1", "2"], ["1"]),
        ("a int", ["1", "1"], []),
        ("a int", ["1", "1"], ["2", "2"]),
        ("a int", ["1", "1", "2"], ["1", "2", "2"]),
        ("a text", ["''"], ["NULL"]),
        ("a text, b text", ["'x', NULL"], ["NULL, 'x'"]),
        ("a text, b text", ["'ab', 'c'"], ["'a', 'bc'"]),
        ("a text, b text", ["NULL, ''"], ["'', NULL"]),
        ("a text", ["'a'"], ["'A'"]),
        ("a text", ["'a'"], ["'a '"]),
        ("a bytea", [r"'\x00'"], [r"'\x'"]),
        ("a numeric", ["1.0"], ["1.00"]),
        ("a float8", ["0.1"], ["0.1 + 1e-17 * 2"]),
        ("a float8", ["0"], ["'-0'"]),
        ("a json", ["'{\"a\":1}'"], ["'{\"a\": 1}'"]),
        ("a jsonb", ["'{\"a\":1}'"], ["'{\"a\":2}'"]),
        ("a jsonb", ["'null'"], ["NULL"]),
        ("a int[]", ["'{1,2}'"], ["'{2,1}'"]),
        ("a int[]", ["'{1,NULL}'"], ["'{1}'"]),
        ("a text[]", ["""'{"a,b"}'"""], ["'{a,b}'"]),
        ("a int4range", ["'[1,3)'"], ["'[1,4)'"]),
        ("a int4multirange", ["'{[1,3)}'"], ["'{}'"]),
        ("a tsvector", ["'a:1'"], ["'a:2'"]),
        ("a timestamptz", ["'2024-01-01 00:00Z'"], ["'2024-01-01 00:00:00.000001Z'"]),
        ("a interval", ["'1 month'"], ["'30 days'"]),
        ("a bit(3)", ["'101'"], ["'100'"]),
        ("a uuid", ["repeat('a', 32)::uuid"], ["repeat('b', 32)::uuid"]),
        ("a inet", ["'10.0.0.1'"], ["'10.0.0.1/8'"]),
        ("a regclass", ["'pg_class'"], ["'pg_type'"]),
        ("a point", ["'(1,2)'"], ["'(2,1)'"]),
        ("a public.vector(3)", ["'[1,2,3]'"], ["'[1,2,3.0000002]'"]),
        ("a char(4)", ["'a'"], ["'b'"]),
    ],
)
def test_it_notices(db: Connection, columns: str, rows: list[str], others: list[str]) -> None:
    one = table(db, columns, *rows)
    assert table(db, columns, *rows) == one
    other = table(db, columns, *others)
    assert other.content != one.content
    assert (one.rows, other.rows) == (len(rows), len(others))


def test_types_of_ones_own(db: Connection) -> None:
    db.execute("CREATE TYPE public.mood AS ENUM ('sad', 'ok')")
    db.execute("CREATE DOMAIN public.small AS int CHECK (VALUE < 100)")
    db.execute("CREATE DOMAIN public.smaller AS public.small")
    db.execute("CREATE DOMAIN public.many AS int[]")
    db.execute("CREATE TYPE public.pair AS (a int, b text)")
    for kind, one, other in [
        ("public.mood", "'sad'", "'ok'"),
        ("public.mood[]", "'{sad}'", "'{ok}'"),
        ("public.small", "1", "2"),
        ("public.smaller", "1", "2"),
        ("public.many", "'{1}'", "'{2}'"),
        ("public.pair", "'(1,x)'", "'(1,y)'"),
        ("public.pair", "'(1,)'", "NULL"),
    ]:
        assert table(db, f"a {kind}", one).content != table(db, f"a {kind}", other).content


def test_order_of_rows_and_columns_and_dropped_columns_do_not_matter(db: Connection) -> None:
    one = table(db, "a int, b text", "1, 'x'", "2, 'y'")
    assert table(db, "a int, b text", "2, 'y'", "1, 'x'") == one
    assert table(db, "b text, a int", "'x', 1", "'y', 2") == one
    table(db, "c int, b text, a int", "7, 'x', 1", "8, 'y', 2")
    db.execute("ALTER TABLE public.t DROP COLUMN c")
    assert read(db)["public.t"] == one
    db.execute("ALTER TABLE public.t ADD COLUMN c int DEFAULT 5")
    assert read(db)["public.t"] != one


def test_a_renamed_column_is_noticed(db: Connection) -> None:
    one = table(db, "a int, b int", "1, 2")
    db.execute("ALTER TABLE public.t RENAME COLUMN b TO c")
    assert read(db)["public.t"] != one


def test_what_reads_otherwise_under_other_settings(postgres_18: Server) -> None:
    """A database's settings would change how text comes out; the session's own override them."""
    columns = (
        "a timestamptz, b timestamptz[], c bytea, d bytea[], e float8, f float8[], g interval[],"
        " h date, i date[], j tstzrange"
    )
    row = (
        "'2024-02-03 04:05Z', '{2024-02-03 04:05Z}', '\\x00ff', ARRAY['\\x00ff'::bytea], 0.1,"
        " '{0.1,1e300}', '{1 mon -3 days}', '2024-02-03', '{2024-02-03}',"
        " '[2024-02-03 00:00Z,)'"
    )
    with new_database(postgres_18, "settings") as connection:
        one = table(connection, columns, row)
        for name, value in {
            "DateStyle": "SQL, DMY",
            "TimeZone": "Asia/Kathmandu",
            "extra_float_digits": "-5",
            "bytea_output": "escape",
            "IntervalStyle": "iso_8601",
            "xmloption": "document",
            "search_path": "public",
            "client_encoding": "LATIN1",
        }.items():
            setting = sql.SQL("ALTER DATABASE settings SET {} TO {}").format(
                sql.Identifier(name), sql.Literal(value)
            )
            connection.execute(setting)
        with postgres_18.connect("settings") as other:
            assert read(other)["public.t"] == one


def test_what_names_an_object_reads_alike_in_a_copy(db: Connection) -> None:
    """The identity of an object is another one in every database; its name is not."""
    db.execute("CREATE TABLE public.named ()")
    one = table(db, "a regclass, b regtype", "'public.named', 'public.named'")
    db.execute("DROP TABLE public.named CASCADE")
    db.execute("CREATE TABLE public.named ()")
    assert table(db, "a regclass, b regtype", "'public.named', 'public.named'") == one


def test_nan_is_one_value_whatever_its_bits(db: Connection) -> None:
    """Arithmetic makes NaN with other bits than reading the text 'NaN' does."""
    one = table(db, "a float8, b float4", "'NaN', 'NaN'")
    made = "'inf'::float8 - 'inf'::float8, 'inf'::float4 - 'inf'::float4"
    assert table(db, "a float8, b float4", made) == one


def test_generated_columns_stand_apart(db: Connection) -> None:
    columns = "a int, b int GENERATED ALWAYS AS (a + {}) STORED, c int GENERATED ALWAYS AS (a)"
    one = table(db, columns.format(1), "5")
    other = table(db, columns.format(2), "5")
    assert one.columns == ("a",)
    assert one.generated is not None
    assert (other.content, other.generated == one.generated) == (one.content, False)


@pytest.mark.parametrize(
    "name", ['a"b', "a b", "100%", "%s", "%(x)s", "naïve 表", "a.b", "'; DROP", "\\", "A", "x" * 63]
)
def test_odd_names(db: Connection, name: str) -> None:
    named = sql.Identifier(name)
    db.execute(sql.SQL("CREATE SCHEMA {}").format(named))
    db.execute(sql.SQL("CREATE TYPE {0}.kind AS ENUM ('x', 'y')").format(named))
    db.execute(sql.SQL("CREATE TABLE {0}.{0} ({0} {0}.kind, b_ serial)").format(named))
    db.execute(sql.SQL("INSERT INTO {0}.{0} VALUES ('x')").format(named))
    (found,) = read(db).values()
    assert (found.schema, found.table, name in found.columns, found.rows) == (name, name, True, 1)
    (position,) = sequences(db, Scope(), timeout=60)
    assert (position.schema, position.owner_max) == (name, 1)


def test_tables_without_rows_and_without_columns(db: Connection) -> None:
    db.execute("CREATE TABLE public.no_rows (a int)")
    db.execute("CREATE TABLE public.no_columns ()")
    db.execute("CREATE TABLE public.computed (a int, b int GENERATED ALWAYS AS (1) STORED)")
    found = read(db)
    assert [t.rows for t in found.values()] == [0, 0, 0]
    db.execute("INSERT INTO public.no_columns DEFAULT VALUES")
    db.execute("INSERT INTO public.no_columns DEFAULT VALUES")
    assert read(db)["public.no_columns"].rows == 2


def test_the_widest_table(db: Connection) -> None:
    columns = ", ".join(f"c{number} int DEFAULT {number}" for number in range(1600))
    db.execute(f"CREATE TABLE public.wide ({columns})".encode())
    db.execute("INSERT INTO public.wide DEFAULT VALUES")
    one = read(db)["public.wide"]
    db.execute("UPDATE public.wide SET c1599 = 0")
    assert read(db)["public.wide"].content != one.content
    assert len(one.columns) == 1600


def test_partitions_and_heirs_are_read_once_each(db: Connection) -> None:
    db.execute("CREATE TABLE public.parts (a int, b int) PARTITION BY LIST (a)")
    db.execute("CREATE TABLE public.part_1 PARTITION OF public.parts FOR VALUES IN (1)")
    db.execute("CREATE TABLE public.part_rest PARTITION OF public.parts DEFAULT")
    db.execute("INSERT INTO public.parts VALUES (1, 1), (2, 2), (3, 3)")
    db.execute("CREATE TABLE public.parent (a int)")
    db.execute("CREATE TABLE public.heir (b int) INHERITS (public.parent)")
    db.execute("INSERT INTO public.parent VALUES (1)")
    db.execute("INSERT INTO public.heir VALUES (2, 3)")
    assert {name: t.rows for name, t in read(db).items()} == {
        "public.part_1": 1,
        "public.part_rest": 2,
        "public.parent": 1,
        "public.heir": 1,
    }


def test_large_objects(db: Connection) -> None:
    assert read(db) == {}
    db.execute(r"SELECT lo_from_bytea(4711, '\x0102')")
    one = read(db)
    assert one["pg_catalog.pg_largeobject"].rows == 1
    db.execute(r"SELECT lo_put(4711, 1, '\x03')")
    assert read(db) != one


def test_what_is_left_out(db: Connection) -> None:
    for schema in ("public", "other", "archon_before_x", "archon_staging_x"):
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
        db.execute(f"CREATE TABLE {schema}.t (a serial)".encode())
    db.execute("CREATE TEMP TABLE passing (a int)")
    db.execute("CREATE UNLOGGED TABLE public.unlogged (a int)")
    assert set(read(db)) == {"public.t", "public.unlogged", "other.t"}
    assert set(read(db, Scope(schemas=("other",)))) == {"public.t", "public.unlogged"}
    assert set(read(db, Scope(tables=(("other", "t"),)))) == {"public.t", "public.unlogged"}
    positions = sequences(db, Scope(schemas=("other",)), timeout=60)
    assert [position.name for position in positions] == ["public.t_a_seq"]


def test_sequences(db: Connection) -> None:
    db.execute("CREATE SEQUENCE public.free START 7")
    db.execute("CREATE TABLE public.t (a serial, b int GENERATED ALWAYS AS IDENTITY)")
    db.execute("INSERT INTO public.t DEFAULT VALUES")
    db.execute("INSERT INTO public.t (a) VALUES (50)")
    found = {p.sequence: p for p in sequences(db, Scope(), timeout=60)}
    assert (found["free"].last_value, found["free"].owner_max) == (None, None)
    assert (found["t_a_seq"].last_value, found["t_a_seq"].owner_max) == (1, 50)
    assert (found["t_b_seq"].last_value, found["t_b_seq"].owner_max) == (2, 2)
    db.execute("SELECT nextval('public.free')")
    assert {p.sequence: p.last_value for p in sequences(db, Scope(), timeout=60)}["free"] == 7


def test_sequences_that_count_down_or_around(db: Connection) -> None:
    db.execute("CREATE SEQUENCE public.down INCREMENT -1")
    db.execute("CREATE SEQUENCE public.around MAXVALUE 2 CYCLE")
    db.execute("CREATE TABLE public.t (a int)")
    db.execute("ALTER SEQUENCE public.down OWNED BY public.t.a")
    db.execute("INSERT INTO public.t VALUES (-1), (-9), (3)")
    found = {p.sequence: p for p in sequences(db, Scope(), timeout=60)}
    assert (found["down"].direction, found["down"].owner_max) == (-1, -9)
    assert found["around"].direction == 0


def test_rows_that_a_policy_hides_are_an_error(postgres_18: Server) -> None:
    """A silent filter would make a proof of half a table."""
    with new_database(postgres_18, "hidden") as connection:
        connection.execute("CREATE TABLE public.t (a int)")
        connection.execute("INSERT INTO public.t VALUES (1)")
        connection.execute("ALTER TABLE public.t ENABLE ROW LEVEL SECURITY")
        connection.execute("CREATE ROLE somebody")
        connection.execute("GRANT SELECT ON public.t TO somebody")
        connection.execute("SET ROLE somebody")
        try:
            with pytest.raises(OpsError, match=r"public\.t.*row-level security"):
                read(connection)
        finally:
            connection.execute("RESET ROLE")
            connection.execute("DROP OWNED BY somebody")
            connection.execute("DROP ROLE somebody")
