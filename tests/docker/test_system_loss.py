"""The worst day as the handbook has it: both compose projects and Archon's folder are gone.

Live, on folders and containers of this test with the handbook's own names.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from archon_ops.model.scenario import CONTAINERS, SYSTEM_LOSS
from tests import git
from tests.docker import services, supabase
from tests.docker.compose import Projects
from tests.docker.database import Database
from tests.docker.house import House, fill
from tests.runbooks import evidence, facts
from tests.support import KEY, Installation

pytestmark = pytest.mark.slow


@pytest.fixture
def origin(compose_projects: Projects, tmp_path: Path) -> tuple[Path, str]:
    """Archon's repository, and the commit that was in use; a later one has no compose file."""
    folder, archon = tmp_path / "origin", compose_projects.archon
    (archon / ".env.example").write_text("# From the password manager.\nENCRYPTION_KEY=\n")
    shutil.copytree(archon, folder)
    commit = git.begin(folder)
    (folder / "docker-compose.yml").unlink()
    git.commit(folder, "something newer")
    return folder, commit


@pytest.fixture
def home(compose_projects: Projects, empty_installation: Installation) -> House:
    """Both projects run, and there is a backup."""
    file = compose_projects.local_ai / "docker-compose.yml"
    # Supabase's own image makes the role postgres when it starts; this plain one does not.
    file.write_text(file.read_text().replace("POSTGRES_USER: supabase_admin", ""))
    compose_projects.up(compose_projects.local_ai, supabase.NAME)
    container = compose_projects.container(supabase.NAME)
    database = Database(container, "postgres", compose_projects.password, "postgres").wait_ready()
    fill(database)
    compose_projects.up(compose_projects.archon)
    made = House(empty_installation, database)
    (compose_projects.archon / ".env").write_text(f"ENCRYPTION_KEY={KEY}\n")
    (made.installation.root / "archon.toml").write_text(
        f'archon_home = "{compose_projects.archon}"\n[sources.archon]\narchon_url = ""\n'
    )
    made.run("backup").ok()
    return made


def test_everything_comes_back_but_what_only_a_person_has(
    compose_projects: Projects, home: House, origin: tuple[Path, str]
) -> None:
    folder, commit = origin
    before = home.content()
    compose_projects.destroy()
    shutil.rmtree(compose_projects.archon)

    planned = home.run("recover", "--dry-run", "--json").ok().json
    assert planned["scenario"] == SYSTEM_LOSS.number
    assert "container supabase-ai-db does not exist" in planned["reasons"][0]
    assert planned["target"] == "archon@supabase-ai-db/postgres#gone"
    words = ("-p", f"repository={folder}", "-p", f"commit={commit}")
    done = home.run("recover", "--yes", "--json", *words).ended(5)
    found = evidence(done)
    assert found["reasons"][0].endswith("still lacks ENCRYPTION_KEY"), done
    assert facts(done, "archon_commit") == commit
    assert found["integrity"]["proof"]["equal"] is True
    assert compose_projects.container("supabase-ai-kong").status == "running"
    env = compose_projects.archon / ".env"
    assert (env.stat().st_mode & 0o777, env.read_text()) == (0o600, _example(folder))

    env.write_text(f"ENCRYPTION_KEY={KEY}\n")
    planned = home.run("recover", "--dry-run", "--json").ok().json
    assert planned["scenario"] == CONTAINERS.number
    assert planned["reasons"] == [f"container {n} does not exist" for n in services.SERVICES]
    assert evidence(home.run("recover", "--yes", "--json").ok())["verdict"] == "PASS"
    services.wait_healthy(*map(compose_projects.container, services.SERVICES))
    container = compose_projects.container(supabase.NAME)
    again = Database(container, "postgres", compose_projects.password, "postgres").wait_ready()
    assert House(home.installation, again).content() == before


def _example(origin: Path) -> str:
    return (origin / ".env.example").read_text()
