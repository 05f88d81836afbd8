"""The whole cluster goes back to a moment, and every database of it; and comes back again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.docker.engine import Engine
from tests.docker.house import House
from tests.docker.pitr import DATA, archiving_house, configure, inside

pytestmark = pytest.mark.slow
GO_BACK = ("pitr.restore", "--scope", "cluster", "--time")


@dataclass(frozen=True)
class Before:
    """A moment, what Archon held then, and the neighbours.

    Attributes:
        moment: RFC 3339.
        content: of Archon's tables then.
        later: the same after everybody wrote.
    """

    moment: str
    content: dict[str, str]
    later: dict[str, str]


@pytest.fixture(scope="module")
def home(engine: Engine, pg17_image: str, service_image: str) -> Iterator[House]:
    """An Archon whose WAL is archived, with a neighbour's database and a service."""
    with archiving_house(
        engine, pg17_image, on_volume=True, service_image=service_image, count=1
    ) as made:
        made.database.psql("CREATE SCHEMA left_out; CREATE TABLE left_out.said AS SELECT 1 AS i")
        configure(made, exclude_schemas=["left_out"])
        made.database.psql("CREATE DATABASE neighbour")
        made.database.psql("CREATE TABLE said AS SELECT 'before' AS word", "neighbour")
        made.database.psql("CREATE TABLE deleted AS SELECT generate_series(1, 9) AS i", "neighbour")
        made.database.psql("CREATE UNLOGGED TABLE volatile AS SELECT 1 AS i", "neighbour")
        made.database.psql("CREATE DATABASE idle")
        yield made


@pytest.fixture(scope="module")
def before(home: House) -> Before:
    """A full backup; a moment; then everybody writes."""
    home.run("pitr.backup", "--type", "full").ok()
    content = home.content()
    moment = home.database.psql("SELECT to_char(clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS.USOF')")
    later = home.change()
    home.database.psql("INSERT INTO said VALUES ('later')", "neighbour")
    home.database.psql("DELETE FROM deleted WHERE i < 4", "neighbour")
    home.database.psql('CREATE DATABASE "young, new"')
    home.database.psql("ALTER SYSTEM SET work_mem = '77MB'")
    return Before(moment, content, later)


def test_who_loses_data_has_to_be_named(home: House, before: Before) -> None:
    refused = home.run(*GO_BACK, before.moment, "--yes").ended(3)
    assert 'postgres, "young, new" would lose data, and --yes does not name' in refused.stderr
    told = refused.stdout + refused.stderr
    assert "Loss     idle: nothing" in told
    # The row of the unlogged table is older, and gone all the same: a recovery empties it.
    assert "Loss     neighbour: 2 rows written since, 3 deleted or changed since come back" in told
    assert "Loss     young, new: was made since" in told
    assert "as in the backup, and not as now: postgresql.auto.conf" in told
    assert "--losing 'neighbour,postgres,\"young, new\"'" in refused.stderr
    assert home.content() == before.later
    assert _waiting(home) == ""


def test_every_database_is_as_of_then(home: House, before: Before) -> None:
    done = _go_back(home, before)
    assert home.content() == before.content
    assert home.databases() == ["idle", "neighbour", "postgres"]
    assert home.database.psql("SELECT word FROM said", "neighbour") == "before"
    assert set(home.served().values()) == {True}
    settings = "restore_command", "recovery_target_time"
    assert [home.database.psql(f"SHOW {name}") for name in settings] == ["", ""]
    assert done["cluster"]["plan"]["losing"] == ["neighbour", "postgres", "young, new"]
    assert done["proof"]["equal"] is True
    assert home.run("pitr.backup", "--json").ok().json["proven"] is True
    home.database.psql("CREATE TABLE public.archon_since AS SELECT 1 AS i")
    (kept,) = home.run("undo", "--list", "--json").ok().json["kept"]
    assert kept["name"] == done["cluster"]["kept"]
    assert kept["size_bytes"] > 10_000_000


def test_a_killed_exchange_is_taken_back(home: House, before: Before) -> None:
    """By whatever runs next: here that is killed one step later."""
    now = home.content()
    for step in ("stopped", "old-out", "new-in", "proving"):
        killed = home.spawn("undo", "--yes", pause_at=f"cluster.{step}")
        killed.wait_paused(f"cluster.{step}", 120)
        killed.kill()
    swept = home.run("backup").ok()
    assert "took back what a killed run left: cluster-" in swept.stderr
    assert home.content() == now
    assert set(home.served().values()) == {True}
    assert len(_waiting(home).split()) == 1


def test_a_cluster_that_does_not_start_goes_again(home: House, before: Before) -> None:
    now, control = home.content(), f"{DATA}/archon_ops/*/kept/global/pg_control"
    bad = home.spawn("undo", "--yes", pause_at="cluster.old-out")
    bad.wait_paused("cluster.old-out", 120)
    name = f"archon_files-{home.last().id}"
    (files,) = home.database.container.client.containers.list(filters={"name": name})
    files.exec_run(["sh", "-c", f"chmod 000 {control}"], user="root")
    bad.go_on()
    done = bad.finish().ended(1)
    assert "the server does not start: container" in done.stderr
    assert "the cluster is as it was, and serves" in done.stderr
    assert home.content() == now
    assert set(home.served().values()) == {True}
    inside(home, "sh", "-c", f"chmod 600 {control}")


def test_it_comes_back_and_goes_again(home: House, before: Before) -> None:
    planned = home.run("undo", "--dry-run").ok().stdout
    assert "the whole cluster, every database of it" in planned
    assert "database postgres" in planned
    home.run("undo", "--yes").ok()
    assert home.content() == before.later
    assert home.databases() == ["idle", "neighbour", "postgres", "young, new"]
    home.run("undo", "--yes").ok()
    assert home.database.psql("SELECT i FROM public.archon_since") == "1"
    home.run("restore", "latest", "--yes").ok()
    # It keeps Archon's objects, and drops no cluster.
    listed = home.run("undo", "--list", "--json").ok().json["kept"]
    assert [k["name"][:7] for k in listed] == ["archon_", "cluster"]
    home.run("undo", "--finalize", "--yes").ok()
    assert _waiting(home) == ""


def _go_back(home: House, before: Before) -> Any:
    named = '"young, new",postgres,neighbour'
    return home.run(*GO_BACK, before.moment, "--losing", named, "--json").ok().json


def _waiting(home: House) -> str:
    """What lies in the folder of clusters that wait."""
    return inside(home, "sh", "-c", f"ls -A {DATA}/archon_ops 2>/dev/null; true")
