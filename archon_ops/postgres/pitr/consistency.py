"""Whether the files of tables and their indexes agree, row by row: PostgreSQL's amcheck."""

from __future__ import annotations

from collections.abc import Callable

AMCHECK = "amcheck"
_DAMAGE = "damage: "
# Of Archon's tables: what they hold, and every b-tree over them. Rolled back, so nothing stays.
_SCRIPT = r"""
BEGIN;
CREATE EXTENSION IF NOT EXISTS amcheck;
SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident(n.nspname), true) <> ''
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'amcheck';
CREATE TEMP TABLE archon_ops_looked AS
SELECT c.oid, c.relname, c.reltoastrelid FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'r'
  AND pg_catalog.starts_with(c.relname, 'archon_');
{heap}
SELECT 'index ' || pg_catalog.count(bt_index_check(i.indexrelid, true))
FROM archon_ops_looked t
JOIN pg_catalog.pg_index i ON i.indrelid IN (t.oid, t.reltoastrelid) AND i.indisvalid
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am a ON a.oid = x.relam AND a.amname = 'btree';
SELECT 'table ' || pg_catalog.count(*) FROM archon_ops_looked;
ROLLBACK;
"""
_HEAP = r"""
SELECT 'damage: ' || t.relname || ', block ' || v.blkno || ': ' || v.msg
FROM archon_ops_looked t, LATERAL verify_heapam(t.oid::pg_catalog.regclass) v LIMIT 20;
"""
_HEAP_SINCE = 14
_OFFERED = (
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck'"
)


def damages(ask: Callable[[str, str], str], database: str, major: int) -> tuple[str, ...] | None:
    """What is wrong with Archon's tables and their indexes.

    Args:
        ask: has a superuser of a sandbox run statements in a database; raises where one fails.
        database: which.
        major: the server's major version.

    Returns:
        One line for each damage; None where the server has no amcheck.

    Raises:
        OpsError: an index does not agree with its table; says which.
    """
    if ask(_OFFERED, database) == "0":
        return None
    script = _SCRIPT.format(heap=_HEAP if major >= _HEAP_SINCE else "")
    lines = ask(script, database).splitlines()
    return tuple(line.removeprefix(_DAMAGE) for line in lines if line.startswith(_DAMAGE))
