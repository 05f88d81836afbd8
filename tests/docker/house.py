"""A database in a container with Archon's sample in it, services, and an installation for them.

All have made-up names, told by archon.toml, so that tests with a house of their own run side by
side; who wants the document's names holds `engine.fixed_names()`.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker.errors
from docker.models.containers import Container

from archon_ops.model.report import Silent
from archon_ops.model.runs import RunRecord
from archon_ops.rig import sample
from tests.docker import database as databases
from tests.docker import services as stand_ins
from tests.docker.database import Database
from tests.docker.engine import Engine
from tests.support import KEY, Completed, Installation, Spawned, wait_until

RESTORE = ("restore", "latest", "--scope", "database", "--yes")
_OURS = "application_name LIKE 'archon_ops:%'"


@dataclass(frozen=True)
class House:
    """An installation whose source is `archon`, with what it works on.

    Attributes:
        installation: where commands run.
        database: the container.
        services: containers that a restore stops.
    """

    installation: Installation
    database: Database
    services: tuple[Container, ...] = ()

    def configure(self, *, deadlines: str = "", **source: Any) -> None:
        """Write archon.toml; `source` adds to, or replaces, what [sources.archon] says."""
        said = {
            "container": self.database.container.name,
            "services": [service.name for service in self.services],
            **source,
        }
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in said.items())
        text = f"[sources.archon]\n{lines}\n[deadlines]\n{deadlines}\n"
        (self.installation.root / "archon.toml").write_text(text)

    def run(self, *args: str, **env: str | None) -> Completed:
        """Run `inv ARGS` to its end."""
        return self.installation.run(*args, env={"ARCHON_SOURCE": None, **env})

    def spawn(self, *args: str, pause_at: str | None = None, **env: str | None) -> Spawned:
        """Start `inv ARGS`."""
        return self.installation.spawn(*args, pause_at=pause_at, env={"ARCHON_SOURCE": None, **env})

    def dumps(self) -> list[str]:
        """Names of the backups."""
        return sorted(p.name for p in (self.installation.root / "backups").glob("*.dump"))

    def last(self) -> RunRecord:
        """The record of the newest run."""
        return self.installation.site(source="archon").journal.records()[0]

    def content(self, name: str = "postgres") -> dict[str, str]:
        """Count and digest of the rows of every Archon table."""
        with self.database.connect(name) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                " AND tablename LIKE 'archon%' ORDER BY 1"
            ).fetchall()
            query = (
                "SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(t::text), ''"
                " ORDER BY md5(t::text))), '') FROM public.\"{}\" t"
            )
            return {
                table: str(connection.execute(query.format(table).encode()).fetchall()[0][0])
                for (table,) in tables
            }

    def databases(self) -> list[str]:
        """Names of all databases but templates."""
        query = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"
        return self.database.psql(query, "template1").splitlines()

    def change(self) -> dict[str, str]:
        """Make production differ from every backup; what it is then."""
        self.database.psql(
            "UPDATE public.archon_projects SET title = title || '!';"
            "INSERT INTO public.archon_projects (title) VALUES ('later')"
        )
        return self.content()

    def sessions(self) -> int:
        """Sessions that bear our name."""
        query = f"SELECT count(*) FROM pg_stat_activity WHERE {_OURS}"
        return int(self.database.psql(query, "template1"))

    def copies(self) -> str:
        """Files in the container's folder for temporary ones that are ours."""
        done = self.database.exec("sh", "-c", "ls -d /tmp/archon_ops* 2>/dev/null")
        return done.stdout

    def served(self) -> dict[str, bool]:
        """Service -> whether it runs."""
        for service in self.services:
            service.reload()
        return {str(s.name): s.status == "running" for s in self.services}

    def check_clean(self) -> None:
        """Nothing of an earlier run is left, and PostgreSQL never had to recover."""
        assert self.database.crashes() == []
        wait_until(lambda: self.sessions() == 0, 20, "no session bears our name")
        assert self.copies() == ""
        assert [n for n in self.databases() if n.startswith("archon_side_")] == []


@contextlib.contextmanager
def house(
    engine: Engine,
    image: str,
    *,
    service_image: str = "",
    count: int = 0,
    vectors: bool = True,
    trigrams: bool = True,
    filled: bool = True,
    **options: Any,
) -> Iterator[House]:
    """Such a house for the length of the block.

    Args:
        engine: where.
        image: of the database.
        service_image: of the services.
        count: how many services there are.
        vectors: whether the image has pgvector.
        trigrams: whether it has pg_trgm.
        filled: whether Archon's sample is put in.
        options: as `tests.docker.database.start` takes them.
    """
    with contextlib.ExitStack() as made:
        installation = Installation.make()
        made.callback(installation.teardown)
        # Nobody asks how its container is: a check each second would cost a tenth of a core.
        wanted = {"healthcheck": False, **options, "wait": False}
        started = databases.start(engine, image, **wanted)
        made.callback(started.container.remove, force=True, v=True)
        run = uuid.uuid4().hex[:6]
        services = tuple(
            stand_ins.start(engine, service_image, f"archon-rig-service-{run}-{n}")
            for n in range(count)
        )
        for service in services:
            made.callback(_remove, service)
        if options.get("wait") is not False:
            started.wait_ready()
        if filled:
            fill(started, vectors=vectors, trigrams=trigrams)
        stand_ins.wait_healthy(*services)
        home = House(installation, started, services)
        home.configure()
        yield home


def _remove(service: Container) -> None:
    """Remove a service; a test may have done so before."""
    with contextlib.suppress(docker.errors.NotFound):
        service.remove(force=True, v=True)


def fill(database: Database, *, vectors: bool = True, trigrams: bool = True) -> None:
    """Put Archon's smallest sample into a database."""
    with database.connect() as connection:
        sample.create(
            connection, 1, Silent(), encryption_key=KEY, vectors=vectors, trigrams=trigrams
        )
