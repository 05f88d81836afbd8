"""What has to hold before a dump gets its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from archon_ops.actions.preflight import Readiness
from archon_ops.errors import OpsError
from archon_ops.model.backup import Manifest
from archon_ops.model.inventory import differences
from archon_ops.postgres import facts
from archon_ops.postgres.inventory import read_inventory
from archon_ops.postgres.server import Server
from archon_ops.postgres.toc import is_archon_data, read_contents
from archon_ops.site import Site
from archon_ops.storage.files import sha256_of


def recheck(
    site: Site, server: Server, ready: Readiness, manifest: Manifest, files: dict[str, int]
) -> None:
    """The schema must not have changed while pg_dump ran: parts of it are read outside a snapshot.

    Nor may a table have been truncated: no snapshot sees its rows then, so the fingerprint may
    have seen them and pg_dump not.

    Raises:
        OpsError: it did, a migration was applied, or a table was truncated or rewritten.
    """
    with server.connect(site.database) as connection:
        now = read_inventory(connection, ready.scope, timeout=site.settings.deadlines.stall)
        head = facts.migration_head(connection)
        files_now = facts.file_nodes(connection, ready.scope)
    changed = differences(manifest.inventory, now)
    if head != manifest.migration_head:
        changed = (*changed, f"migration {head} was applied")
    rewritten = sorted(name for name, node in files.items() if files_now.get(name, node) != node)
    changed = (*changed, *(f"table {name} was truncated or rewritten" for name in rewritten))
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise OpsError(
            f"the schema changed while the backup ran: {'; '.join(changed[:3])}{more}",
            "wait until the migration is over, then run the backup again",
        )


def read_back(site: Site, server: Server, path: Path, manifest: Manifest) -> Manifest:
    """Compare what the disk holds with what pg_dump sent, and look into the table of contents.

    Raises:
        OpsError: the disk holds something else.
    """
    found = sha256_of(
        path, lambda done, total: site.report.progress("read back", done, total), cold=True
    )
    if found != (manifest.sha256, manifest.size_bytes):
        raise OpsError(
            f"{path.parent} does not give back what was written to it",
            "check that disk; choose another --backup-dir",
        )
    contents = read_contents(site.tools_for(server.programs.major), path)
    tables = sum(is_archon_data(t.schema, t.table) for t in manifest.tables)
    if contents.archon_tables != tables:
        raise OpsError(
            f"the dump holds data of {contents.archon_tables} Archon tables, "
            f"the snapshot has {tables}",
            "run the backup again; if it stays so, look at the role's privileges",
        )
    return replace(manifest, toc_entries=contents.entries)
