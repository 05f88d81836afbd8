"""A PostgreSQL in a container: which one, and the first road on which our sessions reach it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from archon_ops.errors import PreconditionError
from archon_ops.hosts.described import Container
from archon_ops.hosts.engine import Engine
from archon_ops.model.report import Report
from archon_ops.postgres import databases, session
from archon_ops.postgres.container_programs import ContainerPrograms, find_programs
from archon_ops.postgres.relay import relay
from archon_ops.postgres.server import Server

PORT = 5432


def locate(engine: Engine, name: str) -> Container:
    """The one running container of a name or label.

    Raises:
        PreconditionError: there is none, several, or it does not run; names it and what to type.
    """
    found = engine.find(name)
    if not found:
        raise PreconditionError(
            f"container {name} does not exist",
            "docker compose up -d in the project that holds the database",
        )
    if len(found) > 1:
        names = ", ".join(c.name for c in found)
        raise PreconditionError(
            f"{len(found)} containers match {name}: {names}",
            'name one of them: container = "NAME" in archon.toml',
        )
    container = found[0]
    if container.status == "restarting":
        raise PreconditionError(
            f"container {name} restarts again and again ({container.restarts} times)",
            f"docker logs {container.name}",
        )
    if not container.running:
        raise PreconditionError(
            f"container {name} is {container.status}", f"docker start {container.name}"
        )
    return container


@contextlib.contextmanager
def opened(
    engine: Engine,
    container: Container,
    *,
    user: str,
    password: str,
    run_id: str,
    connect_seconds: float,
    answer_seconds: float,
    lock_seconds: float,
    report: Report,
) -> Iterator[Server]:
    """The server in a container that runs.

    Args:
        engine: where.
        container: which.
        user: role; empty: the container's POSTGRES_USER, else postgres.
        password: empty: the container's own POSTGRES_PASSWORD.
        run_id: names every session.
        connect_seconds: how long a connection may take.
        answer_seconds: how long an answer may take.
        lock_seconds: how long a lock may take.
        report: is told when only the slow road is left.

    Raises:
        PreconditionError: it has no tools that we know, or cannot be reached.
    """
    role = user or container.environment.get("POSTGRES_USER") or "postgres"
    word = password or container.environment.get("POSTGRES_PASSWORD") or ""
    port = int(container.environment.get("PGPORT") or PORT)
    folder, version = find_programs(engine, container)
    with _road(engine, container, role, word, port, run_id, connect_seconds, report) as road:
        address, secret = road

        def cancel(application: str) -> None:
            with server.connect(databases.MAINTENANCE) as connection:
                databases.end_sessions_named(connection, (application,))

        server = Server(
            kind="container",
            host=container.name,
            address={**address, "user": role},
            programs=ContainerPrograms(container, engine, role, folder, version, cancel),
            run_id=run_id,
            connect_seconds=connect_seconds,
            secret=secret,
            answer_seconds=answer_seconds,
            lock_seconds=lock_seconds,
        )
        yield server


@contextlib.contextmanager
def _road(
    engine: Engine,
    container: Container,
    user: str,
    password: str,
    port: int,
    run_id: str,
    seconds: float,
    report: Report,
) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Address and secret of the first road that leads to the server."""
    why = "no password is known"
    secret = {"password": password} if password else {}
    for address in _addresses(container, port) if password else ():
        info = {
            **address,
            **secret,
            "user": user,
            "dbname": databases.MAINTENANCE,
            "application_name": session.application_name(run_id),
        }
        try:
            with session.session(info, timeout=seconds):
                pass
        except PreconditionError as error:
            why = error.message
        else:
            yield address, secret
            return
    report.warn(f"connecting through docker exec alone, which is slower: {why}")
    with relay(engine, container.id, port) as address:
        yield address, {}


def _addresses(container: Container, port: int) -> Iterator[dict[str, str]]:
    for host, published in container.ports.get(f"{port}/tcp", ()):
        local = {
            "0.0.0.0": "127.0.0.1",  # noqa: S104 - read here, not bound to
            "": "127.0.0.1",
            "::": "::1",
        }.get(host, host)
        yield {"host": local, "port": str(published)}
    for address in container.addresses.values():
        yield {"host": address, "port": str(port)}
