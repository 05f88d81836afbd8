"""The dump and what proves it, written from one snapshot side by side."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime

from archon_ops import __version__
from archon_ops.actions.preflight import Readiness
from archon_ops.actions.reading import Content, reading_content
from archon_ops.model.backup import KeyFingerprint, Manifest
from archon_ops.postgres import facts
from archon_ops.postgres.attributes import without_secrets
from archon_ops.postgres.dump import Snapshot, choose_codec, dumping, on_snapshot
from archon_ops.postgres.fingerprint import sequences
from archon_ops.postgres.inventory import read_extensions, read_inventory
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.site import Site
from archon_ops.storage.atomic import Temporary


def write(
    site: Site,
    server: Server,
    ready: Readiness,
    snapshot: Snapshot,
    temporary: Temporary,
    taken_at: datetime,
    key: Future[KeyFingerprint | None],
) -> Manifest:
    """Dump and fingerprint the snapshot side by side."""
    with on_snapshot(server, site.database, snapshot) as reader:
        draft = _draft(site, server, ready, snapshot, taken_at, reader)
        site.report.step("backup.dump", "Dumping and fingerprinting the same snapshot")
        with reading_content(reader, ready.scope, timeout=site.settings.deadlines.proof) as content:
            sha256, size = _dump(site, server, ready, snapshot, draft.codec, temporary, content)
            if not content.done():
                site.report.info("Dump written, the fingerprint of the content is still running")
            found = content.result()
    return replace(
        draft,
        sha256=sha256,
        size_bytes=size,
        tables=found.tables,
        retrieval=found.retrieval,
        key=key.result(),
    )


def _draft(
    site: Site,
    server: Server,
    ready: Readiness,
    snapshot: Snapshot,
    taken_at: datetime,
    reader: Connection,
) -> Manifest:
    """All of the manifest but what the dump and the fingerprint answer.

    Sequences are read before pg_dump reads them: in the dump they may be ahead, never behind.
    """
    deadlines = site.settings.deadlines
    return Manifest(
        name="",
        source=site.name,
        display_name=site.display_name,
        label=None,
        snapshot_at=taken_at,
        finished_at=taken_at,
        size_bytes=0,
        sha256="",
        codec=choose_codec(server, portable=site.settings.keeps_to_gzip),
        pg_dump=server.programs.version,
        toc_entries=0,
        server=facts.server_facts(reader, server.kind, server.host),
        snapshot=snapshot.text,
        tables=(),
        sequences=sequences(reader, ready.scope, timeout=deadlines.proof),
        inventory=read_inventory(reader, ready.scope, timeout=deadlines.stall),
        attributes=without_secrets(facts.database_attributes(reader, site.database)),
        extensions=read_extensions(reader),
        roles=facts.roles_named(reader),
        sizes=facts.table_sizes(reader, ready.scope),
        database_bytes=facts.database_bytes(reader),
        migration_head=facts.migration_head(reader),
        key=None,
        not_covered=ready.scope.names,
        tool=__version__,
    )


def _dump(
    site: Site,
    server: Server,
    ready: Readiness,
    snapshot: Snapshot,
    codec: str,
    temporary: Temporary,
    content: Future[Content],
) -> tuple[str, int]:
    """Write pg_dump's bytes; their digest is taken as they leave its pipe."""
    digest, size = hashlib.sha256(), 0
    with dumping(
        server,
        site.database,
        snapshot,
        ready.scope,
        codec=codec,
        stall_seconds=site.settings.deadlines.stall,
    ) as blocks:
        for block in blocks:
            digest.update(block)
            temporary.write(block)
            size += len(block)
            site.report.progress("dump", size, ready.expected_bytes)
            if content.done() and (error := content.exception()):
                raise error
    return digest.hexdigest(), size
