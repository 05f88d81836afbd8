"""Clients that hammer the database while it is switched: each reads one generation, whole."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.support import Completed, Installation, wait_until

CLIENTS = 8
# Two tables, far from each other in the dump, of which every row bears the generation.
MARK = """BEGIN; UPDATE public.archon_sources SET title = '{0}';
          UPDATE public.archon_prompts SET description = '{0}'; COMMIT"""
READ = """SELECT title FROM public.archon_sources UNION
          SELECT description FROM public.archon_prompts"""

pytestmark = pytest.mark.slow


@dataclass
class Client:
    """Connects, reads twice in one transaction, and does so again at once, whatever happens.

    Attributes:
        read: every set of generations that was seen in a transaction, in order, repeats left out.
        errors: what it was told when it was cut off.
    """

    conninfo: dict[str, Any]
    over: threading.Event
    read: list[frozenset[str]] = field(default_factory=list)
    errors: set[str] = field(default_factory=set)
    odd: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self._once()
            except psycopg.OperationalError as error:
                self.errors.add(type(error).__name__)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.odd.append(error)

    def _once(self) -> None:
        with psycopg.connect(**self.conninfo) as session:
            for _ in range(20):
                with session.transaction():
                    first = {value for (value,) in session.execute(READ)}
                    seen = frozenset(first | {value for (value,) in session.execute(READ)})
                if not self.read or self.read[-1] != seen:
                    self.read.append(seen)


def hammered(installation: Installation, *args: str, until: str) -> tuple[Completed, list[Client]]:
    """Run a command while clients hammer, until all of them have read `until` last."""
    over = threading.Event()
    with installation.server() as server:
        info = {**server.conninfo("postgres"), "application_name": "client"}
        clients = [Client(info, over) for _ in range(CLIENTS)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: all(c.read for c in clients), 30, "every client reads")
            done = installation.run(*args).ok()
            new = frozenset({until})
            wait_until(lambda: all(c.read[-1] == new for c in clients), 30, f"all read {until}")
        finally:
            over.set()
            for thread in threads:
                thread.join()
    return done, clients


@pytest.mark.parametrize("scope", ["archon", "database"])
def test_no_client_ever_reads_a_mixture(installation: Installation, scope: str) -> None:
    installation.psql(MARK.format("A"))
    installation.run("backup").ok()
    installation.psql(MARK.format("B"))
    a, b = frozenset("A"), frozenset("B")
    restore = ("restore", "latest", "--scope", scope, "--yes")
    for args, expected in ((restore, [b, a]), (("undo", "--yes"), [a, b])):
        (last,) = expected[-1]
        _, clients = hammered(installation, *args, until=last)
        assert [client.read for client in clients] == [expected] * CLIENTS
        assert [client.odd for client in clients] == [[]] * CLIENTS
        if scope == "archon":  # nobody is cut off: they wait for a moment
            assert [client.errors for client in clients] == [set()] * CLIENTS


def test_a_client_inside_of_a_transaction_is_cut_off_and_not_waited_for(
    installation: Installation,
) -> None:
    with installation.server() as server:
        with psycopg.connect(**server.conninfo("postgres")) as session:
            session.execute("UPDATE public.archon_projects SET title = 'half'")
            installation.run("restore", "latest", "--scope", "database", "--yes").ok()
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        assert "half" not in installation.psql("SELECT title FROM public.archon_projects")


def test_a_role_that_cannot_end_a_session_is_told_so_beforehand(
    installation: Installation,
) -> None:
    installation.psql(
        "CREATE ROLE keeper LOGIN CREATEDB IN ROLE anon, authenticated, service_role;"
        "GRANT pg_read_all_data TO keeper; ALTER DATABASE postgres OWNER TO keeper"
    )
    before = installation.content()
    with installation.server() as server:
        where = f"host={server.address['host']} port={server.address['port']}"
        (installation.root / "archon.toml").write_text(
            "[sources.kept]\nkind = 'direct'\n"
            f"dsn = '{where} user=keeper dbname=postgres'\nbackup_dir = '{installation.backups}'\n"
        )
        with psycopg.connect(**server.conninfo("postgres")):
            done = installation.run(
                "restore", "latest", "--scope", "database", "--source", "kept", "--yes"
            ).ended(3)
    assert "cannot end sessions on postgres: pid" in done.stderr
    assert "a superuser" in done.stderr
    assert installation.content() == before
