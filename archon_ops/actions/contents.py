"""Look into Archon's tables: an audit, and what the bytes in them belong to."""

from __future__ import annotations

from archon_ops.actions.audit import Audited, audit
from archon_ops.postgres import sizes
from archon_ops.postgres.contents import Contents, contents
from archon_ops.postgres.scope import resolve
from archon_ops.postgres.session import deadline
from archon_ops.site import Site


def look_into(
    site: Site, largest: int, *, whole: bool = False
) -> tuple[Audited, tuple[Contents, ...]]:
    """Audit a source, and look into the tables that its role may read.

    Args:
        site: the source.
        largest: how many of the largest rows of each table are named.
        whole: look at all rows instead of those of some pages.

    Raises:
        PreconditionError: the database cannot be reached, or has no Archon tables.
    """
    limits, source = site.settings.deadlines, site.source
    with site.server() as server:
        audited = audit(site, exact=whole)
        with (
            server.connect(site.database) as connection,
            deadline(connection, limits.proof, "looking into the tables"),
        ):
            scope = resolve(connection, source.exclude_schemas, source.exclude_tables)
            found = tuple(
                contents(connection, table, largest=largest, whole=whole)
                for table in sizes.stored_tables(connection, scope)
                if table.readable
            )
    return audited, found
