"""Whether there is anything yet of which a state could be told; the state is monitor/snapshot's."""

from __future__ import annotations

from archon_ops.errors import PreconditionError
from archon_ops.site import Site


def require_made(site: Site) -> None:
    """Refuse to speak of an embedded source of which there is nothing yet.

    Raises:
        PreconditionError: neither its cluster nor its backup directory exists.
    """
    if site.source.kind != "embedded" or site.directory.path.exists() or site.cluster.exists():
        return
    hint = "inv demo" if site.name == "demo" else f"inv restore FILE --source {site.name}"
    raise PreconditionError(f"source {site.name} has not been made yet", hint)
