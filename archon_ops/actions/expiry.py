"""What a restore kept for an undo goes when its time is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from archon_ops.actions.keeping import remember_kept
from archon_ops.actions.recording import Recording
from archon_ops.errors import OpsError
from archon_ops.model.units import human_size
from archon_ops.postgres import generations
from archon_ops.postgres.kept import Kept
from archon_ops.postgres.server import Server
from archon_ops.site import Site


def expired(kept: tuple[Kept, ...], kept_for: timedelta, now: datetime) -> tuple[Kept, ...]:
    """Those whose time is over."""
    return tuple(k for k in kept if now - k.kept_at > kept_for)


def due(site: Site) -> tuple[Kept, ...]:
    """What has expired; the server is asked only when a run noted that something has.

    A server that is away is warned of: nobody has to start it to get rid of old backups.
    """
    noted = next((r.details["kept"] for r in site.journal.records() if "kept" in r.details), None)
    expires = noted.get("expires_at") if isinstance(noted, dict) else None
    if expires is None or datetime.fromisoformat(str(expires)) >= site.clock():
        return ()
    try:
        with site.server() as server:
            kept = generations.generations(server, site.database)
    except OpsError as error:
        site.report.warn(f"what was kept for an undo cannot be looked at: {error.message}")
        return ()
    return expired(kept, site.settings.kept_for, site.clock())


def drop_due(run: Recording) -> None:
    """Drop what has expired."""
    if gone := due(run.site):
        run.site.report.phase("prune.kept", "Dropping what was kept for an undo")
        with run.site.server() as server:
            drop_kept(run.site, server, gone)
            remember_kept(run.site, run.details, server)


def drop_kept(site: Site, server: Server, kept: tuple[Kept, ...]) -> None:
    """Drop what is kept, and say so."""
    for one in kept:
        generations.drop(server, one)
        site.report.ok(f"dropped {one.name} ({human_size(one.size_bytes)}), kept for an undo")
