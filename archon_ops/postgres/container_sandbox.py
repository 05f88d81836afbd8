"""A throwaway container of the source's own image, on a network that leads nowhere."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts.engine import Engine
from archon_ops.model.report import Silent
from archon_ops.postgres import container as containers
from archon_ops.postgres import databases
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import scalar

LABEL = "archon_ops.sandbox"
_READY_SECONDS = 120.0
_POLL_SECONDS = 0.3
SHARED_BYTES = 512 << 20
PASSED_ON = ("PGDATA", "POSTGRES_INITDB_ARGS", "LANG")


@contextlib.contextmanager
def sandbox(
    engine: Engine,
    source: str,
    *,
    run_id: str,
    connect_seconds: float,
    answer_seconds: float,
    lock_seconds: float,
) -> Iterator[Server]:
    """A fresh server of the same image as the source's, for the length of the block.

    Args:
        engine: where.
        source: name of the source's container, running or not.
        run_id: names every session, the container and the network.
        connect_seconds: how long a connection may take.
        answer_seconds: how long an answer may take.
        lock_seconds: how long a lock may take.

    Raises:
        PreconditionError: the source's container, and so its image, does not exist.
    """
    found = engine.find(source)
    if not found:
        raise PreconditionError(
            f"container {source} does not exist, so there is no image to make a sandbox of",
            "docker compose up -d in the project that holds the database",
        )
    name = f"archon_sandbox-{run_id}"
    labels = {LABEL: run_id}
    env = {k: v for k, v in found[0].environment.items() if k in PASSED_ON}
    try:
        network = engine.create_network(name, labels)
        made = engine.create(
            found[0].image,
            name,
            env={**env, "POSTGRES_PASSWORD": secrets.token_urlsafe(24)},
            labels=labels,
            network=network,
            shm_bytes=SHARED_BYTES,
        )
        engine.start(made)

        def open_server() -> AbstractContextManager[Server]:
            return containers.opened(
                engine,
                containers.locate(engine, name),
                user="",
                password="",
                run_id=run_id,
                connect_seconds=connect_seconds,
                answer_seconds=answer_seconds,
                lock_seconds=lock_seconds,
                report=Silent(),
            )

        wait_until_ready(open_server)
        with open_server() as server:
            yield server
    finally:
        remove(engine, run_id)


def remove(engine: Engine, run_id: str) -> int:
    """Remove the sandboxes of a run; how many there were."""
    label = f"{LABEL}={run_id}"
    found = engine.containers(label=label)
    for container in found:
        engine.remove(container.id)
    engine.remove_networks(label)
    return len(found)


def owners(engine: Engine) -> frozenset[str]:
    """The runs whose sandboxes exist."""
    return frozenset(container.labels[LABEL] for container in engine.containers(label=LABEL))


def wait_until_ready(
    open_server: Callable[[], AbstractContextManager[Server]],
    given_up: Callable[[], str] = lambda: "",
) -> None:
    """Wait until the server answers twice with the same start time.

    Entrypoints of images start a server to initialise, stop it, and start the real one.

    Args:
        open_server: opens the server once.
        given_up: why it never will; empty as long as it may.

    Raises:
        OpsError: it did not in time, or never will.
    """
    until = time.monotonic() + _READY_SECONDS
    before = None
    while True:
        try:
            with open_server() as server:
                started = _started_at(server)
        except OpsError as error:
            if why := given_up():
                raise OpsError(f"the server does not start: {why}") from error
            if time.monotonic() > until:
                raise OpsError(
                    f"the server did not start: {error.message}", "docker logs of its container"
                ) from error
            started = None
        if started is not None and started == before:
            return
        before = started
        time.sleep(_POLL_SECONDS)


def _started_at(server: Server) -> str:
    with server.connect(databases.MAINTENANCE) as connection:
        return str(scalar(connection, "SELECT pg_catalog.pg_postmaster_start_time()"))
