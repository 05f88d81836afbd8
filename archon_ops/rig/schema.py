"""The schema of the sample database: Archon's objects, and two tables of its neighbours.

The statements are the .sql files beside this module. They name nothing by schema, so the search
path decides where they find pgvector: in public, or in `extensions` as on Supabase.
"""

from __future__ import annotations

from importlib import resources

from psycopg import sql

from archon_ops.errors import PreconditionError
from archon_ops.model.report import Report
from archon_ops.postgres.session import Connection

ARCHON_TABLES = (
    "archon_settings",
    "archon_sources",
    "archon_page_metadata",
    "archon_crawled_pages",
    "archon_code_examples",
    "archon_projects",
    "archon_tasks",
    "archon_project_sources",
    "archon_document_versions",
    "archon_migrations",
    "archon_prompts",
)
NEIGHBOUR_TABLES = ("n8n.workflow_entity", "public.chat_flow")


def create_objects(
    connection: Connection,
    *,
    extension_schema: str = "public",
    vectors: bool = True,
    trigrams: bool = True,
) -> None:
    """Make everything that stands before the rows: all but the indexes.

    Args:
        connection: inside of a transaction; its search path is changed until that ends.
        extension_schema: where missing extensions are installed.
        vectors: whether to make the embedding columns and the functions over them.
        trigrams: whether indexes over trigrams will be built.

    Raises:
        PreconditionError: the database holds Archon already, or the server lacks an extension.
    """
    if connection.execute("SELECT to_regclass('public.archon_sources')").fetchone() != (None,):
        raise PreconditionError(
            f"database {connection.info.dbname} holds Archon tables already",
            "drop the database first, or choose another one",
        )
    needed = [*(["pg_trgm"] if trigrams else []), *(["vector"] if vectors else [])]
    _create_extensions(connection, extension_schema, needed)
    set_search_path(connection)
    for name in ("roles", "tables", "functions", *(["vectors"] if vectors else []), "neighbours"):
        connection.execute(_file(name), prepare=False)


def create_indexes(
    connection: Connection,
    report: Report,
    *,
    vectors: bool = True,
    trigrams: bool = True,
    expected_bytes: int = 0,
) -> None:
    """Build every index; afterwards is much faster than along with the rows.

    Args:
        connection: inside of a transaction.
        report: is told of the bytes built so far.
        vectors: whether there are embedding columns.
        trigrams: whether the server has pg_trgm.
        expected_bytes: about how large all of them will be together.
    """
    set_search_path(connection)
    done = 0
    more = {"trigram_indexes": trigrams, "vector_indexes": vectors}
    for statement in _statements("indexes", *(name for name, wanted in more.items() if wanted)):
        connection.execute(statement, prepare=False)
        done += _index_bytes(connection, statement.split()[2].decode())
        report.progress("indexes", done, max(done, expected_bytes))


def set_search_path(connection: Connection) -> None:
    """Until the transaction ends: public, then wherever the extensions really are."""
    rows = connection.execute(
        "SELECT DISTINCT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace "
        "WHERE extname IN ('vector', 'pg_trgm', 'pgcrypto') AND n.nspname <> 'public' ORDER BY 1"
    ).fetchall()
    path = sql.SQL(", ").join(map(sql.Identifier, ["public", *(name for (name,) in rows)]))
    connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(path))


def _create_extensions(connection: Connection, schema: str, needed: list[str]) -> None:
    offered = {
        name
        for (name,) in connection.execute("SELECT name FROM pg_available_extensions").fetchall()
    }
    if missing := [name for name in needed if name not in offered]:
        raise PreconditionError(
            f"the server does not offer the extension {', '.join(missing)}",
            "install it on the server (Debian: postgresql-contrib, postgresql-N-pgvector)",
        )
    where = sql.Identifier(schema)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(where))
    for name in (*needed, *({"pgcrypto"} & offered)):
        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {}")
        connection.execute(statement.format(sql.Identifier(name), where))


def _index_bytes(connection: Connection, name: str) -> int:
    row = connection.execute("SELECT pg_relation_size(%s::regclass)", [name]).fetchone()
    return int(row[0]) if row else 0


def _statements(*names: str) -> list[bytes]:
    """The single statements of files that hold no function body."""
    lines = b"\n".join(_file(name) for name in names).splitlines()
    text = b"\n".join(line for line in lines if not line.startswith(b"--"))
    return [part.strip() for part in text.split(b";") if part.strip()]


def _file(name: str) -> bytes:
    return resources.files("archon_ops.rig").joinpath("sql", f"{name}.sql").read_bytes()
