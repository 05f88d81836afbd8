"""What a cluster held at a point: written down when it is made, compared when it comes back."""

from __future__ import annotations

import hashlib

from archon_ops import __version__
from archon_ops.actions.pitr.point import Point
from archon_ops.actions.pitr.reach import Reached
from archon_ops.model.backup import Manifest
from archon_ops.model.pitr.labels import Label
from archon_ops.model.proof import Found, Proof, prove
from archon_ops.postgres import facts
from archon_ops.postgres.fingerprint import fingerprint, sequences
from archon_ops.postgres.inventory import read_extensions, read_inventory
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.settings import DeadlineSettings
from archon_ops.site import Site

_MANIFEST = "backup.manifest"


def written_down(
    site: Site, at: Reached, label: Label, version: str, point: Point, reader: Connection
) -> Manifest:
    """The proof of a label: the content of Archon's tables at its point.

    Args:
        site: the source.
        at: its server.
        label: pgBackRest's backup.
        version: pgBackRest's.
        point: the point that was made after it.
        reader: sees exactly what is there at the point.
    """
    deadlines = site.settings.deadlines
    scope = archon_scope(reader)
    return Manifest(
        name=label.name,
        source=site.name,
        display_name=site.display_name,
        label=point.name,
        snapshot_at=point.at,
        finished_at=site.clock(),
        size_bytes=label.stored_bytes,
        sha256=manifest_digest(at, label),
        codec=f"pgbackrest {label.kind}",
        pg_dump=version,
        toc_entries=0,
        server=facts.server_facts(reader, at.server.kind, at.server.host),
        snapshot=point.snapshot,
        sequences=sequences(reader, scope, timeout=deadlines.proof),
        tables=fingerprint(reader, scope, timeout=deadlines.proof),
        inventory=read_inventory(reader, scope, timeout=deadlines.stall),
        attributes={},
        extensions=read_extensions(reader),
        roles=(),
        sizes=facts.table_sizes(reader, scope),
        database_bytes=facts.database_bytes(reader),
        migration_head=facts.migration_head(reader),
        key=None,
        not_covered=("all but Archon's tables",),
        tool=__version__,
    )


def proven(server: Server, database: str, manifest: Manifest, deadlines: DeadlineSettings) -> Proof:
    """Compare what was recovered to a label's point with its proof.

    Args:
        server: where it was recovered to; nobody has written there since.
        database: the source's.
        manifest: the proof.
        deadlines: how long to wait.
    """
    with server.connect(database) as connection:
        scope = archon_scope(connection)
        found = Found(
            major=facts.version_num(connection) // 10000,
            tables=fingerprint(connection, scope, timeout=deadlines.proof),
            sequences=sequences(connection, scope, timeout=deadlines.proof),
            inventory=read_inventory(connection, scope, timeout=deadlines.stall),
            extensions={e.name: e.version for e in read_extensions(connection)},
            attributes=None,
        )
    return prove(manifest, found, None)


def manifest_digest(at: Reached, label: Label) -> str:
    """SHA-256 of pgBackRest's own manifest of a label, which lists the checksum of every file."""
    path = f"backup/{at.backrest.stanza}/{label.name}/{_MANIFEST}"
    done = at.backrest.run(
        "repo-get", f"--repo={label.repository}", positional=(path,), timeout=600
    )
    return hashlib.sha256(done.encode()).hexdigest()


def archon_scope(connection: Connection) -> Scope:
    """Archon's tables, and their sequences."""
    rows = connection.execute(
        """SELECT n.nspname, c.relname FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'S')
             AND c.relname LIKE 'archon\\_%' ORDER BY 1, 2"""
    ).fetchall()
    return Scope(only=tuple((str(schema), str(name)) for schema, name in rows))
