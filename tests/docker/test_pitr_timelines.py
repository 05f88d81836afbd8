"""A cluster was recovered, and then the old one was put back: the archive holds two branches."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pytest

from tests.docker.engine import Engine
from tests.docker.house import House
from tests.docker.pitr import archiving_house, inside
from tests.support import wait_until

pytestmark = pytest.mark.slow

# Inside the container.
FORK, LOG, SOCKETS, PORT = "/tmp/fork", "/tmp/fork.log", "/tmp", "5433"  # noqa: S108
BACKREST = ("pgbackrest", "--config=/etc/pgbackrest/pgbackrest.conf", "--stanza=archon")
PROGRAMS = "/usr/lib/postgresql/17/bin"
TABLE = "public.archon_branch"
ARCHIVED = "SELECT count(*) = 0 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"


@dataclass(frozen=True)
class Branches:
    """What was written on them.

    Attributes:
        lives: when the live server had committed its row; that is archived.
        dead: when the recovered one had, later; archived and backed up.
        label: of that backup.
        end: when the live one had committed another row, which is not archived.
    """

    lives: datetime
    dead: datetime
    label: str
    end: datetime


@pytest.fixture(scope="module")
def home(engine: Engine, pg17_image: str) -> Iterator[House]:
    """An Archon whose WAL is archived."""
    with archiving_house(engine, pg17_image) as made:
        made.database.psql(f"CREATE TABLE {TABLE} (said text PRIMARY KEY)")
        # WAL is archived when a test says so, and not because a minute is over.
        made.database.psql("ALTER SYSTEM SET archive_timeout = '1d'")
        made.database.psql("SELECT pg_reload_conf()")
        yield made


@pytest.fixture(scope="module")
def branches(home: House) -> Branches:
    """Both servers archive into the same stanza, and go on from the same backup."""
    _write(home, "before")
    home.run("pitr.backup", "--type", "full").ok()
    with _recovered(home):
        lives = _write(home, "lives")
        home.database.psql("SELECT pg_switch_wal()")
        wait_until(lambda: home.database.psql(ARCHIVED) == "True", 60, "timeline 1 is archived")
        dead = _write_forked(home, "dead")
        _ask_forked(home, "SELECT pg_switch_wal()")
        where = (f"--pg1-path={FORK}", f"--pg1-port={PORT}", f"--pg1-socket-path={SOCKETS}")
        inside(home, *BACKREST, *where, "--type=incr", "--start-fast", "backup")
        wait_until(lambda: _ask_forked(home, ARCHIVED) == "t", 60, "timeline 2 is archived")
    end = _write(home, "lives on")
    listed = inside(home, "ls", "/var/lib/pgbackrest/backup/archon").split()
    label = max(name for name in listed if name.endswith("I"))
    return Branches(lives, dead, label, end)


def test_the_window_is_that_of_the_servers_own_branch(home: House, branches: Branches) -> None:
    found = home.run("pitr.list", "--json").ok().json
    assert found["timeline"] == 1
    assert [(b["other_branch"], b["timeline"]) for b in found["backups"]] == [(True, 2), (False, 1)]
    assert found["backups"][0]["label"] == branches.label
    assert branches.lives.replace(microsecond=0) <= _time(found["latest"]) < branches.dead


def test_a_deletion_is_found_on_the_servers_own_branch(home: House, branches: Branches) -> None:
    who = home.database.psql(
        f"WITH gone AS (DELETE FROM {TABLE} WHERE said = 'lives on')"
        " SELECT pg_current_xact_id()::text"
    )
    arguments = ("--table", "archon_branch", "--where", "said = 'lives on'")
    since = ("--since", branches.end.isoformat())
    found = home.run("pitr.find", *arguments, *since, "--json").ok().json
    assert found["transaction"] == int(who)
    assert "--timeline" not in found["next"]


def test_the_latest_is_what_the_live_server_wrote(home: House, branches: Branches) -> None:
    done = home.run("pitr.restore", "--time", "latest").ok()
    assert "follows timeline 1" in done.stderr
    assert "the repository has timeline 2 as well" in done.stderr
    assert _rows(home, home.dumps()[-1]) == ["before", "lives"]


def test_another_branch_can_be_chosen(home: House, branches: Branches) -> None:
    done = home.run("pitr.restore", "--time", "latest", "--timeline", "2", "--json").ok()
    assert (done.json["timeline"], done.json["begun_with"]) == (2, branches.label)
    assert _rows(home, done.json["backup"]) == ["before", "dead"]


def test_what_is_not_on_a_branch_is_refused(home: House, branches: Branches) -> None:
    for arguments, says in (
        (("--time", "latest", "--timeline", "7"), "it has timelines 1, 2"),
        (("--time", "1 second ago", "--timeline", "2"), "the window of timeline 2 is from"),
    ):
        assert says in home.run("pitr.restore", *arguments).ended(3).stderr
    home.database.container.stop(timeout=60)
    done = home.run("pitr.restore", "--time", "2020-01-01T00:00:00Z").ended(3)
    home.database.container.start()
    home.database.wait_ready()
    assert "timeline 2 is followed, the newest in the repository" in done.stderr
    assert "there is timeline 1 as well: --timeline N" in done.stderr
    assert "the window of timeline 2 is from" in done.stderr
    home.check_clean()


@contextlib.contextmanager
def _recovered(home: House) -> Iterator[None]:
    """A second server in the container, which came of the backup and archives as well."""
    target = ("--type=immediate", "--target-action=promote")
    inside(home, *BACKREST, f"--pg1-path={FORK}", *target, "restore")
    archive = f"{' '.join(BACKREST)} --pg1-path={FORK} archive-push %p"
    options = f"-p {PORT} -c unix_socket_directories={SOCKETS} -c archive_command='{archive}'"
    control = (f"{PROGRAMS}/pg_ctl", "-D", FORK)
    inside(home, *control, "-w", "-t", "120", "-l", LOG, "-o", options, "start")
    try:
        recovering = "SELECT pg_is_in_recovery()"
        wait_until(lambda: _ask_forked(home, recovering) == "f", 60, "it is promoted")
        yield
    finally:
        inside(home, *control, "-m", "immediate", "stop")
        inside(home, "rm", "-r", FORK)


def _ask_forked(home: House, query: str) -> str:
    """What the recovered server answers."""
    where = ("-h", SOCKETS, "-p", PORT)
    return inside(home, f"{PROGRAMS}/psql", "-XqAt", *where, "-c", query, "postgres").strip()


def _write(home: House, said: str) -> datetime:
    home.database.psql(f"INSERT INTO {TABLE} VALUES ('{said}')")
    return _time(home.database.psql("SELECT clock_timestamp()"))


def _write_forked(home: House, said: str) -> datetime:
    _ask_forked(home, f"INSERT INTO {TABLE} VALUES ('{said}')")
    return _time(_ask_forked(home, "SELECT clock_timestamp()"))


def _rows(home: House, backup: str) -> list[str]:
    """What a backup holds of the table."""
    data = (home.installation.root / "backups" / backup).read_bytes()
    engine, container = home.installation.site(source="archon").engine, home.database.container
    engine.put_bytes(str(container.id), SOCKETS, "seen.dump", data, mode=0o644, owner=(0, 0))
    name = TABLE.partition(".")[2]
    only = ("--data-only", f"--table={name}", "--file=-")
    copied = inside(home, "pg_restore", *only, f"{SOCKETS}/seen.dump")
    return sorted(re.findall(r"^(before|lives|lives on|dead)$", copied, re.MULTILINE))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
