"""Rows again: how many there are, which tables lack some, and only those brought back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from archon_ops.actions import rescue
from archon_ops.actions.rescue import Rescued
from archon_ops.errors import PreconditionError
from archon_ops.model.backup import Manifest
from archon_ops.postgres import facts
from archon_ops.postgres.relations import references
from archon_ops.postgres.session import Connection, scalar
from archon_ops.site import Site


@dataclass(frozen=True)
class Lack:
    """Tables of Archon's in which rows of a backup are missing.

    Attributes:
        tables: with fewer rows than the backup; those that others refer to come first.
        gone: that do not exist any more.
    """

    tables: tuple[str, ...]
    gone: tuple[str, ...]


def counts(connection: Connection) -> dict[str, int]:
    """Archon's tables and their rows, by name."""
    count = sql.SQL("SELECT count(*) FROM {}")
    return {
        table: int(scalar(connection, count.format(sql.Identifier("public", table))))
        for table in facts.archon_tables(connection)
    }


def lacking(site: Site, manifest: Manifest) -> Lack:
    """Hold the live tables' numbers of rows against a backup's."""
    with site.server() as server, server.connect(site.database) as connection:
        now = counts(connection)
        parents = {(k.child[1], k.parent[1]) for k in references(connection)}
    then = {t.table: t.rows for t in manifest.tables if t.table.startswith("archon_")}
    fewer = {name for name, rows in then.items() if name in now and now[name] < rows}
    # A table whose rows hang on another one's comes back with those.
    heads = {n for n in fewer if not any((n, p) in parents for p in fewer - {n})}
    tables = (*sorted(heads), *sorted(fewer - heads))
    return Lack(tables, tuple(sorted(then.keys() - now.keys())))


def bring_back(site: Site, manifest: Manifest, path: str, *, trust: bool) -> Iterator[Rescued]:
    """Bring back what is missing, table by table, until no table lacks rows.

    Args:
        site: where.
        manifest: of the backup.
        path: of its dump.
        trust: whether it may be another server's.

    Raises:
        PreconditionError: a whole table is gone, or nothing is missing.
        OpsError: a table's rows could not be brought back; those before it are.
    """
    lack = lacking(site, manifest)
    if lack.gone:
        raise PreconditionError(
            f"there is no table {', '.join(lack.gone)} any more to bring rows back into",
            "bring back everything: -p everything=true",
        )
    if not lack.tables:
        raise PreconditionError(
            "no table has fewer rows than the backup: which rows are wrong, a person has to say",
            "inv rescue latest --diff; inv rescue latest --table T --changed",
        )
    tried: set[str] = set()
    while left := [name for name in lack.tables if name not in tried]:
        tried.add(left[0])
        request = rescue.Request(path, left[0], trust=trust)
        yield rescue.rescue(site.for_next_run(), request, lambda *_: None)
        lack = lacking(site, manifest)
