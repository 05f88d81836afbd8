"""The doctor on a real engine: what is missing is named, with a command that really mends it."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container
from docker.types import Mount

from tests.docker import services, supabase
from tests.docker.compose import Projects
from tests.docker.database import Database
from tests.docker.services import SERVICES
from tests.support import Completed, Installation

pytestmark = pytest.mark.slow
QUICK_SECONDS = 120  # the engine's own patience would be some minutes
Start = Callable[..., Container]


def _findings(done: Completed) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in done.json["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return found


def _worst(done: Completed, check: str) -> dict[str, Any]:
    return _findings(done)[check][0]


def _port(server: Container) -> str:
    """The published port of archon-server."""
    server.reload()
    return str(server.ports["8181/tcp"][0]["HostPort"])


def _type(command: str) -> None:
    """Run a command that the doctor gave, as a person would."""
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@dataclass(frozen=True)
class Ward:
    """An installation whose source is `archon`, and the two compose projects that it lives with."""

    installation: Installation
    archon: Path
    local_ai: Path

    def configure(self, url: str = "", excluded: str = "") -> None:
        (self.installation.root / "archon.toml").write_text(
            f"""[deadlines]
connect = 5
[sources.archon]
backup_dir = "{self.archon / "backups"}"
archon_home = "{self.archon}"
archon_compose = "{self.archon}"
database_compose = "{self.local_ai}"
archon_url = "{url}"
exclude_schemas = [{f'"{excluded}"' if excluded else ""}]
"""
        )

    def run(self, *args: str, **env: str) -> Completed:
        return self.installation.run(*args, env={"ARCHON_SOURCE": "archon", **env})


@pytest.fixture
def ward(empty_installation: Installation, tmp_path: Path) -> Ward:
    made = Ward(empty_installation, tmp_path / "archon", tmp_path / "local-ai-packaged")
    (made.archon / "backups").mkdir(mode=0o700, parents=True, exist_ok=True)
    made.configure()
    return made


@pytest.fixture
def projects(compose_projects: Projects, empty_installation: Installation) -> Ward:
    """Both projects up, the database shaped like Supabase's."""
    compose_projects.up(compose_projects.local_ai, supabase.NAME)
    compose_projects.up(compose_projects.archon)
    supabase.shape(compose_projects.database())
    services.wait_healthy(*map(compose_projects.container, SERVICES))
    ward = Ward(empty_installation, compose_projects.archon, compose_projects.local_ai)
    (ward.archon / "backups").chmod(0o700)
    return ward


def test_both_projects_as_the_document_has_them(projects: Ward, compose_projects: Projects) -> None:
    """One round through what can be lost, from sound to removed and back."""
    url = f"http://127.0.0.1:{_port(compose_projects.container('archon-server'))}"
    projects.configure(url)
    refused = _worst(projects.run("doctor", "--json").ended(3), "backup")
    assert "vault.secrets" in refused["found"]
    assert "--exclude-schema" in refused["mend"]
    projects.configure(url, excluded="vault")
    projects.run("backup").ok()
    done = projects.run("doctor", "--json").ok()
    for check in ("engine", "container", "container.health", "services", "services.mounts"):
        assert _worst(done, check)["status"] == "ok", _worst(done, check)
    for check in ("api.mount", "api", "network.subnet", "server", "database", "server.clock"):
        assert _worst(done, check)["status"] == "ok", _worst(done, check)
    for check in ("storage.objects", "key.decrypts", "key.unchanged", "env.example", "backup"):
        assert _worst(done, check)["status"] == "ok", _worst(done, check)
    assert _worst(done, "container.init")["status"] == "note"
    assert done.json["skipped"] == []

    compose_projects.container("archon-server").remove(force=True)
    done = projects.run("doctor", "--json").ok()
    lost = _worst(done, "services")
    assert lost["status"] == "problem"
    assert "archon-server does not exist" in lost["found"]
    assert _worst(done, "api")["mend"] == lost["mend"]
    _type(lost["mend"])
    services.wait_healthy(compose_projects.container("archon-server"))

    compose_projects.container(supabase.NAME).stop(timeout=60)
    stopped = _worst(projects.run("doctor", "--json").ended(3), "container")
    assert stopped["mend"] == f"docker start {supabase.NAME}"
    compose_projects.container(supabase.NAME).remove(force=True)
    removed = _worst(projects.run("doctor", "--json").ended(3), "container")
    assert removed["blocks_backup"]
    _type(removed["mend"])
    compose_projects.database()
    assert _worst(projects.run("doctor", "--json").ok(), "services")["status"] == "ok"


def test_an_engine_that_is_down_is_an_answer_and_a_quick_one(ward: Ward) -> None:
    began = time.monotonic()
    done = ward.run("doctor", "--json", DOCKER_HOST="unix:///nonexistent.sock").ended(3)
    assert time.monotonic() - began < QUICK_SECONDS
    assert _worst(done, "engine")["blocks_backup"]
    assert _worst(done, "backups.health")["found"] == "No backups found"
    said = ward.run("checklist", "--phase", "before", DOCKER_HOST="unix:///nonexistent.sock").ok()
    assert "[ ] Verify Supabase container running" in said.stdout
    assert "[x] Confirm backup directory writable" in said.stdout


def test_a_server_without_the_mount_answers_404(
    ward: Ward, service_container: Start, tmp_path: Path
) -> None:
    """No database here: what is said of the services does not depend on it."""
    server = service_container("archon-server", ports={"8181/tcp": ("127.0.0.1", None)})
    volume = service_container("archon-mcp", mounts=[Mount("/data", None)])
    services.wait_healthy(server, volume)
    ward.configure(f"http://127.0.0.1:{_port(server)}")
    done = ward.run("doctor", "--json").ended(3)
    assert "does not exist" in _worst(done, "container")["found"]
    assert "answers 404" in _worst(done, "api")["found"]
    for check in ("api", "api.mount"):
        assert "- ./backups:/app/backups:ro" in _worst(done, check)["mend"]
    assert "archon-mcp:/data" in _worst(done, "services.mounts")["found"]
    missing = [f for f in _findings(done)["services"] if f["status"] == "problem"]
    assert ["archon-ui does not exist" in f["found"] for f in missing] == [True]


def test_the_report_shows_containers_and_no_secret_of_theirs(
    ward: Ward, pg18_image: str, database_container: Callable[..., Database]
) -> None:
    canary = "canary-in-a-container-7d1f"
    other = "hidden77canary88"
    database_container(
        pg18_image,
        name=supabase.NAME,
        env={"POSTGRES_PASSWORD": canary, "SOMETHING": other, "URL": f"http://u:{other}@x/"},
    )
    path = ward.installation.root / "report.json"
    ward.run("doctor", "--report", str(path), "--quiet").ended(3)  # there is no Archon in it
    text = path.read_text()
    assert canary not in text
    assert other not in text
    report = json.loads(text)
    (container,) = (c for c in report["containers"] if c["name"] == supabase.NAME)
    assert container["status"] == "running"
    assert "POSTGRES_PASSWORD" in container["variables"]
    assert report["versions"]["docker"]
