"""One source with everything that an action needs to work on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.errors import PreconditionError
from archon_ops.model.policy import Policy
from archon_ops.model.report import Report
from archon_ops.postgres import direct, embedded, sandbox
from archon_ops.postgres.cluster import Cluster
from archon_ops.postgres.server import Server
from archon_ops.postgres.tools import Tools, local_tools, wheel_tools
from archon_ops.settings import BACKUPS, Settings, SourceSettings
from archon_ops.storage.directory import Directory
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.journal import Journal, new_run_id
from archon_ops.storage.keys import Keys

if TYPE_CHECKING:  # Docker's SDK costs a quarter of a second, so only where it is used
    from archon_ops.hosts.engine import Engine
    from archon_ops.services.compose import Project
    from archon_ops.services.containers import Services


@dataclass(frozen=True)
class Site:
    """What every action is given.

    Attributes:
        name: name of the source.
        settings: the whole configuration.
        directory: where the source's backups lie.
        report: who listens.
        run_id: names this run everywhere.
        clock: the present, UTC.
        own_cluster: the cluster of an embedded source that does not lie where others do: a
            sandbox's.
    """

    name: str
    settings: Settings
    directory: Directory
    report: Report
    run_id: str
    clock: Callable[[], datetime]
    own_cluster: Cluster | None = None

    @property
    def source(self) -> SourceSettings:
        """How the source is configured."""
        return self.settings.sources[self.name]

    @property
    def display_name(self) -> str:
        """The source's name for people."""
        return self.source.display_name or self.name

    @property
    def database(self) -> str:
        """The database that the source means."""
        if self.source.kind == "direct":
            parts = direct.parse_dsn(self.source.dsn.get_secret_value())
            return self.source.database or parts.get("dbname") or "postgres"
        return self.source.database or "postgres"

    @property
    def journal(self) -> Journal:
        """The run records of the source."""
        return Journal(self.directory)

    @property
    def keys(self) -> Keys:
        """The installation's own key pair, which signs manifests and evidence."""
        return Keys(self.settings.state)

    @property
    def cluster(self) -> Cluster:
        """The cluster of an embedded source, whether it exists or not."""
        usual = self.settings.state / self.name / "cluster"
        return self.own_cluster or Cluster(wheel_tools(), usual)

    @property
    def policy(self) -> Policy:
        """How many backups stay."""
        kept = self.settings.retention
        return Policy(
            kept.last,
            kept.daily,
            kept.weekly,
            kept.monthly,
            kept.yearly,
            kept.zone,
            kept.labelled,
            kept.safety,
        )

    def tools_for(self, major: int) -> Tools:
        """Programs on this machine to read a dump of this major version with, no server needed.

        Raises:
            PreconditionError: there are none.
        """
        if self.source.kind == "direct":
            return local_tools(major)
        if self.source.kind == "container":
            with contextlib.suppress(PreconditionError):
                return local_tools(major)
        # The newest there are: they read what older ones wrote, but for compressions they lack.
        return wheel_tools()

    @property
    def engine(self) -> Engine:
        """The Docker engine."""
        from archon_ops.hosts.engine import Engine

        return Engine()

    def services(self) -> Services:
        """Archon's services of this source."""
        from archon_ops.services.containers import Services

        source, limits = self.source, self.settings.deadlines
        return Services(
            engine=self.engine,
            names=source.services,
            project=source.services_project,
            database=source.container,
            grace_seconds=round(limits.stop),
            well_seconds=limits.well,
        )

    @property
    def archon_project(self) -> Project:
        """The compose project of Archon's services."""
        from archon_ops.services.compose import Project

        folder = self.source.archon_compose
        home = self.settings.home(self.name)
        where = self.settings.path(folder) if folder else home
        return Project(f"sources.{self.name}.archon_compose", where)

    @property
    def database_project(self) -> Project:
        """The compose project that holds the database; by default Archon's neighbour of old."""
        from archon_ops.services.compose import Project

        folder = self.source.database_compose
        beside = self.settings.home(self.name).parent / "local-ai-packaged"
        where = self.settings.path(folder) if folder else beside
        return Project(f"sources.{self.name}.database_compose", where)

    def reporting_to(self, report: Report) -> Site:
        """The same with another listener."""
        return replace(self, report=report)

    def for_next_run(self) -> Site:
        """The same for another run: every run has a name of its own."""
        return replace(self, run_id=new_run_id(self.clock()))

    @contextlib.contextmanager
    def server(self, *, create: bool = False) -> Iterator[Server]:
        """The source's server, for the length of the block.

        Args:
            create: whether an embedded cluster that does not exist is made.

        Raises:
            PreconditionError: it cannot be reached.
        """
        with self._open(create) as server:
            yield server

    def _open(self, create: bool) -> contextlib.AbstractContextManager[Server]:
        limits = self.settings.deadlines
        if self.source.kind == "direct":
            return direct.opened(
                self.source.dsn.get_secret_value(),
                self.source.password.get_secret_value(),
                database=self.database,
                run_id=self.run_id,
                connect_seconds=limits.connect,
                answer_seconds=limits.stall,
                lock_seconds=limits.lock,
            )
        if self.source.kind == "container":
            return self._open_container()
        return self._open_embedded(create)

    def _open_container(self) -> contextlib.AbstractContextManager[Server]:
        from archon_ops.postgres import container

        limits, engine = self.settings.deadlines, self.engine
        return container.opened(
            engine,
            container.locate(engine, self.source.container),
            user=self.source.user,
            password=self.source.password.get_secret_value(),
            run_id=self.run_id,
            connect_seconds=limits.connect,
            answer_seconds=limits.stall,
            lock_seconds=limits.lock,
            report=self.report,
        )

    def sandbox(self, major: int) -> contextlib.AbstractContextManager[Server]:
        """A throwaway server of the source's own kind, for the length of the block.

        Args:
            major: major version that it has to be of.

        Raises:
            PreconditionError: there is nothing to make it of.
        """
        limits = self.settings.deadlines
        if self.source.kind == "container":
            from archon_ops.postgres import container_sandbox

            return container_sandbox.sandbox(
                self.engine,
                self.source.container,
                run_id=self.run_id,
                connect_seconds=limits.connect,
                answer_seconds=limits.stall,
                lock_seconds=limits.lock,
            )
        # What stands in for another kind of source runs that one's programs.
        own = self.own_cluster
        tools = own.tools if own else sandbox.sandbox_tools(self.source.kind, major)
        place = self.settings.state / "sandboxes"
        for folder in (self.settings.state, place):
            ensure_folder(folder)
        return sandbox.sandbox(tools, place, run_id=self.run_id, connect_seconds=limits.connect)

    def _open_embedded(self, create: bool) -> contextlib.AbstractContextManager[Server]:
        if create:
            self.cluster.create()
        elif not self.cluster.exists():
            raise PreconditionError(
                f"source {self.name} has not been made yet",
                "inv demo" if self.name == "demo" else "inv restore latest",
            )
        limits = self.settings.deadlines
        return embedded.opened(
            self.cluster,
            "localhost",
            run_id=self.run_id,
            connect_seconds=limits.connect,
            answer_seconds=limits.stall,
            lock_seconds=limits.lock,
        )


def make_site(settings: Settings, report: Report, backup_dir: Path | None = None) -> Site:
    """The site of the source that the settings name.

    Args:
        settings: the configuration.
        report: who listens.
        backup_dir: another backup directory, relative to the root.
    """
    folder = settings.path(backup_dir) if backup_dir else settings.backup_dir(settings.source)
    return Site(
        name=settings.source,
        settings=settings,
        directory=Directory(folder, parent_is_ours=folder.parent == settings.path(BACKUPS)),
        report=report,
        run_id=new_run_id(datetime.now(UTC)),
        clock=lambda: datetime.now(UTC),
    )
