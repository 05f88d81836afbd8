"""The docker lines of RESTORE.txt, run by bash as they stand there."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.docker.engine import Engine
from tests.docker.house import House, house

pytestmark = pytest.mark.slow


def _docker_lines(home: House) -> str:
    """Every indented line from the part on containers on."""
    text = (home.installation.root / "backups" / "RESTORE.txt").read_text()
    part = text[text.index("In a container,") :]
    return "\n".join(line[4:] for line in part.splitlines() if line.startswith("    "))


@pytest.mark.parametrize("lost", [False, True])
def test_the_docker_lines_bring_the_database_back(
    engine: Engine, pg17_image: str, lost: bool
) -> None:
    with house(engine, pg17_image) as home:
        home.run("backup").ok()
        before = home.content()
        if lost:
            home.database.psql("DROP DATABASE postgres WITH (FORCE)", "template1")
        else:
            home.change()
        done = subprocess.run(
            ["/bin/bash"],
            input=_docker_lines(home),
            cwd=home.installation.root / "backups",
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        expected = r'role "\w+" already exists'
        expected += r'|database "postgres" does not exist' if lost else ""
        surprising = [
            line
            for line in done.stderr.splitlines()
            if "ERROR" in line and not re.search(expected, line)
        ]
        assert not surprising, done.stderr
        assert home.content() == before
