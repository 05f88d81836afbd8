"""Point-in-time recovery of a database in a container: setup, backups, proofs, verification."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from archon_ops.actions.pitr.proof import proven
from archon_ops.postgres.server import Server
from archon_ops.storage import pitr as kept
from tests.docker.engine import Engine
from tests.docker.house import House
from tests.docker.pitr import PASSPHRASE, REPOSITORY, archiving_house, configure, inside
from tests.support import wait_until

pytestmark = pytest.mark.slow
COMPOSE = {
    "project": "ai",
    "service": "db",
    "project.working_dir": "/srv/of ai",
    "project.config_files": "db.yml",
}
# Inside the container.
KEPT, SEGMENT, LOG = "/tmp/kept", "/tmp/segment", "/tmp/again.log"  # noqa: S108


@pytest.fixture(scope="module")
def home(engine: Engine, pg17_image: str) -> Iterator[House]:
    """A house that is not set up yet; the tests go on where the one before ended.

    Its container says of itself what one says that compose 1.29 has made.
    """
    labels = {f"com.docker.compose.{name}": value for name, value in COMPOSE.items()}
    with archiving_house(engine, pg17_image, set_up=False, labels=labels) as made:
        yield made


def test_what_would_be_lost_with_the_container_is_refused(home: House) -> None:
    configure(home, pitr='config = "/srv/pgbackrest.conf"')
    done = home.run("pitr.setup", "--yes").ended(3)
    assert "/srv lies in container" in done.stderr
    assert "docker compose --project-name ai --file '/srv/of ai/db.yml' --file" in done.stderr
    assert "up -d --build db; then inv pitr.setup" in done.stderr
    recipe = home.installation.root / ".archon" / "pitr" / "archon"
    made = (recipe / "Dockerfile").read_text()
    assert made.splitlines()[1].startswith("FROM archon-rig-pg17:")
    assert "pgbackrest" in made
    override = (recipe / "compose.pitr.yml").read_text()
    assert "init: true" in override
    assert "pitr-config:/srv" in override
    assert home.database.psql("SHOW archive_mode") == "off"


def test_setup_shows_all_and_then_does_it(home: House) -> None:
    configure(home)
    before = home.database.started()
    for args, code in ((("--dry-run",), 0), ((), 3)):
        shown = home.run("pitr.setup", *args).ended(code)
        text = shown.stdout + shown.stderr
        assert "archive_mode = 'on'" in text
        assert "THE SERVER RESTARTS" in text
        assert PASSPHRASE not in text
        assert "repo1-cipher-pass=***" in text
    assert home.database.started() == before
    done = home.run("pitr.setup", "--yes", "--json").ok()
    assert done.json["plan"]["restart"] is True
    home.database.wait_ready()
    listed = home.database.exec("stat", "-c", "%a %U", "/etc/pgbackrest/pgbackrest.conf")
    assert listed.stdout.split() == ["600", "postgres"]
    assert home.database.psql("SHOW archive_mode") == "on"
    again = home.run("pitr.setup", "--json").ok()  # nothing to do, so nobody is asked
    assert (again.json["plan"]["settings"], again.json["plan"]["restart"]) == ([], False)


def test_a_backup_is_proven_while_writers_hammer(home: House) -> None:
    with _hammering(home) as wrote:
        taken = home.run("pitr.backup", "--type", "incr", "--json").ok()
    assert taken.json["kind"] == "pitr-full"  # there was nothing to build on
    assert "it became a full backup" in taken.stderr
    assert taken.json["proven"] is True
    assert wrote() > 20
    label, point = taken.json["label"], taken.json["point"]
    proof = kept.read_proof(home.installation.site(source="archon").directory, label)
    assert proof is not None
    # Writers went on before and after that point; a recovery to it brings back exactly the proof.
    wait_until(lambda: _archived(home), 60, "all is archived")
    with _recovered(home, point) as server:
        deadlines = home.installation.site(source="archon").settings.deadlines
        assert proven(server, "postgres", proof, deadlines).problems == ()
        changed = replace(proof, tables=(replace(proof.tables[0], rows=1), *proof.tables[1:]))
        assert proven(server, "postgres", changed, deadlines).problems != ()


def test_the_list_tells_of_it(home: House) -> None:
    home.database.psql("INSERT INTO public.archon_projects (title) VALUES ('in the window')")
    home.database.psql("SELECT pg_switch_wal()")
    wait_until(lambda: _archived(home), 60, "the segment is archived")
    taken = home.run("pitr.backup", "--json").ok()
    listed = home.run("pitr.list", "--json").ok().json
    assert [b["kind"] for b in listed["backups"]] == ["pitr-incr", "pitr-full"]
    assert listed["backups"][0]["chain"] == [b["label"] for b in reversed(listed["backups"])]
    assert listed["backups"][0]["label"] == taken.json["label"]
    assert listed["earliest"] < listed["latest"]
    text = home.run("pitr.list").ok()
    assert "any moment can be restored from" in text.stderr


def test_a_damaged_file_is_named(home: House) -> None:
    assert "are as written" in home.run("pitr.verify").ok().stderr
    found = inside(home, "find", f"{REPOSITORY}/backup/archon", "-path", "*F/bundle/1")
    path = found.strip()
    inside(home, "cp", path, KEPT)
    damage = ("bs=1", "seek=20000", "count=4096", "conv=notrunc")
    inside(home, "dd", "if=/dev/zero", f"of={path}", *damage)
    done = home.run("pitr.verify").ended(4)
    assert "F/bundle/1" in done.stderr
    inside(home, "cp", KEPT, path)
    segments = inside(home, "find", f"{REPOSITORY}/archive", "-name", f"{'?' * 24}-*").split()
    segment = sorted(segments)[1]  # between two others, however many there are
    inside(home, "mv", segment, SEGMENT)
    done = home.run("pitr.verify").ended(4)
    assert "WAL is missing between" in done.stderr
    inside(home, "mv", SEGMENT, segment)
    home.run("pitr.verify").ok()


def test_a_repository_that_is_gone_sounds_the_alarm(home: House) -> None:
    home.run("backup").ok()
    assert home.run("alert", "--json").ok().json["messages"] == []
    for folder in ("archive", "backup"):
        inside(home, "mv", f"{REPOSITORY}/{folder}", f"{REPOSITORY}/away-{folder}")
    failed = "SELECT failed_count FROM pg_stat_archiver"
    before = int(home.database.psql(failed))
    home.database.psql("CREATE TABLE public.later (); SELECT pg_switch_wal()")
    wait_until(lambda: int(home.database.psql(failed)) > before, 60, "archiving fails")
    said = home.run("alert", "--json").ended(7).json
    (message,) = said["messages"]
    assert "stanza archon is in no repository" in message["text"]
    done = home.run("pitr.backup").ended(3)
    assert "bring the repository back" in done.stderr
    status = home.run("status", "--json").ok().json["pitr"]
    assert (status["archiving"], len(status["backups"])) == (False, 2)  # what was known stays
    for folder in ("archive", "backup"):
        inside(home, "mv", f"{REPOSITORY}/away-{folder}", f"{REPOSITORY}/{folder}")
    # It tries again once a minute, or when there is more to do.
    home.database.psql("CREATE TABLE public.more (); SELECT pg_switch_wal()")
    wait_until(lambda: _archived(home), 120, "what waited is archived")
    (message,) = home.run("alert", "--json").ok().json["messages"]
    assert "WAL is archived" in message["text"]


def test_another_stanza_is_not_taken_for_ours(home: House) -> None:
    configure(home, pitr='stanza = "other"')
    done = home.run("pitr.backup").ended(3)
    assert "stanza other" in done.stderr
    configure(home)


def test_sigkill_in_a_backup(home: House) -> None:
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgBackRest%'"
    spawned = home.spawn("pitr.backup", "--type", "full")
    wait_until(lambda: home.database.psql(sessions) != "0", 60, "pgBackRest is at work")
    spawned.kill()
    started = home.database.started()
    # What was begun inside ends by itself; until then its lock is respected, and explained.
    codes = set()

    def done() -> bool:
        taken = home.run("pitr.backup", "--type", "full")
        codes.add(taken.returncode)
        assert taken.returncode in (0, 11), taken
        assert taken.returncode == 0 or "ends by itself" in taken.stderr
        return taken.returncode == 0

    wait_until(done, 180, "the next backup works")
    assert home.database.started() == started
    assert home.database.crashes() == []
    assert home.run("pitr.list", "--json").ok().json["backups"][0]["proven"] is True


@contextlib.contextmanager
def _hammering(home: House) -> Iterator[Callable[[], int]]:
    """Sessions that write to two tables in each transaction, for the length of the block."""
    stop, counts = threading.Event(), [0, 0, 0]

    def write(number: int) -> None:
        with home.database.connect() as connection:
            while not stop.is_set():
                with connection.transaction():
                    connection.execute(
                        "INSERT INTO public.archon_projects (title) VALUES ('hammered')"
                    )
                    connection.execute(
                        "UPDATE public.archon_sources SET title = title || '.'"
                        " WHERE source_id = (SELECT min(source_id) FROM public.archon_sources)"
                    )
                counts[number] += 1

    writers = [threading.Thread(target=write, args=(n,)) for n in range(len(counts))]
    for writer in writers:
        writer.start()
    try:
        yield lambda: sum(counts)
    finally:
        stop.set()
        for writer in writers:
            writer.join()


@contextlib.contextmanager
def _recovered(home: House, point: str) -> Iterator[Server]:
    """A second server in the container, recovered to a point by pgBackRest alone."""
    folder, port = "/tmp/again", "5433"  # noqa: S108
    config = ("--config=/etc/pgbackrest/pgbackrest.conf", "--stanza=archon")
    inside(
        home,
        *("pgbackrest", *config, f"--pg1-path={folder}", "--archive-mode=off"),
        *("--type=name", f"--target={point}", "--target-action=promote", "restore"),
    )
    options = f"-p {port} -c unix_socket_directories=/tmp"
    ctl = ("/usr/lib/postgresql/17/bin/pg_ctl", "-D", folder)
    inside(home, *ctl, "-w", "-t", "120", "-l", LOG, "-o", options, "start")
    try:
        # It answers as soon as it is consistent, which may be before it has come to the point.
        asked = ("/usr/lib/postgresql/17/bin/psql", "-XAt", "-h", "/tmp", "-p", port)  # noqa: S108
        recovering = ("-c", "SELECT pg_is_in_recovery()", "postgres")
        wait_until(lambda: inside(home, *asked, *recovering) == "f\n", 60, "it is promoted")
        host, _ = home.database.address
        yield Server(
            kind="container",
            host="again",
            address={"host": host, "port": port, "user": home.database.user},
            programs=cast("Any", None),  # no program is run
            run_id="test",
            connect_seconds=30,
            secret={"password": home.database.password},
        )
    finally:
        inside(home, *ctl, "-m", "immediate", "stop")
        inside(home, "rm", "-r", folder)


def _archived(home: House) -> bool:
    waiting = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
    return home.database.psql(waiting) == "0"
