"""Stand-ins for Archon's services: each really listens, and is as well or ill as a test wants."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from tests.docker.engine import Engine
from tests.support import wait_until

# Service -> port that it listens on.
SERVICES = {"archon-server": 8181, "archon-mcp": 8051, "archon-ui": 3737}
# Service -> folder of Archon's checkout -> where the container sees it. They are made if missing.
MOUNTS = {
    "archon-server": {
        "migration": "/app/migration",
        "backups": "/app/backups:ro",
        "Projects": "/app/projects:ro",
        "python/src": "/app/src",
        "python/tests": "/app/tests",
    },
    "archon-mcp": {},
    "archon-ui": {
        "archon-ui-main/src": "/app/src",
        "archon-ui-main/public": "/app/public",
    },
}
_SECOND = 1_000_000_000
_ANSWER_SECONDS = 60
_PROBE = "wget -q -O /dev/null http://127.0.0.1:$PORT/health"


def start(
    engine: Engine,
    image: str,
    name: str,
    *,
    home: Path | None = None,
    env: dict[str, str] | None = None,
    healthcheck: bool = True,
    **options: Any,
) -> Container:
    """Start one service; it may still be starting when this returns.

    Args:
        engine: where.
        image: reference of the stand-in's image.
        name: of the container; one of Archon's names decides on port and mounts.
        home: Archon's checkout, for bind mounts; None leaves them out.
        env: HEALTHY_AFTER, NEVER_HEALTHY, IGNORE_TERM (files/service.sh) and whatever else.
        healthcheck: whether the container has one.
        options: anything else that the docker SDK's `run` takes.
    """
    return engine.run(
        image,
        name=name,
        environment={"PORT": str(SERVICES.get(name, 8181)), **(env or {})},
        volumes=_volumes(name, home) if home else [],
        **({"healthcheck": _healthcheck()} if healthcheck else {}),
        **options,
    )


def health(container: Container) -> str:
    """What the engine's healthcheck says: starting, healthy, unhealthy; "none" without one."""
    container.reload()
    return str(container.attrs["State"].get("Health", {}).get("Status", "none"))


def wait_healthy(*containers: Container, timeout: float = 30) -> None:
    """Wait until the engine calls all of them healthy."""
    for container in containers:
        wait_until(
            lambda it=container: health(it) == "healthy", timeout, f"{container.name} is healthy"
        )


def get(container: Container, path: str = "/health") -> tuple[int, bytes]:
    """Status and body of an answer from the container's own address; 0 if nobody listens."""
    container.reload()
    networks = container.attrs["NetworkSettings"]["Networks"].values()
    address = next((n["IPAddress"] for n in networks if n["IPAddress"]), "")
    port = dict(pair.split("=", 1) for pair in container.attrs["Config"]["Env"])["PORT"]
    try:
        url = f"http://{address}:{port}{path}"
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def _volumes(name: str, home: Path) -> list[str]:
    found = []
    for folder, inside in MOUNTS.get(name, {}).items():
        (home / folder).mkdir(parents=True, exist_ok=True)
        found.append(f"{home / folder}:{inside}")
    return found


def _healthcheck() -> dict[str, Any]:
    return {
        "test": ["CMD-SHELL", _PROBE],
        "interval": _SECOND // 2,
        "timeout": 60 * _SECOND,
        "retries": 3,
    }
