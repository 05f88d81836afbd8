"""Is a service well? Its container's healthcheck says so, else its own GET /health."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from dataclasses import dataclass

from archon_ops.errors import OpsError
from archon_ops.hosts.described import Container
from archon_ops.hosts.engine import Engine

_HTTP_SECONDS = 3.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Verdict:
    """How a service is.

    Attributes:
        name: of its container.
        well: whether it runs and answers.
        why: what was seen.
    """

    name: str
    well: bool
    why: str


def look(container: Container) -> Verdict:
    """How one service is at this moment."""
    if not container.running:
        return Verdict(container.name, False, f"is {container.status}")
    if container.health is not None:
        return Verdict(
            container.name, container.health == "healthy", f"healthcheck: {container.health}"
        )
    answers = [_ask(host, port) for host, port in _places(container)]
    if not answers:
        return Verdict(container.name, True, "runs; it has no healthcheck and exposes no port")
    good = next((text for well, text in answers if well), None)
    return Verdict(container.name, good is not None, good or answers[0][1])


def wait_until_well(engine: Engine, names: tuple[str, ...], seconds: float) -> tuple[Verdict, ...]:
    """Wait for all services of these names; the last verdict on each.

    Args:
        engine: where.
        names: of containers.
        seconds: for all of them together.
    """
    until = time.monotonic() + seconds
    while True:
        verdicts = tuple(_look_at(engine, name) for name in names)
        if all(v.well for v in verdicts) or time.monotonic() > until:
            return verdicts
        time.sleep(_POLL_SECONDS)


def _look_at(engine: Engine, name: str) -> Verdict:
    try:
        return look(engine.inspect(name))
    except OpsError as error:
        return Verdict(name, False, error.message)


def _places(container: Container) -> Iterator[tuple[str, int]]:
    """Where its ports can be reached from here: on its own address."""
    for port in container.ports:
        number, _, protocol = port.partition("/")
        if protocol == "tcp":
            for address in container.addresses.values():
                yield address, int(number)


def _ask(host: str, port: int) -> tuple[bool, str]:
    connection = http.client.HTTPConnection(host, port, timeout=_HTTP_SECONDS)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return False, f"GET http://{host}:{port}/health: {error}"
    finally:
        connection.close()
    return status == 200, f"GET http://{host}:{port}/health: {status}"
