"""Small damages, done on purpose to a copy, that a proof of it must notice.

Each is as small as it gets: one bit, one row, one element of one vector, one index, one right.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from archon_ops.errors import OpsError
from archon_ops.postgres.session import Connection

# Columns whose value may be anything: no key, no check, nothing that is computed.
_FREE = """
    SELECT n.nspname, c.relname, a.attname
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    WHERE c.relkind = 'r' AND c.relname LIKE 'archon\\_%%' AND t.typname = %s
      AND a.attgenerated = ''
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
                      WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY (i.indkey))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                      WHERE k.conrelid = c.oid AND a.attnum = ANY (k.conkey)
                        AND k.contype IN ('c', 'f', 'x'))
    ORDER BY n.nspname, c.relname, a.attname"""

_INDEX = """
    SELECT n.nspname, x.relname
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
    JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
    WHERE c.relname LIKE 'archon\\_%' AND NOT i.indisunique ORDER BY 1, 2 LIMIT 1"""

_RIGHT = """
    SELECT n.nspname, c.relname, pg_catalog.pg_get_userbyid(r.grantee), r.privilege_type
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
    LATERAL pg_catalog.aclexplode(
        coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) AS r
    WHERE c.relkind = 'r' AND c.relname LIKE 'archon\\_%' AND r.grantee <> 0
    ORDER BY r.grantee = c.relowner, 1, 2, 3, 4 LIMIT 1"""


@dataclass(frozen=True)
class Damage:
    """A damage that was done.

    Attributes:
        text: what was done, for people.
        shows: pattern of the line by which the proof shows that it noticed this very damage.
        table: the table whose rows were changed; empty where none were.
    """

    text: str
    shows: str
    table: str = ""


def change_row(connection: Connection, spare: frozenset[str] = frozenset()) -> Damage | None:
    """Add one space to one text in one row.

    Args:
        connection: session on the copy.
        spare: tables that are left alone.

    Returns:
        What was done; None where there is no row to do it to.
    """
    return _change(connection, "text", spare, lambda value: f"{value} ", "one space added in")


def change_vector(connection: Connection, spare: frozenset[str] = frozenset()) -> Damage | None:
    """Change one element of one vector by a little; see `change_row`."""
    return _change(connection, "vector", spare, _nudged, "one vector element changed in")


def _nudged(vector: str) -> str:
    first, *others = json.loads(vector)
    return json.dumps([first + 0.001, *others])


def _change(
    connection: Connection,
    kind: str,
    spare: frozenset[str],
    changed: Callable[[str], str],
    text: str,
) -> Damage | None:
    for schema, table, column in connection.execute(_FREE, [kind]).fetchall():
        where = sql.Identifier(schema, table)
        name = sql.Identifier(column)
        if f"{schema}.{table}" in spare:
            continue
        found = connection.execute(
            sql.SQL("SELECT ctid::text, {0}::text FROM {1} WHERE {0} IS NOT NULL LIMIT 1").format(
                name, where
            )
        ).fetchone()
        if found is None:
            continue
        update = sql.SQL("UPDATE {} SET {} = %s WHERE ctid = %s::tid").format(where, name)
        connection.execute(update, [changed(found[1]), found[0]])
        place = f"{schema}.{table}"
        shows = rf"table {re.escape(place)}: .*content differs"
        return Damage(f"{text} {place}, column {column}", shows, place)
    return None


def drop_index(connection: Connection) -> Damage | None:
    """Drop an index that no constraint needs; None where there is none."""
    found = connection.execute(_INDEX).fetchone()
    if found is None:
        return None
    schema, index = found
    connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(schema, index)))
    name = f"{schema}.{index}"
    return Damage(f"index {name} dropped", rf"index {re.escape(name)} on .*: missing")


def revoke_right(connection: Connection) -> Damage | None:
    """Take one right on one table from somebody, rather not from its owner."""
    found = connection.execute(_RIGHT).fetchone()
    if found is None:
        return None
    schema, table, role, right = found
    connection.execute(
        sql.SQL("REVOKE {} ON {} FROM {}").format(
            sql.SQL(right), sql.Identifier(schema, table), sql.Identifier(role)
        )
    )
    place = f"{schema}.{table}"
    text = f"{right} on {place} revoked from {role}"
    return Damage(text, rf"table {re.escape(place)}: defined otherwise")


def flip_bit(dump: Path, copy: Path) -> Damage:
    """Copy a dump and flip one bit in the middle of the copy.

    Raises:
        OpsError: there is no room for a copy.
    """
    size = dump.stat().st_size
    try:
        shutil.copyfile(dump, copy)
        with copy.open("r+b") as file:
            file.seek(size // 2)
            byte = file.read(1)[0]
            file.seek(size // 2)
            file.write(bytes([byte ^ 1]))
            os.fsync(file.fileno())
    except OSError as error:
        raise OpsError(f"cannot copy {dump.name} to {copy.parent}: {error.strerror}") from error
    return Damage(f"one bit flipped in a copy of {dump.name}, at byte {size // 2}", "checksum")
