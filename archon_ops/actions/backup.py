"""Take a backup that carries proof of its content, or none at all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from archon_ops.actions import retention
from archon_ops.actions.past import remember
from archon_ops.actions.preflight import Readiness, check
from archon_ops.actions.recording import Recording, recorded, sweep_server
from archon_ops.actions.taking.take import take
from archon_ops.model.backup import Backup
from archon_ops.model.dump_names import dump_name
from archon_ops.model.history import point_of
from archon_ops.model.policy import Policy
from archon_ops.model.units import human_size
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.directory import load


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        label: why it is taken; part of the name.
        retention: keep the last N instead of what the settings say; None leaves it to them.
        exclude_schemas, exclude_tables: left out besides what the settings leave out.
        allow_empty: whether a database without Archon rows may be backed up.
    """

    label: str | None = None
    retention: int | None = None
    exclude_schemas: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()
    allow_empty: bool = False


@dataclass(frozen=True)
class Taken:
    """A backup that was taken.

    Attributes:
        path: where the dump lies.
        backup: what is known of it.
        seconds: duration of the whole run.
        pruned: what retention did afterwards.
        total: number of backups now.
    """

    path: Path
    backup: Backup
    seconds: float
    pruned: retention.Applied
    total: int


def plan(site: Site, request: Request) -> Readiness:
    """All checks of a backup, and nothing else.

    Raises:
        OpsError: a backup would not be possible.
    """
    dump_name(site.clock(), request.label)
    site.report.phase("backup.prerequisites", "Prerequisites Check")
    with site.server() as server:
        return check(
            site,
            server,
            request.exclude_schemas,
            request.exclude_tables,
            allow_empty=request.allow_empty,
        )


def backup(site: Site, request: Request) -> Taken:
    """Take a backup, prove it readable, and apply retention.

    Raises:
        OpsError: it could not be taken whole; then nothing bears a backup's name.
    """
    began = time.monotonic()
    policy = retention.policy(site, request.retention)
    dump_name(site.clock(), request.label)  # a bad label is told before anything else
    with recorded(site, "backup") as run, site.server() as server:
        run.site.report.phase("backup.prerequisites", "Prerequisites Check")
        sweep_server(run.site, server)
        ready = check(
            run.site,
            server,
            request.exclude_schemas,
            request.exclude_tables,
            allow_empty=request.allow_empty,
        )
        path, manifest = take(run, server, ready, request.label)
        run.details["backup"] = path.name
        remember(run.site, point_of(manifest))
        run.site.report.ok(f"Backup completed: {path} ({human_size(manifest.size_bytes)})")
        pruned = _retain(run.site, policy, path.name)
    total = len(site.directory.catalog().ordinary)
    return Taken(path, load(path), time.monotonic() - began, pruned, total)


def safety_backup(run: Recording, server: Server) -> Path:
    """Take a backup before something dangerous, into safety/; retention counts those apart.

    Raises:
        OpsError: it could not be taken whole.
    """
    run.site.directory.prepare_safety()
    ready = check(run.site, server, (), (), allow_empty=True)
    path, manifest = take(run, server, ready, None, safety=True)
    run.site.report.ok(f"Safety backup: {path} ({human_size(manifest.size_bytes)})")
    return path


def _retain(site: Site, policy: Policy, fresh: str) -> retention.Applied:
    site.report.phase("backup.retention", "Retention Policy Management")
    pruned = retention.retain(site, policy, just_read=fresh)
    site.report.info(f"Current backups: {pruned.before}")
    site.report.info(f"Retention limit: {policy.last}")
    if not pruned.removed:
        site.report.info("No cleanup needed (within retention limit)")
    for name in pruned.removed:
        site.report.ok(f"Removed {name}")
    return pruned
