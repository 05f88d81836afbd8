"""A repository that takes nothing, and a disk that WAL would fill."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.disks import small_disk
from tests.docker.engine import Engine
from tests.docker.house import House
from tests.docker.pitr import REPOSITORY, archiving_house, configure, inside
from tests.support import Completed, wait_until

pytestmark = pytest.mark.slow
DATA = "/var/lib/postgresql/data"
MEGABYTES = 300
# Segments of a megabyte, of which eight may wait.
SETTINGS = 'queue_max = "8MiB"'
SMALL = {"POSTGRES_INITDB_ARGS": "--no-sync --wal-segsize=1"}


@pytest.fixture(scope="module")
def home(
    engine: Engine, pg17_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Its data lie on a small disk; one full backup is there."""
    folder = tmp_path_factory.mktemp("disk") / "data"
    with (
        small_disk(folder, MEGABYTES),
        archiving_house(
            engine, pg17_image, set_up=False, mounts=(f"{folder}:{DATA}",), env=SMALL
        ) as made,
    ):
        configure(made, pitr=SETTINGS)
        made.run("pitr.setup", "--yes").ok()
        made.run("pitr.backup", "--type", "full").ok()
        made.run("backup").ok()
        yield made


@pytest.fixture(scope="module")
def dropped(home: House) -> dict[str, Any]:
    """The repository takes nothing until WAL was dropped; then it works again."""
    before = _now(home)
    for title in ("in the hole", "behind it"):
        home.database.psql(f"INSERT INTO public.archon_projects (title) VALUES ('{title}')")
    _write(home, 1)
    _archived(home)
    inside(home, "chmod", "-R", "a-w", f"{REPOSITORY}/archive")
    _write(home, 4)
    wait_until(lambda: _stat(home, "failed_count") != "0", 60, "archiving fails")
    early, room = home.run("alert", "--json").ended(7).json, _free(home)
    lost = _now(home)
    _delete(home, "in the hole")
    count = int(_stat(home, "archived_count"))
    _write(home, 16)
    wait_until(lambda: int(_stat(home, "archived_count")) >= count + 8, 60, "WAL is dropped")
    late, left = home.run("alert", "--json").ended(7).json, _free(home)
    inside(home, "chmod", "-R", "u+w", f"{REPOSITORY}/archive")
    _write(home, 1)
    _archived(home)
    return {
        "before": before,
        "lost": lost,
        "early": (early["messages"], room),
        "late": (late["messages"], left),
    }


def test_setup_says_where_more_may_wait_than_fits(home: House) -> None:
    configure(home)  # four gigabytes may wait
    shown = home.run("pitr.setup", "--dry-run").ok().stdout
    configure(home, pitr=SETTINGS)
    assert "the disk fills before WAL is dropped" in shown
    assert "the disk fills" not in home.run("pitr.setup", "--dry-run").ok().stdout


def test_the_alarm_comes_before_the_disk_is_full(dropped: dict[str, Any]) -> None:
    (message,), room = dropped["early"]
    assert "WAL has not been archived" in message["text"]
    assert "full in about" in message["text"]
    assert room > 64 << 20
    (message,), room = dropped["late"]
    assert "was dropped, and is in no repository" in message["text"]
    assert "inv pitr.backup" in message["text"]
    assert room > 64 << 20


def test_what_was_dropped_is_a_hole_until_the_next_backup(
    home: House, dropped: dict[str, Any]
) -> None:
    listed = home.run("pitr.list", "--json").ok()
    (gap,) = listed.json["gaps"]
    assert gap["until"] is None
    since = datetime.fromisoformat(gap["since"])  # told in whole seconds
    assert datetime.fromisoformat(dropped["before"]) - timedelta(seconds=1) < since
    assert since < datetime.fromisoformat(dropped["lost"])
    assert listed.json["latest"] == gap["since"]
    assert "WAL is missing between" in home.run("pitr.list").ok().stderr
    assert "until a new backup is taken" in home.run("status").ok().stdout
    refused = home.run("pitr.restore", "--time", dropped["lost"]).ended(3)
    assert "WAL is missing between" in refused.stderr
    assert "inv pitr.backup" in refused.stderr
    home.run("pitr.backup", "--type", "incr").ok()
    assert home.run("alert", "--json").ok().json["messages"][0]["severity"] == "INFO"
    listed = home.run("pitr.list", "--json").ok()
    (gap,) = listed.json["gaps"]
    assert gap["until"] <= listed.json["latest"]
    refused = home.run("pitr.restore", "--time", dropped["lost"]).ended(3)
    assert f"nothing is restored up to {gap['until']}" in refused.stderr


def test_a_search_looks_on_both_sides_of_a_hole(home: House, dropped: dict[str, Any]) -> None:
    home.run("pitr.backup", "--type", "incr").ok()
    (gap,) = home.run("pitr.list", "--json").ok().json["gaps"]
    _write(home, 1)
    _delete(home, "behind it")
    _write(home, 1)
    found = _find(home, "behind it").ok().json
    assert found["transaction"] is not None
    assert _at(gap["until"]) < _at(found["at"])
    found = _find(home, "in the hole").ok()
    assert "cannot be told nearer: WAL is missing between" in found.stderr
    assert found.json["transaction"] is None
    before, at = _at(found.json["before"]), _at(found.json["at"])
    assert _at(gap["since"]) <= before < at <= _at(gap["until"])
    looked = _find(home, "in the hole", "--since", dropped["lost"]).ended(3)
    assert f"nothing is restored up to {gap['until']}" in looked.json["error"]["message"]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _find(home: House, title: str, *more: str) -> Completed:
    where = f"title = '{title}'"
    return home.run("pitr.find", "--table", "archon_projects", "--where", where, *more, "--json")


def _delete(home: House, title: str) -> None:
    home.database.psql(f"DELETE FROM public.archon_projects WHERE title = '{title}'")


def _write(home: House, segments: int) -> None:
    """So many segments of WAL, each with a commit."""
    for _ in range(segments):
        home.database.psql("INSERT INTO public.archon_projects (title) VALUES ('more')")
        home.database.psql("SELECT pg_switch_wal()")


def _stat(home: House, name: str) -> str:
    return home.database.psql(f"SELECT {name} FROM pg_stat_archiver")


def _archived(home: House) -> None:
    waiting = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
    wait_until(lambda: home.database.psql(waiting) == "0", 90, "all is archived")


def _now(home: House) -> str:
    query = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
    return f"{home.database.psql(query)}Z"


def _free(home: House) -> int:
    found = inside(home, "df", "-Pk", DATA).splitlines()[-1].split()
    return int(found[3]) * 1024
