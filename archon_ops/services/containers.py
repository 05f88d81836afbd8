"""Stop Archon's services, and start exactly those again, whatever happens in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from archon_ops.errors import OpsError, UsageError
from archon_ops.hosts.described import Container
from archon_ops.hosts.engine import Engine
from archon_ops.model.report import Report
from archon_ops.services.health import Verdict, wait_until_well

_PROJECT_LABEL = "com.docker.compose.project"


@dataclass(frozen=True)
class Services:
    """The services of a source.

    Attributes:
        engine: where they run.
        names: of their containers; those that do not exist are left out of everything.
        project: compose project whose containers belong too; empty for none.
        database: container of the database, which must never be among them.
        grace_seconds: how long one may take to end.
        well_seconds: how long all may take to be healthy again.
    """

    engine: Engine
    names: tuple[str, ...]
    project: str
    database: str
    grace_seconds: int
    well_seconds: float

    def existing(self) -> tuple[Container, ...]:
        """Those that exist, in the order of their names' configuration.

        Raises:
            UsageError: the database's own container is among them.
        """
        named = [c for name in self.names for c in self.engine.find(name)]
        if self.project:
            named.extend(self.engine.containers(label=f"{_PROJECT_LABEL}={self.project}"))
        unique = {container.id: container for container in named}
        ids = {c.id for c in self.engine.find(self.database)} if self.database else set()
        if ids & unique.keys():
            raise UsageError(
                f"the database's container {self.database} is in the list of services",
                "take it out of `services` in archon.toml: it has to run during a restore",
            )
        return tuple(unique.values())

    def stop(self, containers: tuple[Container, ...], report: Report) -> None:
        """Stop services, all at once: each may use up its whole grace."""
        with ThreadPoolExecutor(max(1, len(containers))) as pool:
            asked = [pool.submit(self.engine.stop, c.id, self.grace_seconds) for c in containers]
        for container, answer in zip(containers, asked, strict=True):
            answer.result()
            report.ok(f"{container.name} stopped")

    def start(self, names: tuple[str, ...], report: Report) -> tuple[Verdict, ...]:
        """Start services and wait until they are well; what did not come back is told."""
        failed = []
        for name in names:
            try:
                self.engine.start(name)
            except OpsError as error:
                failed.append(Verdict(name, False, error.message))
        rest = tuple(name for name in names if name not in {f.name for f in failed})
        verdicts = (*failed, *wait_until_well(self.engine, rest, self.well_seconds))
        for verdict in verdicts:
            tell = report.ok if verdict.well else report.warn
            came = "is back" if verdict.well else "did not come back"
            tell(f"{verdict.name} {came} ({verdict.why})")
        return verdicts


@contextlib.contextmanager
def stopped(
    services: Services,
    report: Report,
    remember: Callable[[tuple[str, ...]], None],
    forget: Callable[[tuple[Verdict, ...]], None],
) -> Iterator[tuple[str, ...]]:
    """While the block runs, no service does; afterwards exactly those run that ran before.

    Args:
        services: which.
        report: who listens.
        remember: called with the names before the first is stopped, so that a later run can
            start them if this one is killed.
        forget: called with a verdict on each once they were started again.
    """
    running = tuple(c for c in services.existing() if c.running)
    names = tuple(container.name for container in running)
    remember(names)
    if not names:
        report.info("no service runs")
    try:
        services.stop(running, report)
        yield names
    finally:
        forget(services.start(names, report) if names else ())
