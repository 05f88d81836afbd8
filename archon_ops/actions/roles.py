"""Roles that a backup names and a new server lacks: made so that they own, and cannot log in."""

from __future__ import annotations

from archon_ops.actions.recording import recorded
from archon_ops.postgres import attributes, databases
from archon_ops.postgres.sandbox import make_roles, missing_roles
from archon_ops.site import Site
from archon_ops.storage.reference import resolve


def missing(site: Site, reference: str) -> tuple[str, ...]:
    """Roles that the backup needs and the server does not have; none where it has no manifest.

    Args:
        site: whose server.
        reference: latest, a name, or a path.

    Raises:
        PreconditionError: the backup, or the server, is not there.
    """
    manifest = resolve(site.directory, reference).backup.manifest
    if manifest is None:
        return ()
    own = attributes.from_manifest(manifest.attributes)
    settings = own.settings if own else ()
    named = {*manifest.roles, *([own.owner] if own else []), *(s.role for s in settings if s.role)}
    with (
        site.server(create=site.source.kind == "embedded") as server,
        server.connect(databases.MAINTENANCE) as connection,
    ):
        return missing_roles(connection, tuple(sorted(named)))


def create(site: Site, names: tuple[str, ...]) -> None:
    """Make roles without login, as a run of its own."""
    with recorded(site, "restore") as run:
        run.details["roles"] = list(names)
        run.site.report.phase("restore.roles", "Creating Roles")
        with site.server() as server, server.connect(databases.MAINTENANCE) as connection:
            make_roles(connection, names)
