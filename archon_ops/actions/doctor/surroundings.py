"""What the Docker engine tells of the containers that a source lives with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from archon_ops.errors import OpsError
from archon_ops.hosts.described import Container, Network
from archon_ops.hosts.engine import Engine
from archon_ops.model.diagnosis import shell
from archon_ops.services.compose import Project
from archon_ops.services.health import Verdict, look
from archon_ops.site import Site

_PROJECT_LABEL = "com.docker.compose.project"
_PROGRAM_SECONDS = 5.0


@dataclass(frozen=True)
class Service:
    """A service as it is named in the settings, and what bears that name.

    Attributes:
        name: as configured.
        containers: those found; none where it does not exist.
        verdicts: how each of them is.
    """

    name: str
    containers: tuple[Container, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Surroundings:
    """Everything that the engine was asked.

    Attributes:
        engine: its version; empty when it does not answer, or was not asked.
        trouble: why it does not answer.
        hint: what to type then.
        database: containers that bear the name of the database's.
        first_program: name of the program with process id 1 in it; None where it is not known.
        services: those of Archon.
        networks: of all these containers.
    """

    engine: str = ""
    trouble: str = ""
    hint: str = ""
    database: tuple[Container, ...] = ()
    first_program: str | None = None
    services: tuple[Service, ...] = ()
    networks: tuple[Network, ...] = ()

    @property
    def service_containers(self) -> tuple[Container, ...]:
        """The containers of all services."""
        return tuple(c for service in self.services for c in service.containers)

    @property
    def containers(self) -> tuple[Container, ...]:
        """The database's container and those of the services, each once."""
        return tuple({c.id: c for c in (*self.database, *self.service_containers)}.values())


def concerns_engine(site: Site) -> bool:
    """Whether the source has anything to do with containers."""
    source = site.source
    return source.kind == "container" or bool(source.services or source.services_project)


def look_around(site: Site) -> Surroundings:
    """Ask the engine; that it does not answer is an answer too."""
    if not concerns_engine(site):
        return Surroundings()
    try:
        return _asked(site, site.engine)
    except OpsError as error:
        return Surroundings(trouble=error.message, hint=error.hint)


def up_command(project: Callable[[], Project], *words: str) -> str:
    """The command that makes a project's containers.

    Args:
        project: gives the project; where that, or its compose file, is missing, a person has to
            find the folder.
        words: services, or options.
    """
    try:
        return shell(*project().command("up", "-d", *words))
    except OpsError as error:
        return f"in its folder: {shell('docker', 'compose', 'up', '-d', *words)} ({error.hint})"


def _asked(site: Site, engine: Engine) -> Surroundings:
    source = site.source
    database = engine.find(source.container) if source.kind == "container" else ()
    services = tuple(_service(engine, name) for name in source.services)
    if source.services_project:
        services = (*services, _project_services(engine, source.services_project, services))
    found = Surroundings(engine.version, "", "", database, None, services)
    names = {name for c in found.containers for name in c.addresses}
    networks = (_network(engine, name) for name in sorted(names))
    return Surroundings(
        found.engine,
        "",
        "",
        database,
        _first_program(engine, database),
        services,
        tuple(network for network in networks if network),
    )


def _service(engine: Engine, name: str) -> Service:
    containers = engine.find(name)
    return Service(name, containers, tuple(map(look, containers)))


def _project_services(engine: Engine, project: str, named: tuple[Service, ...]) -> Service:
    """Containers of a compose project that are not configured by name."""
    known = {c.id for service in named for c in service.containers}
    all_of_it = engine.containers(label=f"{_PROJECT_LABEL}={project}")
    containers = tuple(c for c in all_of_it if c.id not in known)
    return Service(f"project {project}", containers, tuple(map(look, containers)))


def _first_program(engine: Engine, database: tuple[Container, ...]) -> str | None:
    """PID 1 is a namespace's init: an image may bring one without the engine knowing."""
    if len(database) != 1 or not database[0].running:
        return None
    with contextlib.suppress(OpsError):
        done = engine.run(database[0].id, ("cat", "/proc/1/comm"), timeout=_PROGRAM_SECONDS)
        if done.returncode == 0:
            return done.stdout.strip()
    return None


def _network(engine: Engine, name: str) -> Network | None:
    try:
        return engine.network(name)
    except OpsError:  # removed since; its container is listed all the same
        return None
