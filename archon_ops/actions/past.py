"""How large a source's database was when, as its backup directory tells it."""

from __future__ import annotations

from dataclasses import replace

from archon_ops.errors import OpsError
from archon_ops.model.history import History, Point, history, point_of
from archon_ops.site import Site
from archon_ops.storage import points


def read_history(site: Site, identity: tuple[str, str] | None = None) -> History:
    """All that manifests and kept points tell of a database's sizes.

    Args:
        site: the source.
        identity: system identifier and name of the database; None for that of the newest point.
    """
    manifests = (b.manifest for b in site.directory.list() if b.manifest is not None)
    kept, damaged = points.read(site.directory)
    found = history((*kept, *map(point_of, manifests)), site.clock(), identity)
    if not damaged:
        return found
    note = f"{damaged} lines of {points.points_path(site.directory)} cannot be read"
    return replace(found, notes=(*found.notes, note))


def remember(site: Site, point: Point) -> None:
    """Keep a backup's sizes beyond its retention; with the directory's lock held.

    The backup is more than this line: where it cannot be written, that is said and no more.
    """
    try:
        points.append(site.directory, point)
    except OpsError as error:
        site.report.warn(f"the sizes are not kept for the growth curve: {error.message}")
