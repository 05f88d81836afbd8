"""A cluster as it was at a moment: recovered in a sandbox, proven, and what is needed taken."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from archon_ops.storage import pitr as kept
from tests.docker.engine import Engine
from tests.docker.house import House
from tests.docker.pitr import REPOSITORY, archiving_house, configure, inside
from tests.runbooks import evidence, facts

pytestmark = pytest.mark.slow

SANDBOX = "archon_ops.sandbox"
KEPT = "/tmp/kept"  # noqa: S108 - inside the container


@dataclass(frozen=True)
class Past:
    """What happened to a table.

    Attributes:
        point: the restore point of the backup before all of it.
        ticks: right after each row was committed, one after the other.
        deleted: right after they were all deleted.
        transaction: that deleted them.
    """

    point: str
    ticks: tuple[datetime, ...]
    deleted: datetime
    transaction: int


@pytest.fixture(scope="module")
def home(engine: Engine, pg17_image: str) -> Iterator[House]:
    """An Archon whose WAL is archived."""
    with archiving_house(engine, pg17_image) as made:
        made.database.psql("CREATE TABLE public.archon_clock (i serial PRIMARY KEY)")
        yield made


@pytest.fixture(scope="module")
def past(home: House) -> Past:
    """One full backup; then rows, one by one; then none of them, and a neighbour's."""
    point = home.run("pitr.backup", "--type", "full", "--json").ok().json["point"]
    with home.database.connect() as connection:

        def said(query: str) -> object:
            return connection.execute(query.encode()).fetchall()[0][0]

        ticks = []
        for _ in range(8):
            connection.execute("INSERT INTO public.archon_clock DEFAULT VALUES")
            ticks.append(said("SELECT clock_timestamp()"))
        gone = "WITH gone AS (DELETE FROM public.archon_clock RETURNING 1)"
        who = said(f"{gone} SELECT pg_current_xact_id()::text::int")
        deleted = said("SELECT clock_timestamp()")
        connection.execute("CREATE TABLE public.neighbour AS SELECT 'later' AS said")
    return Past(point, tuple(ticks), deleted, who)  # type: ignore[arg-type]


def test_the_deletion_is_found_and_its_rows_come_back(home: House, past: Past) -> None:
    """The newest WAL is not archived yet; what a neighbour wrote later stays."""
    since = past.ticks[-1].isoformat()
    found = home.run("pitr.find", "--table", "archon_clock", "--since", since, "--json").ok().json
    assert found["transaction"] == past.transaction
    at = datetime.fromisoformat(found["at"])
    assert past.ticks[-1] < at + timedelta(milliseconds=1)
    assert at <= past.deleted
    assert (found["rows_before"], found["rows_after"]) == (8, 0)
    arguments = ("--time", found["before"], "--rescue", "--table", "archon_clock", "--yes")
    brought = home.run("pitr.restore", *arguments, "--json").ok().json
    assert _numbers(home) == list(range(1, 9))
    assert home.database.psql("SELECT said FROM public.neighbour") == "later"
    assert brought["proof"]["equal"] is True
    assert brought["proof"]["not_proven"] == []
    assert brought["timeline"] == 1
    assert home.dumps() == [brought["backup"]]
    _check_nothing_left(home)


def test_exactly_the_rows_of_then_are_there(home: House, past: Past) -> None:
    """Whatever the moment: all that was committed until then, and nothing else."""
    number = random.randint(1, 7)  # noqa: S311 - no secret
    home.database.psql("DELETE FROM public.archon_clock")
    when = past.ticks[number - 1].isoformat()
    arguments = ("--time", when, "--rescue", "--table", "archon_clock", "--yes", "--json")
    brought = home.run("pitr.restore", *arguments).ok().json
    assert _numbers(home) == list(range(1, number + 1)), when
    assert brought["rescue"]["proof"]["equal"] is True


def test_a_named_point_is_what_was_written_down(home: House, past: Past) -> None:
    brought = home.run("pitr.restore", "--name", past.point, "--json").ok().json
    assert brought["proof"]["equal"] is True
    directory = home.installation.site(source="archon").directory
    label = past.point.removeprefix("archon_ops-")
    proof = kept.read_proof(directory, label)
    assert proof is not None
    tables = (replace(proof.tables[0], rows=99), *proof.tables[1:])
    kept.forget_proofs(directory, [label])
    site = home.installation.site(source="archon")
    kept.write_proof(directory, replace(proof, tables=tables), site.run_id, site.keys.sign)
    done = home.run("pitr.restore", "--name", past.point).ended(4)
    assert f"table {proof.tables[0].name}: 99 rows expected" in done.stderr
    assert "is marked as failed" in done.stderr


def test_a_drill_recovers_rows_from_a_moment(home: House, past: Past) -> None:
    """The document's scenario 4, with WAL: what is drilled is the way from a moment to its rows."""
    before, when = home.content(), past.ticks[3].isoformat()
    done = home.run("runbook", "scenario-4-data-deletion", "-p", f"moment={when}", "--json")
    found = evidence(done)
    assert (found["verdict"], found["reasons"]) == ("PASS", []), done
    moment = facts(done, "moment")
    assert (moment["asked"], moment["backup"]) == (when, found["backup"]["name"])
    assert f"archon_ops-{moment['begun_with']}" == past.point
    rows = {t["table"]: t["rows_found"] for t in found["integrity"]["proof"]["tables"]}
    assert rows["public.archon_clock"] == 4
    assert home.content() == before
    _check_nothing_left(home)


def test_what_cannot_be_is_refused(home: House, past: Past) -> None:
    before = home.dumps()
    for arguments, code, says in (
        (("--time", "2020-01-01T00:00:00Z"), 3, "cannot be restored: the window is from 20"),
        (("--time", "2020-01-01 00:00:00"), 2, "has no time zone"),
        (("--time", "latest", "--table", "archon_tasks"), 2, "go with --rescue"),
        (("--name", "nobody-made-it"), 3, "there is no restore point nobody-made-it"),
    ):
        assert says in home.run("pitr.restore", *arguments).ended(code).stderr
    looked = home.run("pitr.find", "--table", "nobody", "--since", past.deleted.isoformat())
    assert "there was no table public.nobody at any of 2 moments" in looked.ended(2).stderr
    configure(home, pitr='stanza = "other"')
    done = home.run("pitr.restore", "--time", "latest").ended(3)
    configure(home)
    assert "holds nothing of a stanza other" in done.stderr
    assert home.dumps() == before
    _check_nothing_left(home)


def test_a_killed_recovery_is_swept_and_a_damaged_file_named(home: House, past: Past) -> None:
    before, dumps = home.content(), home.dumps()
    killed = home.spawn("pitr.restore", "--time", "latest", pause_at="pitr.recover")
    killed.wait_paused("pitr.recover", 120)
    killed.kill()
    assert len(_sandboxes(home)) == 1
    with _damaged_repository(home):
        done = home.run("pitr.restore", "--time", "latest").ended(4)
    assert "removed what a killed run left: sandbox" in done.stderr
    assert "pgbackrest restore of archon" in done.stderr
    assert "inv pitr.verify" in done.stderr
    assert home.content() == before
    assert home.dumps() == dumps
    _check_nothing_left(home)


def _numbers(home: House) -> list[int]:
    found = home.database.psql("SELECT i FROM public.archon_clock ORDER BY i")
    return [int(i) for i in found.split()]


@contextlib.contextmanager
def _damaged_repository(home: House) -> Iterator[None]:
    """A file that every restore reads is not what it was."""
    path = inside(home, "find", f"{REPOSITORY}/backup/archon", "-path", "*F/bundle/1").strip()
    inside(home, "cp", path, KEPT)
    damage = ("bs=1", "seek=20000", "count=4096", "conv=notrunc")
    inside(home, "dd", "if=/dev/zero", f"of={path}", *damage)
    try:
        yield
    finally:
        inside(home, "cp", KEPT, path)


def _sandboxes(home: House) -> list[str]:
    """Sandboxes of this installation's runs, which bear their names."""
    ours = {r.id for r in home.installation.site(source="archon").journal.records()}
    api = home.database.container.client.api
    found = [
        *api.containers(all=True, filters={"label": SANDBOX}),
        *api.networks(filters={"label": SANDBOX}),
    ]
    return sorted({thing["Labels"][SANDBOX] for thing in found} & ours)


def _check_nothing_left(home: House) -> None:
    assert _sandboxes(home) == []
    home.check_clean()
