"""What is kept for an undo, written down where it can be read without the server."""

from __future__ import annotations

from archon_ops.postgres.generations import generations
from archon_ops.postgres.server import Server
from archon_ops.site import Site


def remember_kept(site: Site, details: dict[str, object], server: Server) -> None:
    """Write down what is kept for an undo, so that status can tell without the server.

    Args:
        site: of the source.
        details: of the run that has changed it.
        server: the source's.
    """
    kept = generations(server, site.database)
    details["kept"] = None
    if kept:
        details["kept"] = {
            "name": kept[0].name,
            "size_bytes": sum(one.size_bytes for one in kept),
            "count": len(kept),
            "expires_at": (kept[-1].kept_at + site.settings.kept_for).isoformat(),
        }
