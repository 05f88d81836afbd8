from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.report import Silent
from archon_ops.postgres.cluster import Address, Cluster
from archon_ops.postgres.session import Connection, session
from archon_ops.postgres.tools import local_tools, wheel_tools
from archon_ops.rig import credential, sample, schema

KEY = "an encryption key of these tests"
MB = 1 << 20


@contextmanager
def _connected(address: Address, database: str) -> Iterator[Connection]:
    conninfo = {"host": address.host, "port": address.port, "user": address.user}
    named = {**conninfo, "dbname": database, "application_name": "archon_ops:test"}
    with session(named, timeout=60) as connection:
        yield connection


@contextmanager
def _new_database(address: Address, name: str) -> Iterator[Connection]:
    with _connected(address, "postgres") as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with _connected(address, name) as connection:
                yield connection
        finally:
            admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    cluster = Cluster(wheel_tools(), tmp_path_factory.mktemp("pg"), durable=False)
    cluster.create()
    with cluster.running() as address:
        yield address


@pytest.fixture(scope="module")
def made(server: Address) -> Iterator[tuple[Connection, sample.Summary]]:
    with _new_database(server, "sample") as connection:
        yield connection, sample.create(connection, 11 * MB, Silent(), encryption_key=KEY)


@pytest.fixture
def archon(made: tuple[Connection, sample.Summary]) -> Iterator[Connection]:
    """The sample, as it was after the test again."""
    connection, _ = made
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path TO public")
        yield connection


def _one(connection: Connection, query: str, *values: Any) -> Any:
    row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return row[0]


def _all(connection: Connection, query: str, *values: Any) -> list[Any]:
    return connection.execute(query, values or None).fetchall()


def _digests(connection: Connection) -> dict[str, str]:
    found = {}
    for table in (*schema.ARCHON_TABLES, *schema.NEIGHBOUR_TABLES):
        name = table if "." in table else f"public.{table}"
        digest = hashlib.md5(usedforsecurity=False)
        with connection.cursor().copy(f"COPY (SELECT * FROM {name} ORDER BY 1) TO STDOUT") as copy:
            for block in copy:
                digest.update(block)
        found[table] = digest.hexdigest()
    return found


def test_every_table_has_rows_and_the_summary_counts_them(
    made: tuple[Connection, sample.Summary], archon: Connection
) -> None:
    _, summary = made
    counted = {table: _one(archon, f"SELECT count(*) FROM {table}") for table in summary.rows}
    assert counted == summary.rows
    assert set(schema.ARCHON_TABLES) < set(summary.rows)
    assert len(summary.rows) == 13
    assert all(counted.values())
    assert summary.archon_rows == sum(counted[table] for table in schema.ARCHON_TABLES)


def test_default_size_is_in_its_band(made: tuple[Connection, sample.Summary]) -> None:
    assert abs(made[1].bytes - 11 * MB) < 0.15 * 11 * MB


@pytest.mark.parametrize("megabytes", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_other_sizes_are_in_their_band(server: Address, megabytes: int) -> None:
    with _new_database(server, f"sized_{megabytes}") as connection:
        before = _one(connection, "SELECT pg_database_size(current_database())")
        summary = sample.create(connection, megabytes * MB, Silent(), encryption_key=KEY)
        grown = _one(connection, "SELECT pg_database_size(current_database())") - before
    assert abs(summary.bytes - megabytes * MB) < 0.1 * megabytes * MB
    assert abs(grown - megabytes * MB) < 0.15 * megabytes * MB


def test_one_seed_makes_the_same_rows_and_another_seed_others(
    server: Address, made: tuple[Connection, sample.Summary]
) -> None:
    first = _digests(made[0])
    with _new_database(server, "again") as connection:
        sample.create(connection, 11 * MB, Silent(), encryption_key=KEY)
        assert _digests(connection) == first
    with _new_database(server, "other") as connection:
        sample.create(connection, 11 * MB, Silent(), encryption_key=KEY, seed=1)
        other = _digests(connection)
    assert other["archon_crawled_pages"] != first["archon_crawled_pages"]
    assert other["archon_tasks"] != first["archon_tasks"]


def test_there_are_twelve_functions(archon: Connection) -> None:
    names = _all(
        archon,
        "SELECT proname FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS "
        "(SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e') ORDER BY 1",
    )
    kinds = ("crawled_pages", "code_examples")
    searches = [
        f"{prefix}_archon_{kind}" for prefix in ("match", "hybrid_search") for kind in kinds
    ]
    assert {name for (name,) in names} == {
        *searches,
        *(f"{name}_multi" for name in searches),
        "archive_task",
        "detect_embedding_dimension",
        "get_embedding_column_name",
        "update_updated_at_column",
    }
    assert len(names) == 12


@pytest.mark.parametrize("table", ["archon_crawled_pages", "archon_code_examples"])
def test_match_finds_the_nearest(archon: Connection, table: str) -> None:
    archon.execute("SET LOCAL ivfflat.probes = 100")
    (row,) = _all(archon, f"SELECT id, source_id, embedding_1536::text FROM {table} WHERE id = 6")
    call = f"SELECT id, similarity FROM match_{table}(%s::vector, 5, '{{}}', %s)"
    found = _all(archon, call, row[2], None)
    exact = _all(
        archon,
        f"SELECT id FROM {table} WHERE embedding_1536 IS NOT NULL "
        "ORDER BY (embedding_1536 <=> %s::vector) + 0 LIMIT 5",
        row[2],
    )
    assert [found_id for found_id, _ in found] == [exact_id for (exact_id,) in exact]
    assert found[0][0] == row[0]
    assert found[0][1] == pytest.approx(1)
    assert _all(archon, call, row[2], row[1])[0][0] == row[0]
    assert _all(archon, call, row[2], "no such source") == []
    filtered = f'SELECT id FROM match_{table}(%s::vector, 5, \'{{"title": "none"}}\')'
    assert _all(archon, filtered, row[2]) == []


@pytest.mark.parametrize("table", ["archon_crawled_pages", "archon_code_examples"])
@pytest.mark.parametrize("dimension", [384, 768, 1024, 1536, 3072])
def test_multi_searches_every_dimension(archon: Connection, table: str, dimension: int) -> None:
    column = f"embedding_{dimension}"
    wanted, vector = _all(
        archon, f"SELECT id, {column}::text FROM {table} WHERE {column} IS NOT NULL ORDER BY id"
    )[0]
    near = f"SELECT id FROM match_{table}_multi(%s::vector, %s, 3)"
    assert _all(archon, near, vector, dimension)[0] == (wanted,)
    hybrid = f"SELECT id, match_type FROM hybrid_search_{table}_multi(%s::vector, %s, %s, 3)"
    assert _all(archon, hybrid, vector, dimension, "zyzzyva")[0] == (wanted, "vector")


@pytest.mark.parametrize("table", ["archon_crawled_pages", "archon_code_examples"])
def test_hybrid_search_joins_meaning_and_words(archon: Connection, table: str) -> None:
    wanted, vector = _all(archon, f"SELECT id, embedding_1536::text FROM {table} WHERE id = 1")[0]
    query = f"SELECT id, match_type FROM hybrid_search_{table}(%s::vector, %s, 30)"
    found = dict(_all(archon, query, vector, "class"))
    assert found[wanted] in ("vector", "hybrid")
    by_word = _all(
        archon,
        f"SELECT id FROM {table} WHERE content_search_vector @@ to_tsquery('english', 'class')",
    )
    hits = {found_id for found_id, kind in found.items() if kind in ("keyword", "hybrid")}
    assert hits
    assert hits <= {found_id for (found_id,) in by_word}
    assert "keyword" in found.values() or "hybrid" in found.values()


def test_exactly_the_column_of_the_dimension_is_filled(archon: Connection) -> None:
    for table in ("archon_crawled_pages", "archon_code_examples"):
        columns = [f"embedding_{d}" for d in (384, 768, 1024, 1536, 3072)]
        wrong = (
            f"SELECT count(*) FROM {table} WHERE num_nonnulls({', '.join(columns)}) <> 1 OR "
            f"vector_dims(coalesce({', '.join(columns)})) <> embedding_dimension"
        )
        assert _one(archon, wrong) == 0


def test_small_functions(archon: Connection) -> None:
    assert _one(archon, "SELECT detect_embedding_dimension('[1,2,3]')") == 3
    assert _one(archon, "SELECT get_embedding_column_name(768)") == "embedding_768"
    with pytest.raises(psycopg.errors.RaiseException), archon.transaction():
        archon.execute("SELECT get_embedding_column_name(5)")


def test_archive_task_takes_subtasks_along(archon: Connection) -> None:
    parent = _one(
        archon,
        "SELECT parent_task_id FROM archon_tasks WHERE parent_task_id IS NOT NULL AND NOT archived",
    )
    children = "SELECT count(*) FROM archon_tasks WHERE parent_task_id = %s AND NOT archived"
    assert _one(archon, children, parent) > 0
    assert _one(archon, "SELECT archive_task(%s, 'me')", parent) is True
    assert _one(archon, children, parent) == 0
    assert _one(archon, "SELECT archived_by FROM archon_tasks WHERE id = %s", parent) == "me"
    assert _one(archon, "SELECT archive_task(%s)", parent) is False


@pytest.mark.parametrize("table", ["settings", "projects", "tasks", "prompts"])
def test_triggers_set_updated_at(archon: Connection, table: str) -> None:
    query = f"SELECT count(*) FROM archon_{table} WHERE updated_at = now()"
    assert _one(archon, query) == 0
    archon.execute(f"UPDATE archon_{table} SET created_at = created_at")
    assert _one(archon, query) == _one(archon, f"SELECT count(*) FROM archon_{table}") > 0


def test_foreign_keys_are_there_and_valid(archon: Connection) -> None:
    keys = _all(
        archon,
        "SELECT conrelid::regclass::text, confrelid::regclass::text, confdeltype::text "
        "FROM pg_constraint WHERE contype = 'f' AND convalidated ORDER BY 1, 2",
    )
    assert [(a.removeprefix("archon_"), b.removeprefix("archon_"), c) for a, b, c in keys] == [
        ("code_examples", "sources", "c"),
        ("crawled_pages", "page_metadata", "n"),
        ("crawled_pages", "sources", "c"),
        ("document_versions", "projects", "c"),
        ("document_versions", "tasks", "c"),
        ("page_metadata", "sources", "c"),
        ("project_sources", "projects", "c"),
        ("tasks", "projects", "c"),
        ("tasks", "tasks", "c"),
    ]
    assert _one(archon, "SELECT count(*) FROM archon_crawled_pages WHERE page_id IS NULL") == 0
    archon.execute("DELETE FROM archon_sources")
    assert _one(archon, "SELECT count(*) FROM archon_crawled_pages") == 0


def test_sequences_go_on_behind_the_rows(archon: Connection) -> None:
    for table, columns, values in (
        ("archon_crawled_pages", "url, chunk_number, content", "'u', 0, 'c'"),
        ("archon_code_examples", "url, chunk_number, content, summary", "'u', 0, 'c', 's'"),
    ):
        highest = _one(archon, f"SELECT max(id) FROM {table}")
        source = "(SELECT min(source_id) FROM archon_sources)"
        insert = f"INSERT INTO {table} ({columns}, source_id) VALUES ({values}, {source})"
        assert _one(archon, f"{insert} RETURNING id") == highest + 1
    workflow = "INSERT INTO n8n.workflow_entity (name, nodes, connections) VALUES ('x', '[]', '{}')"
    assert _one(archon, f"{workflow} RETURNING id") == 4


def test_every_status_and_priority_occurs(archon: Connection) -> None:
    query = "SELECT count(DISTINCT (status, priority)) FROM archon_tasks"
    assert _one(archon, query) == 16


def test_the_credential_opens_with_the_key(archon: Connection) -> None:
    rows = _all(archon, "SELECT encrypted_value FROM archon_settings WHERE is_encrypted")
    assert [credential.decrypted(value, KEY) for (value,) in rows] == [credential.VALUE]


def test_row_level_security_is_on_and_works(archon: Connection) -> None:
    protected = _all(
        archon,
        "SELECT relname, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) FROM pg_class c "
        "WHERE relkind = 'r' AND relname LIKE 'archon%' AND relrowsecurity",
    )
    assert dict(protected) == dict.fromkeys(schema.ARCHON_TABLES, 2)
    archon.execute("SET LOCAL row_security = on")
    seen = {}
    for role, claim in (("anon", ""), ("authenticated", ""), ("service_role", "service_role")):
        archon.execute("SELECT set_config('request.jwt.claim.role', %s, true)", [claim])
        archon.execute(f"SET LOCAL ROLE {role}")
        seen[role] = _one(archon, "SELECT count(*) FROM archon_prompts")
        archon.execute("RESET ROLE")
    assert seen["anon"] == 0
    assert seen["authenticated"] == seen["service_role"] > 0


def test_indexes_are_valid_and_of_every_kind(archon: Connection) -> None:
    rows = _all(
        archon,
        "SELECT c.relname, amname, reloptions, indisvalid FROM pg_index i "
        "JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam "
        "WHERE indrelid::regclass::text LIKE 'archon%'",
    )
    assert all(valid for *_, valid in rows)
    kinds = [kind for _, kind, *_ in rows]
    assert kinds.count("ivfflat") == 8
    assert kinds.count("gin") == 9
    assert all(options == ["lists=100"] for _, kind, options, _ in rows if kind == "ivfflat")


def test_supabase_shape_has_its_extensions_elsewhere(server: Address) -> None:
    with _new_database(server, "supabase") as connection:
        sample.create(connection, 0, Silent(), encryption_key=KEY, extension_schema="extensions")
        places = _all(
            connection,
            "SELECT extname, extnamespace::regnamespace::text FROM pg_extension "
            "WHERE extname IN ('vector', 'pg_trgm') ORDER BY 1",
        )
        assert places == [("pg_trgm", "extensions"), ("vector", "extensions")]
        # The session's search path is empty: the functions find everything by themselves.
        found = _all(
            connection,
            "SELECT m.id FROM public.archon_code_examples e, LATERAL "
            "public.hybrid_search_archon_code_examples(e.embedding_1536, 'class', 3) m "
            "WHERE e.id = 1",
        )
        assert (1,) in found


def test_without_vectors_the_rest_is_the_same(server: Address) -> None:
    with _new_database(server, "plain") as connection:
        summary = sample.create(connection, 2 * MB, Silent(), encryption_key=KEY, vectors=False)
        _check_plain(connection, summary)


@pytest.mark.slow
def test_without_vectors_on_the_systems_postgresql(tmp_path: Path) -> None:
    try:
        tools = local_tools(15)
    except PreconditionError:
        pytest.skip("PostgreSQL 15 is not on this machine")
    if not tools.has("initdb"):
        pytest.skip("the server of PostgreSQL 15 is not on this machine")
    cluster = Cluster(tools, tmp_path / "pg15", durable=False)
    cluster.create()
    with cluster.running() as address, _new_database(address, "plain") as connection:
        summary = sample.create(connection, 2 * MB, Silent(), encryption_key=KEY, vectors=False)
        _check_plain(connection, summary)
        with (
            _new_database(address, "wanting") as other,
            pytest.raises(PreconditionError, match="vector"),
        ):
            sample.create(other, 0, Silent(), encryption_key=KEY)


def _check_plain(connection: Connection, summary: sample.Summary) -> None:
    assert abs(summary.bytes - 2 * MB) < 0.15 * 2 * MB
    assert len(summary.rows) == 13
    assert all(summary.rows.values())
    columns = (
        "SELECT count(*) FROM information_schema.columns WHERE column_name LIKE 'embedding\\_%%'"
    )
    assert _one(connection, columns + " AND table_name = %s", "archon_code_examples") == 2
    assert _one(connection, "SELECT public.get_embedding_column_name(384)") == "embedding_384"


def test_a_second_sample_is_refused_and_changes_nothing(
    made: tuple[Connection, sample.Summary],
) -> None:
    before = _digests(made[0])
    with pytest.raises(PreconditionError, match="holds Archon tables"):
        sample.create(made[0], 11 * MB, Silent(), encryption_key=KEY)
    assert _digests(made[0]) == before


class _Breaking(Silent):
    def progress(self, label: str, done: int, total: int | None) -> None:
        if label == "indexes":
            raise OpsError(f"stopped on purpose at {done} of {total}")


def test_all_or_nothing(server: Address) -> None:
    with _new_database(server, "broken") as connection:
        with pytest.raises(OpsError, match="on purpose"):
            sample.create(connection, 0, _Breaking(), encryption_key=KEY)
        left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'archon%' OR relname = 'chat_flow'"
        assert _one(connection, left) == 0
        assert _one(connection, "SELECT to_regnamespace('n8n') IS NULL")
        assert _one(connection, "SELECT count(*) FROM pg_extension WHERE extname = 'vector'") == 0


class _Listening(Silent):
    def __init__(self) -> None:
        self.heard: dict[str, list[tuple[int, int | None]]] = {}

    def progress(self, label: str, done: int, total: int | None) -> None:
        self.heard.setdefault(label, []).append((done, total))


def test_progress_grows_and_never_passes_its_end(server: Address) -> None:
    report = _Listening()
    with _new_database(server, "watched") as connection:
        sample.create(connection, 0, report, encryption_key=KEY)
    assert set(report.heard) == {"rows", "indexes"}
    for heard in report.heard.values():
        assert [done for done, _ in heard] == sorted(done for done, _ in heard)
        assert all(total is not None and done <= total for done, total in heard)
        assert heard[-1][0] > 0.8 * (heard[-1][1] or 0)
