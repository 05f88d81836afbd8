"""The two compose projects of the document, in folders of a test, for docker-compose 1.29."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from docker.models.containers import Container

from tests.docker import services
from tests.docker.database import PASSWORD, Database
from tests.docker.engine import Engine
from tests.docker.rootfs import FILES
from tests.docker.supabase import ENCRYPTION_KEY, ENVIRONMENT, NAME

# Of a range for benchmarks, which no engine gives to a network by itself: each new one takes the
# next of the engine's own ranges, and this one must be free whatever other workers made.
SUBNET = "198.18.77.0/24"
_UP_SECONDS = 600
_ENV = f"ENCRYPTION_KEY={ENCRYPTION_KEY}\nBACKUP_ON_START=false\n"
_ENV_EXAMPLE = "ENCRYPTION_KEY=\nBACKUP_ON_START=false\n"


@dataclass(frozen=True)
class Projects:
    """Two project folders, with nothing running yet.

    Attributes:
        archon: Archon's checkout, project `archon`: archon-server, archon-mcp, archon-ui.
        local_ai: project `local-ai-packaged`: supabase-ai-db, supabase-ai-kong.
    """

    engine: Engine
    archon: Path
    local_ai: Path

    def compose(self, project: Path, *args: str) -> subprocess.CompletedProcess[str]:
        """Run docker-compose in a project; fails with what it said if it fails."""
        done = subprocess.run(
            ["docker-compose", *args],  # noqa: S607 - the one on PATH, as people type it
            cwd=project,
            env={**os.environ, "COMPOSE_HTTP_TIMEOUT": str(_UP_SECONDS)},
            capture_output=True,
            text=True,
            timeout=_UP_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
        return done

    @property
    def password(self) -> str:
        """Of the database's superuser."""
        return PASSWORD

    def destroy(self) -> None:
        """Remove all containers of both projects, with what they hold."""
        for project in (self.archon, self.local_ai):
            self.compose(project, "down", "--volumes")

    def up(self, project: Path, *names: str) -> None:
        """Create and start services of a project, all unless some are named."""
        self.compose(project, "up", "--detach", *names)

    def container(self, name: str) -> Container:
        """One of the containers by its name."""
        return self.engine.client.containers.get(name)

    def database(self) -> Database:
        """The running database of the project, once it is ready; `supabase.shape` shapes it."""
        user, name = ENVIRONMENT["POSTGRES_USER"], ENVIRONMENT["POSTGRES_DB"]
        return Database(self.container(NAME), user, PASSWORD, name).wait_ready()


def make(engine: Engine, folder: Path, *, database_image: str, service_image: str) -> Projects:
    """Write both projects below a folder; nothing is started."""
    values = {
        "session": engine.session,
        "subnet": SUBNET,
        "database": database_image,
        "service": service_image,
    }
    projects = Projects(engine, folder / "archon", folder / "local-ai-packaged")
    for project in (projects.archon, projects.local_ai):
        project.mkdir()
        text = (FILES / project.name / "docker-compose.yml").read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        (project / "docker-compose.yml").write_text(text)
    (projects.local_ai / ".env").write_text(f"POSTGRES_PASSWORD={PASSWORD}\n")
    _checkout(projects.archon, service_image)
    return projects


def _checkout(archon: Path, service_image: str) -> None:
    """What the compose file and the document expect in Archon's folder."""
    for mounts in services.MOUNTS.values():
        for folder in mounts:
            (archon / folder).mkdir(parents=True, exist_ok=True)
    for context in ("python", "archon-ui-main"):
        (archon / context / "Dockerfile").write_text(f"FROM {service_image}\n")
    (archon / ".env").write_text(_ENV)
    (archon / ".env.example").write_text(_ENV_EXAMPLE)
    (archon / ".gitignore").write_text(".env\nbackups/\n")


def available() -> bool:
    """Whether the compose program is there."""
    return shutil.which("docker-compose") is not None
