"""Archon's own containers again: stopped before a recovery, made by compose after it."""

from __future__ import annotations

from archon_ops.errors import PreconditionError
from archon_ops.services.health import Verdict, wait_until_well
from archon_ops.site import Site


def has_services(site: Site) -> bool:
    """Whether the source names containers of Archon's."""
    return bool(site.source.services or site.source.services_project)


def stop(site: Site) -> tuple[str, ...]:
    """Stop the services that run; their names."""
    services = site.services()
    running = tuple(c for c in services.existing() if c.running)
    services.stop(running, site.report)
    return tuple(container.name for container in running)


def recreate(site: Site) -> tuple[Verdict, ...]:
    """Make the services that are missing through compose, start all, wait until they are well.

    Returns:
        How each service is, those among them that do not exist even now.

    Raises:
        PreconditionError: none are configured, or compose or its file is missing.
        OpsError: compose failed.
    """
    if not has_services(site):
        raise PreconditionError(
            f"source {site.name} names no services", "sources.NAME.services in archon.toml"
        )
    services = site.services()
    if missing(site) or not services.existing():
        site.report.step("recovery.compose", "Making Archon's containers")
        site.archon_project.up()
    names = expected(site)
    # What exists is started as it is: that takes no compose file.
    for container in services.existing():
        if not container.running:
            site.engine.start(container.id)
    site.report.step("recovery.health", f"Waiting for {', '.join(names)}")
    verdicts = wait_until_well(site.engine, names, site.settings.deadlines.well)
    for verdict in verdicts:
        (site.report.ok if verdict.well else site.report.warn)(f"{verdict.name}: {verdict.why}")
    return verdicts


def missing(site: Site) -> tuple[str, ...]:
    """Services that are named and whose containers do not exist."""
    there = {container.name for container in site.services().existing()}
    return tuple(name for name in site.source.services if name not in there)


def expected(site: Site) -> tuple[str, ...]:
    """Every service that is named, or belongs to the project."""
    project = (c.name for c in site.services().existing())
    return tuple(dict.fromkeys((*site.source.services, *project)))
