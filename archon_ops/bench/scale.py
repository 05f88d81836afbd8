"""Databases of several sizes on the embedded server: what backup, restore, proof and WAL take."""

from __future__ import annotations

import time
from pathlib import Path

from archon_ops.bench.stage import stage
from archon_ops.model.report import Report
from archon_ops.model.scale import Trial
from archon_ops.postgres import databases
from archon_ops.postgres.dump import choose_codec, dumping, exported_snapshot
from archon_ops.postgres.fingerprint import fingerprint
from archon_ops.postgres.restore import restore_into
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import scalar
from archon_ops.site import Site

_STEPS = (0.25, 0.5, 1.0)
_BACK = "archon_scale_back"
_CHANGE = "UPDATE public.archon_crawled_pages SET content = content || '.' WHERE id % 100 = 0"


def trials(parent: Path, largest_bytes: int, report: Report) -> tuple[Trial, ...]:
    """Make and measure three databases, the largest last.

    Args:
        parent: where they are made, and removed again.
        largest_bytes: about how large the largest is.
        report: who listens.
    """
    found = []
    for share in _STEPS:
        with stage(parent, round(largest_bytes * share), report) as (site, server, size, folder):
            found.append(_measured(site, server, size, folder / "scale.dump"))
    return tuple(found)


def _measured(site: Site, server: Server, size: int, dump: Path) -> Trial:
    backup = _dump(site, server, dump)
    with server.connect(site.database) as connection:
        began = time.monotonic()
        fingerprint(connection, Scope(), timeout=site.settings.deadlines.proof)
        proof = time.monotonic() - began
    restore = _restore(site, server, dump)
    return Trial(size, backup, dump.stat().st_size, restore, proof, _wal(site, server))


def _dump(site: Site, server: Server, dump: Path) -> float:
    codec, stall = choose_codec(server, portable=False), site.settings.deadlines.stall
    began = time.monotonic()
    with (
        exported_snapshot(server, site.database, ()) as snapshot,
        dumping(
            server, site.database, snapshot, Scope(), codec=codec, stall_seconds=stall
        ) as blocks,
        dump.open("wb") as file,
    ):
        for block in blocks:
            file.write(block)
    return time.monotonic() - began


def _restore(site: Site, server: Server, dump: Path) -> float:
    with server.connect(databases.MAINTENANCE) as admin:
        databases.create(admin, _BACK, None)
    began = time.monotonic()
    restore_into(server, _BACK, dump, timeout=site.settings.deadlines.restore)
    seconds = time.monotonic() - began
    with server.connect(databases.MAINTENANCE) as admin:
        databases.drop(admin, _BACK)
    return seconds


def _wal(site: Site, server: Server) -> int:
    """WAL that one changed row in a hundred writes, whole pages after a checkpoint included."""
    with server.connect(site.database) as connection:
        connection.execute("CHECKPOINT")
        before = scalar(connection, "SELECT pg_catalog.pg_current_wal_lsn()::text")
        connection.execute(_CHANGE)
        query = "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), %s::pg_lsn)"
        return int(scalar(connection, query, before))
