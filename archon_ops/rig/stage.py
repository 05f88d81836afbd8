"""A throwaway installation of the source's own kind, as a site: for drills, and gone after them.

Actions work on it as on the real one, because they cannot tell it apart: it has a server, a backup
directory, and where the source has containers also two compose projects. What is in no backup
(services, the network's other inhabitants) is copied from the images that run now.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from archon_ops.errors import PreconditionError
from archon_ops.model.backup import Manifest
from archon_ops.postgres import sandbox
from archon_ops.postgres.cluster import Cluster
from archon_ops.settings import SourceSettings
from archon_ops.site import Site
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.directory import Directory
from archon_ops.storage.folders import ensure_folder

NAME = "sandbox"
_DATABASE = "db"


@dataclass(frozen=True)
class Stage:
    """A throwaway installation.

    Attributes:
        site: it, as actions see it.
        folder: where its files lie.
        not_covered: what of the source it cannot stand for, one line each.
    """

    site: Site
    folder: Path
    not_covered: tuple[str, ...]


@contextlib.contextmanager
def staged(source: Site, manifest: Manifest) -> Iterator[Stage]:
    """An empty installation for the length of the block; nothing of it is left.

    Args:
        source: whose kind it is of; only read.
        manifest: of the backup that will go in; says which PostgreSQL it needs.

    Raises:
        PreconditionError: there is nothing to make it of.
    """
    place = source.settings.state / "sandboxes"
    for folder in (source.settings.state, place):
        ensure_folder(folder)
    with sandbox.placed(place, run_id=source.run_id) as folder:
        make = _containers if source.source.kind == "container" else _cluster
        with make(source, folder, manifest) as stage:
            yield stage


@contextlib.contextmanager
def _cluster(source: Site, folder: Path, manifest: Manifest) -> Iterator[Stage]:
    tools = sandbox.sandbox_tools(source.source.kind, manifest.server.major)
    cluster = Cluster(tools, folder / "cluster", durable=False, settings=sandbox.QUIET)
    alone = {"kind": "embedded", "services": (), "services_project": ""}
    settings = source.source.model_copy(update={**alone, **_plain(source, folder)})
    site = replace(_site(source, folder, settings), own_cluster=cluster)
    try:
        cluster.create()
        yield Stage(site, folder, (_no_containers(source),))
    finally:
        cluster.remove()


@contextlib.contextmanager
def _containers(source: Site, folder: Path, _: Manifest) -> Iterator[Stage]:
    from archon_ops.postgres import container_sandbox
    from archon_ops.rig import copies

    engine, name = source.engine, f"archon_sandbox-{source.run_id.lower()}"
    found = engine.find(source.source.container)
    if not found:
        raise PreconditionError(
            f"container {source.source.container} does not exist, so there is no image to make "
            "a sandbox of",
            "docker compose up -d in the project that holds the database",
        )
    marked = {container_sandbox.LABEL: source.run_id}
    database = copies.of_database(found[0], f"{name}-{_DATABASE}", secrets.token_urlsafe(24))
    beside = [
        copies.of_service(c, f"{name}-{c.name}")
        for other in source.source.database_services
        for c in engine.find(other)
        if c.id != found[0].id
    ]
    services = [copies.of_service(c, f"{name}-{c.name}") for c in source.services().existing()]
    projects = {"infrastructure": [database, *beside], "archon": services}
    for project, members in projects.items():
        copies.write(folder / f"{name}-{project}", members, marked)
    settings = source.source.model_copy(
        update={
            "container": database.name,
            "user": "",
            "password": SecretStr(""),
            "services": tuple(service.name for service in services),
            "services_project": "",
            "archon_compose": folder / f"{name}-archon",
            "database_compose": folder / f"{name}-infrastructure",
            "database_services": (),
            **_plain(source, folder),
        }
    )
    try:
        yield Stage(_site(source, folder, settings), folder, _unlike(source, bool(services)))
    finally:
        container_sandbox.remove(engine, source.run_id)


def _plain(source: Site, folder: Path) -> dict[str, object]:
    """What is the same for all kinds: where things lie, and no way to the real Archon."""
    home = folder / "archon"
    home.mkdir(mode=0o700)
    # Its key is in a password manager, which no disaster reaches: a restore is proven with it.
    with contextlib.suppress(FileNotFoundError):
        data = (source.settings.home(source.name) / ".env").read_bytes()
        write_atomic(home / ".env", data, source.run_id)
    return {
        "database": source.database,
        "backup_dir": folder / "backups",
        "archon_home": home,
        "archon_url": "",
        "display_name": f"sandbox of {source.display_name}",
    }


def _site(source: Site, folder: Path, settings: SourceSettings) -> Site:
    root = folder / "root"
    keys = root / ".archon" / "keys"
    for made in (root, keys.parent, keys):
        made.mkdir(mode=0o700)
    for key in source.keys.known():  # whoever signed the backup is known there too
        write_atomic(keys / f"{key.fingerprint}.pub.pem", key.pem, source.run_id)
    changed = source.settings.model_copy(
        update={"root": root, "source": NAME, "sources": {NAME: settings}}
    )
    backups = Directory(folder / "backups")
    site = replace(source, name=NAME, settings=changed, directory=backups, own_cluster=None)
    return site.for_next_run()


def _no_containers(source: Site) -> str:
    if source.source.services or source.source.services_project:
        return f"Archon's services: a sandbox of kind {source.source.kind} has no containers"
    return "Archon's services: the source names none"


def _unlike(source: Site, has_services: bool) -> tuple[str, ...]:
    if not has_services:
        named = ", ".join(source.source.services) or "none are configured"
        return (f"Archon's services: none of their containers exists ({named})",)
    return (
        "Archon's own compose file: its containers' names are taken by the real ones, so the "
        "sandbox makes its containers from the same images by a compose file of its own, on a "
        "network that leads nowhere",
    )
