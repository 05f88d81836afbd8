"""Copies of running containers as a compose project of their own, cut off from everything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archon_ops.hosts.described import Container
from archon_ops.postgres.container_sandbox import PASSED_ON, SHARED_BYTES
from archon_ops.storage.atomic import write_atomic

FILE = "docker-compose.yml"
_MILLISECOND = 1_000_000


@dataclass(frozen=True)
class Copy:
    """A container to be made.

    Attributes:
        name: of the container.
        body: what a compose file says of it.
    """

    name: str
    body: Mapping[str, Any]


def of_database(container: Container, name: str, password: str) -> Copy:
    """An empty server of the same image; of the environment only what decides on its files.

    Args:
        container: the real one.
        name: of the copy.
        password: of the copy's superuser.
    """
    kept = {key: value for key, value in container.environment.items() if key in PASSED_ON}
    body = {
        "image": container.image,
        "environment": {**kept, "POSTGRES_PASSWORD": password},
        "stop_signal": "SIGINT",
        "shm_size": SHARED_BYTES,
    }
    return Copy(name, body)


def of_service(container: Container, name: str) -> Copy:
    """The same image, program, environment and files; files of the host are read-only for it."""
    body: dict[str, Any] = {
        "image": container.image,
        "environment": dict(container.environment),
        "volumes": [_read_only(m) for m in container.mounts if m.get("Type") == "bind"],
    }
    if container.entrypoint is not None:
        body["entrypoint"] = list(container.entrypoint)
    if container.command is not None:
        body["command"] = list(container.command)
    if check := _healthcheck(container.healthcheck):
        body["healthcheck"] = check
    return Copy(name, body)


def write(folder: Path, copies: Sequence[Copy], labels: Mapping[str, str]) -> None:
    """Write a compose file, 0600: it holds what the containers' environment holds.

    Args:
        folder: made; its name becomes the project's.
        copies: the containers.
        labels: of all that the project makes.
    """
    folder.mkdir(mode=0o700)
    services = {
        copy.name: {"container_name": copy.name, "labels": dict(labels), **copy.body}
        for copy in copies
    }
    network = {"default": {"internal": True, "labels": dict(labels)}}
    text = json.dumps({"services": _literal(services), "networks": network}, indent=1)
    write_atomic(folder / FILE, text.encode(), "compose")


def _read_only(mount: Mapping[str, Any]) -> str:
    return f"{mount['Source']}:{mount['Destination']}:ro"


def _healthcheck(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not check or not check.get("Test"):
        return None
    times = {"Interval": "interval", "Timeout": "timeout", "StartPeriod": "start_period"}
    found: dict[str, Any] = {"test": list(check["Test"])}
    for theirs, ours in times.items():
        if nanoseconds := check.get(theirs):
            found[ours] = f"{nanoseconds // _MILLISECOND}ms"
    if retries := check.get("Retries"):
        found["retries"] = retries
    return found


def _literal(value: Any) -> Any:
    """Compose would take every $ for a variable."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _literal(inner) for key, inner in value.items()}
    return [_literal(inner) for inner in value] if isinstance(value, list) else value
