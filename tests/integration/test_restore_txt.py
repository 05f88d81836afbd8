"""RESTORE.txt: its lines, run as they are written, bring the backup back without this tool."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from psycopg import sql

from archon_ops.actions.instructions import NAME
from archon_ops.errors import PreconditionError
from archon_ops.postgres.tools import SERVER_PROGRAMS, Tools, local_tools, wheel_tools
from tests.direct import DATABASE, Direct, Host, hosting
from tests.support import Installation, require

pytestmark = pytest.mark.slow

ODD_DATABASE = 'o\'dd "na$me" `x` \\'
ODD_ROLE = 'o\'dd "ro$le" `x` \\'
ROLES = 'CREATE ROLE "o\'dd ""ro$le"" `x` \\" LOGIN CREATEDB; CREATE ROLE anon'
MORE = f"""
GRANT SELECT ON archon_sources TO anon;
GRANT ALL ON archon_tasks TO "{ODD_ROLE.replace('"', '""')}";
"""
CONTAINER = "In a container,"


def lines_of(text: str) -> str:
    """The indented lines before those for a container, as a script."""
    return _indented(text.partition(CONTAINER)[0])


def container_lines_of(text: str) -> str:
    """The indented lines for a container, as a script."""
    return _indented(text.partition(CONTAINER)[2])


def _indented(text: str) -> str:
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    return "".join(f"{line}\n" for line in lines)


def run_by_hand(
    folder: Path, tools: Tools, where: Mapping[str, str], harmless: str
) -> subprocess.CompletedProcess[str]:
    """Run RESTORE.txt in its folder; whatever it complains of must be known to be harmless."""
    script = lines_of((folder / NAME).read_text())
    done = subprocess.run(
        ["/bin/bash", "-s"],
        input=script,
        cwd=folder,
        env={"PATH": f"{tools.folder}:/usr/bin:/bin", "LC_ALL": "C", **where},
        capture_output=True,
        text=True,
        timeout=360,
        check=False,
    )
    complaints = [
        line
        for line in done.stderr.splitlines()
        if not re.search(rf"role .* already exists$|^NOTICE|{harmless}", line)
    ]
    assert complaints == [], f"{script}\n{done.stdout}\n{done.stderr}"
    assert re.search(r"\.dump: OK$", done.stdout, re.MULTILINE)
    return done


def over_tcp(host: Host) -> dict[str, str]:
    return {"PGHOST": "127.0.0.1", "PGPORT": str(host.proxy.port), "PGUSER": "postgres"}


@pytest.fixture(scope="module")
def tools() -> Tools:
    try:
        found = local_tools(15)
    except PreconditionError:
        require(False, "the package postgresql-15")
        raise
    require(all(map(found.has, SERVER_PROGRAMS)), "the package postgresql-15")
    return found


@pytest.fixture(scope="module")
def host(tools: Tools) -> Iterator[Host]:
    with hosting(tools, roles=ROLES) as host:
        yield host


def content(host: Host, database: str) -> dict[str, str]:
    return {name: d for name, d in host.content(database).items() if name != "databases"}


@pytest.mark.parametrize("lost", [False, True])
def test_on_the_same_server(host: Host, direct: Direct, tools: Tools, lost: bool) -> None:
    before = content(host, DATABASE)
    if lost:
        host.execute(f"DROP DATABASE {DATABASE}", "template1")
    else:
        host.execute("DELETE FROM archon_tasks WHERE id <= 100")
        changed = content(host, DATABASE)
    with host.connect(DATABASE if not lost else "template1"):  # somebody is connected
        gone = rf"database {DATABASE} does not exist" if lost else "$^"
        done = run_by_hand(
            direct.backups, tools, over_tcp(host), rf'database "{DATABASE}" does not exist|{gone}'
        )
    assert re.search(r"^\s+500$", done.stdout, re.MULTILINE), "the count that the text foretells"
    assert content(host, DATABASE) == before
    kept = [
        name
        for (name,) in host.execute("SELECT datname FROM pg_database", "template1")
        if name.startswith("before_")
    ]
    assert len(kept) == (0 if lost else 1)
    if not lost:
        assert content(host, kept[0]) == changed


def test_on_a_fresh_server_without_the_roles_and_with_odd_names(
    host: Host, direct: Direct, tools: Tools
) -> None:
    host.reset(ODD_DATABASE)
    host.execute(MORE, ODD_DATABASE)
    with host.connect("template1") as connection:
        name, role = sql.Identifier(ODD_DATABASE), sql.Identifier(ODD_ROLE)
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, role))
        connection.execute(sql.SQL("ALTER DATABASE {} SET work_mem = '5MB'").format(name))
    direct.configure(database=ODD_DATABASE.replace("\\", "\\\\").replace('"', '\\"'))
    direct.run("backup").ok()
    before = content(host, ODD_DATABASE)
    text = (direct.backups / NAME).read_text()
    assert "setting work_mem: 5MB" in text
    with hosting(tools) as fresh:
        run_by_hand(direct.backups, tools, over_tcp(fresh), r"^ERROR:  database .* does not exist$")
        assert content(fresh, ODD_DATABASE) == before
        owner = fresh.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()",
            ODD_DATABASE,
        )
        assert owner == [(ODD_ROLE,)]


def test_on_the_embedded_server(installation: Installation) -> None:
    before = installation.content()
    with installation.server() as server:
        installation.psql("DELETE FROM public.archon_prompts")
        where = {
            "PGHOST": str(server.address["host"]),
            "PGPORT": str(server.address["port"]),
            "PGUSER": str(server.address["user"]),
        }
        run_by_hand(installation.backups, wheel_tools(), where, "$^")
        after = installation.content()
    assert after.tables == before.tables
    assert after.inventory == before.inventory


def test_the_lines_for_a_container_are_commands(direct: Direct) -> None:
    """That they work is shown where there are containers; here, that a shell can read them."""
    script = container_lines_of((direct.backups / NAME).read_text())
    commands = [line for line in script.splitlines() if not line.startswith(" ")]
    assert len(commands) >= 4
    assert all(line.startswith("docker exec ") for line in commands)
    read = subprocess.run(["/bin/bash", "-n", "-s"], input=script, text=True, check=False)
    assert read.returncode == 0


def test_every_line_is_meant_for_a_shell(direct: Direct) -> None:
    """No prose is indented so far that somebody would run it."""
    text = (direct.backups / NAME).read_text()
    known = (
        "echo ",
        "export ",
        "psql ",
        "createdb ",
        "PGOPTIONS=",
        "docker exec ",
        "    pg_restore",
        "    --encoding=",
    )
    assert all(line.startswith(known) for line in _indented(text).splitlines())
    assert max(map(len, text.splitlines())) < 300
