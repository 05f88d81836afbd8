"""The stand-ins of services listen, fall ill and stop as asked, also under docker-compose."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from docker.models.containers import Container

from tests.docker import services
from tests.docker import supabase as supabase_shape
from tests.docker.compose import Projects
from tests.support import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("names")]


def test_services_answer_and_mount_only_folders(archon_stack: dict[str, Container]) -> None:
    assert list(archon_stack) == ["archon-server", "archon-mcp", "archon-ui"]
    for name, container in archon_stack.items():
        assert container.name == name
        status, body = services.get(container)
        assert (status, json.loads(body)) == (200, {"status": "healthy"})
        assert {mount["Type"] for mount in container.attrs["Mounts"]} <= {"bind"}
        assert "migration applied" in container.logs().decode()
    server = archon_stack["archon-server"]
    backups = [m for m in server.attrs["Mounts"] if m["Destination"] == "/app/backups"]
    assert [mount["RW"] for mount in backups] == [False]
    assert services.get(server, "/api/backup/status")[0] == 200
    assert services.get(archon_stack["archon-mcp"], "/api/backup/status")[0] == 404


def test_services_can_be_ill(service_container: Callable[..., Container]) -> None:
    late = service_container("archon-server", env={"HEALTHY_AFTER": "2"})
    never = service_container("archon-mcp", env={"NEVER_HEALTHY": "1"})
    unchecked = service_container("archon-ui", healthcheck=False)

    wait_until(lambda: services.get(never)[0] == 404, 30, "it listens, and is not healthy")
    wait_until(lambda: services.health(never) == "unhealthy", 30, "unhealthy")
    services.wait_healthy(late)
    assert services.get(late)[0] == 200
    assert services.health(unchecked) == "none"
    wait_until(lambda: services.get(unchecked)[0] == 200, 30, "it answers")


def test_a_service_stops_when_asked_unless_it_is_stubborn(
    service_container: Callable[..., Container],
) -> None:
    polite = service_container("archon-server")
    stubborn = service_container("archon-mcp", env={"IGNORE_TERM": "1"})
    services.wait_healthy(polite, stubborn)

    polite.stop(timeout=30)
    stubborn.stop(timeout=1)

    assert polite.wait()["StatusCode"] == 0
    assert stubborn.wait()["StatusCode"] == 137
    stubborn.start()
    services.wait_healthy(stubborn)


def test_compose_brings_both_projects_up(compose_projects: Projects) -> None:
    projects = compose_projects
    projects.up(projects.local_ai)
    projects.up(projects.archon)
    database = projects.database()
    shaped = supabase_shape.shape(database)

    for name in services.SERVICES:
        container = projects.container(name)
        services.wait_healthy(container)
        assert container.labels["com.docker.compose.project"] == "archon"
        assert {mount["Type"] for mount in container.attrs["Mounts"]} <= {"bind"}
    kong = projects.container("supabase-ai-kong")
    assert kong.labels["com.docker.compose.project"] == "local-ai-packaged"
    assert database.exec("cat", "/proc/1/comm").stdout.strip() == "postgres"
    assert int(shaped.psql("SELECT count(*) FROM archon_tasks")) == shaped.rows["archon_tasks"]


def test_compose_makes_a_deleted_container_and_image_again(compose_projects: Projects) -> None:
    projects = compose_projects
    projects.up(projects.archon, "archon-server")
    server = projects.container("archon-server")
    image = server.image

    server.remove(force=True)
    projects.engine.client.images.remove(image.id, force=True)
    projects.up(projects.archon, "archon-server")

    services.wait_healthy(projects.container("archon-server"))
