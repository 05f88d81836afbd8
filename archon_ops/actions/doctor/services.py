"""Archon's own containers: they exist, run, hold nothing of their own, and see the backups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from archon_ops.actions.doctor.surroundings import Service, Surroundings
from archon_ops.hosts.described import Container
from archon_ops.model.diagnosis import Check, Finding, shell

BACKUPS_INSIDE = "/app/backups"
_SERVER = "archon-server"


def judge(seen: Surroundings, backups: Path, up: str, again: str) -> Iterator[Finding]:
    """All findings on the services.

    Args:
        seen: what the engine told.
        backups: the backup directory.
        up: the command that makes those that are missing.
        again: the command that makes all of them again, as the compose file has them now.
    """
    if not seen.engine:
        return
    if mistaken := database_among(seen):
        yield mistaken
    for service in seen.services:
        yield from state(service, up)
    containers = seen.service_containers
    if containers:
        yield mounts(containers)
    if server := server_of(containers):
        yield backups_mount(server, backups, again)


def server_of(containers: tuple[Container, ...]) -> Container | None:
    """The container that answers the API."""
    return next((c for c in containers if c.name == _SERVER), None) or next(
        (c for c in containers if "server" in c.name), None
    )


def database_among(seen: Surroundings) -> Finding | None:
    """A restore would stop the database that it restores into."""
    check = Check("services.list", "a restore is refused", "services in archon.toml")
    ids = {c.id for c in seen.service_containers}
    wrong = next((c for c in seen.database if c.id in ids), None)
    if wrong is None:
        return None
    return check.problem(
        f"the database's container {wrong.name} is in the list of services",
        "services are stopped around a restore, and the database has to run",
        f"take {wrong.name} out of `services` in archon.toml",
    )


def state(service: Service, up: str) -> Iterator[Finding]:
    """Whether a service exists, runs and is well."""
    check = Check(
        "services",
        "Archon does not answer, or only in parts",
        shell("docker", "ps", "--all", "--filter", f"name={service.name}"),
    )
    if not service.containers:
        yield check.problem(
            f"container {service.name} does not exist",
            "it was removed, or never made; its data is in the database and not lost",
            up,
        )
    for container, verdict in zip(service.containers, service.verdicts, strict=True):
        if verdict.well:
            yield check.ok(f"{container.name}: {verdict.why}")
        elif container.running:
            yield check.warning(
                f"{container.name} is not well: {verdict.why}",
                "it is starting up, or cannot reach what it needs",
                shell("docker", "logs", "--tail", 50, container.name),
            )
        else:
            yield check.warning(
                f"{container.name} {verdict.why}",
                "somebody stopped it, or it ended by itself",
                shell("docker", "start", container.name),
            )


def mounts(containers: tuple[Container, ...]) -> Finding:
    """The claim that Archon's containers hold nothing: bind mounts of the host's files only."""
    check = Check(
        "services.mounts",
        "files are missing after the containers were made again",
        shell("docker", "inspect", "--format", "{{json .Mounts}}", *(c.name for c in containers)),
    )
    volumes = [
        f"{c.name}:{m.get('Destination')} ({str(m.get('Name') or '?')[:20]})"
        for c in containers
        for m in c.mounts
        if m.get("Type") == "volume"
    ]
    if not volumes:
        return check.ok(f"{len(containers)} containers, bind mounts only: nothing to back up")
    first = next(c for c in containers if any(m.get("Type") == "volume" for m in c.mounts))
    place = next(m["Destination"] for m in first.mounts if m.get("Type") == "volume")
    return check.warning(
        f"Docker volumes that no backup holds: {', '.join(volumes)}",
        "the compose file or the image declares a volume",
        f"see what lies there: {shell('docker', 'exec', first.name, 'ls', '-la', place)}; "
        "what matters goes to a bind mount, or into a backup of its own",
    )


def backups_mount(server: Container, backups: Path, again: str) -> Finding:
    """Whether archon-server sees the backups, read-only."""
    check = Check(
        "api.mount",
        "GET /api/backup/status answers 404, or shows other backups",
        shell("docker", "inspect", "--format", "{{json .Mounts}}", server.name),
    )
    mount = _mount_at(server, BACKUPS_INSIDE)
    line = f"- ./{backups.name}:{BACKUPS_INSIDE}:ro"
    if mount is None:
        return check.warning(
            f"{server.name} has no mount at {BACKUPS_INSIDE}",
            f"the compose file lacks the line `{line}`",
            f"add `{line}` under volumes of {server.name} in its compose file; then: {again}",
        )
    source = str(mount.get("Source", ""))
    if not _same(source, backups):
        return check.warning(
            f"{server.name} sees {source}, and the backups are in {backups}",
            "the compose file mounts another folder than the one that backups are written to",
            f"mount {backups}:{BACKUPS_INSIDE}:ro in its compose file; then: {again}",
        )
    if mount.get("RW", False):
        return check.note(
            f"{server.name} could write to the backups",
            f"the mount at {BACKUPS_INSIDE} is not read-only",
            f"end its line with :ro in its compose file; then: {again}",
        )
    return check.ok(f"{source} is mounted read-only at {BACKUPS_INSIDE}")


def _mount_at(container: Container, place: str) -> Mapping[str, Any] | None:
    return next((m for m in container.mounts if m.get("Destination") == place), None)


def _same(source: str, backups: Path) -> bool:
    return Path(source) == backups or Path(source).resolve() == backups.resolve()
