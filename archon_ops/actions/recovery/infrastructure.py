"""A server for the database again: its container through compose, or a cluster of our own."""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.actions.examining import reading_tools
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.backup import Manifest
from archon_ops.model.report import Silent
from archon_ops.postgres import databases
from archon_ops.postgres.sandbox import make_roles, make_superusers, missing_roles
from archon_ops.postgres.toc import read_contents
from archon_ops.site import Site
from archon_ops.storage.reference import Located


@dataclass(frozen=True)
class BroughtUp:
    """A server that answers.

    Attributes:
        made: whether it had to be made or started.
        how: what was done, for a person.
    """

    made: bool
    how: str


def bring_up(site: Site) -> BroughtUp:
    """Make the source's server again where it is gone, and wait until it answers.

    Raises:
        PreconditionError: it is somebody else's to bring up, or compose or its file is missing.
        OpsError: it did not come up in time.
    """
    kind = site.source.kind
    if kind == "container":
        return _container(site)
    if kind == "embedded":
        return _cluster(site)
    return _foreign(site)


def roles_again(site: Site, manifest: Manifest) -> tuple[str, ...]:
    """Make the roles that the backup names and a new server lacks; nobody can log in as them.

    Returns:
        Their names; passwords and memberships are in no backup and stay a person's task.
    """
    with site.server() as server, server.connect(databases.MAINTENANCE) as connection:
        lacking = missing_roles(connection, manifest.roles)
        make_roles(connection, lacking)
    return lacking


def trigger_owners_again(site: Site, located: Located, manifest: Manifest) -> None:
    """Give the owners of event triggers all rights, which they must have; in a sandbox only.

    Where the real server is made again, its own image makes such roles.
    """
    contents = read_contents(reading_tools(site, manifest), located.path)
    owners = contents.trigger_owners(manifest.roles)
    with site.server() as server, server.connect(databases.MAINTENANCE) as connection:
        make_superusers(connection, owners)


def _container(site: Site) -> BroughtUp:
    from archon_ops.postgres.container_sandbox import wait_until_ready

    name = site.source.container
    running = any(c.running for c in site.engine.find(name))
    if not running:
        site.report.step("recovery.compose", "Bringing up the infrastructure's containers")
        site.database_project.up(*site.source.database_services)
    site.report.step("recovery.wait", "Waiting for PostgreSQL")
    wait_until_ready(site.reporting_to(Silent()).server)
    how = f"container {name} {'runs' if running else 'was made by compose'}, PostgreSQL answers"
    return BroughtUp(not running, how)


def _cluster(site: Site) -> BroughtUp:
    there = site.cluster.exists()
    with site.server(create=True) as server:
        version = server.programs.version
    how = "is there" if there else "was made anew"
    return BroughtUp(not there, f"the cluster {how}, PostgreSQL {version} answers")


def _foreign(site: Site) -> BroughtUp:
    try:
        with site.server() as server:
            return BroughtUp(False, f"PostgreSQL {server.programs.version} answers")
    except OpsError as error:
        raise PreconditionError(
            f"the server of source {site.name} does not answer, and is not ours to make: "
            f"{error.message}",
            "bring it up by its own means, then repeat this",
        ) from error
