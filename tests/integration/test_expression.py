"""What a user writes behind --where is one expression, and can do no harm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from archon_ops.errors import UsageError
from archon_ops.postgres.expression import matching, tables_read
from archon_ops.postgres.relations import Relation, relations
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from tests.support import new_database

NAME = "where_test"


@pytest.fixture(scope="module")
def database(postgres_18: Server) -> Iterator[Connection]:
    with new_database(postgres_18, NAME) as connection:
        connection.execute("""
            CREATE TYPE public.mood AS ENUM ('good', 'bad');
            CREATE TABLE public.other (id int PRIMARY KEY);
            CREATE TABLE public.things (
                id int PRIMARY KEY, name text, mood public.mood, "100%" int);
            INSERT INTO public.things VALUES (1, 'one', 'good', 7), (2, 'two%', 'bad', 8);
            CREATE FUNCTION public.wipe() RETURNS boolean LANGUAGE plpgsql AS
                $$ BEGIN DELETE FROM public.things; RETURN true; END $$;
            CREATE SEQUENCE public.counter;
            CREATE FUNCTION public.sly() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS
                $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true);
                   DELETE FROM public.things; RETURN true; END $$""")
        yield connection


@pytest.fixture
def things(database: Connection) -> Relation:
    return relations(database)["public", "things"]


def keys(
    server: Server, connection: Connection, things: Relation, where: str, timeout: float = 60
) -> list[str]:
    """Check an expression and evaluate it, as a rescue does."""
    tables_read(connection, things, where)
    return sorted(key for (key,) in matching(server, NAME, things, where, timeout=timeout))


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("id = 2", ["2"]),
        ("mood = 'good' -- of course", ["1"]),
        ("name LIKE '%\\%' AND \"100%\" = 8", ["2"]),
        ("true OR false", ["1", "2"]),
        ("id IN (SELECT max(id) FROM things)", ["2"]),
        ("name = '); DROP TABLE public.things; --'", []),
    ],
)
def test_expressions(
    postgres_18: Server, database: Connection, things: Relation, where: str, found: list[str]
) -> None:
    assert keys(postgres_18, database, things, where) == found


def test_tables_that_an_expression_reads_are_named(database: Connection, things: Relation) -> None:
    found = tables_read(database, things, "id IN (SELECT id FROM other)")
    assert found == {("public", "things"), ("public", "other")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    [
        "",
        "nonsense",
        "id = ",
        "name",
        "true; DELETE FROM public.things",
        "true); DELETE FROM public.things; --",
        "true) UNION SELECT 1 FROM things WHERE (true",
        "true THEN true END, CASE WHEN true",
        "true) --",
        "true /*",
        "id = $1",
        "id IN (WITH d AS (DELETE FROM public.things RETURNING id) SELECT id FROM d)",
        "wipe()",
        "sly()",
        "nextval('public.counter') > 0",
        "length(pg_read_file('/etc/passwd')) > 0",
        "lo_create(1) > 0",
        "pg_sleep(60) IS NULL",
        "id = 1\0",
    ],
)
def test_what_is_none_or_would_do_harm(
    postgres_18: Server, database: Connection, things: Relation, where: str
) -> None:
    with pytest.raises(UsageError):
        keys(postgres_18, database, things, where, timeout=2)
    rows = database.execute("SELECT count(*) FROM public.things").fetchone()
    assert rows == (2,)
