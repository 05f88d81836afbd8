"""What every action that changes something is wrapped in: lock, sweep, run record.

It stands in one place, so that no action can forget it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from archon_ops.actions.exchanging import bring_back_abandoned
from archon_ops.actions.quiet import start_abandoned
from archon_ops.errors import ExitCode, InterruptedByUser, OpsError
from archon_ops.model.report import Report
from archon_ops.model.runs import CHANNELS, Result, RunRecord, ended, entered
from archon_ops.model.text import clean
from archon_ops.notify import ping
from archon_ops.notify.ping import Ping
from archon_ops.postgres import databases, sandbox
from archon_ops.postgres.archon import foreign, staging
from archon_ops.postgres.archon import kept as schemas
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.lock import Lock
from archon_ops.storage.sweep import sweep

# Copies of dumps inside of a container that are looked for: those of so many killed runs.
_REMEMBERED = 50


@dataclass
class Recording:
    """A run in progress.

    Attributes:
        site: the site, whose report also writes the phases down.
        details: what the run wants to be found again; JSON types only.
        exit_code: what the run will tell its caller.
        reason: why it is written down as failed, though it came to its end.
        ping: tells a watchdog, where one is configured.
    """

    site: Site
    details: dict[str, object] = field(default_factory=dict)
    exit_code: ExitCode = ExitCode.DONE
    reason: str = ""
    ping: Ping | None = None


class _PhaseLog:
    """A report that passes everything on and writes phases to the run record."""

    def __init__(self, site: Site, record: RunRecord, details: dict[str, object]) -> None:
        self._site = site
        self._details = details
        self._warned = False
        self.record = record

    def phase(self, name: str, title: str) -> None:
        self._write_down(name)
        self._site.report.phase(name, title)

    def step(self, name: str, title: str) -> None:
        self._write_down(name)
        self._site.report.step(name, title)

    def _write_down(self, name: str) -> None:
        # The details as well: of a run that is killed nothing else is left to tell of them.
        details = {**self.record.details, **self._details}
        self.record = entered(replace(self.record, details=details), name, self._site.clock())
        try:
            self._site.journal.update(self.record)
        except OpsError as error:
            self._warn_once(error)

    def finish(self, record: RunRecord) -> None:
        """Write down how the run ended."""
        try:
            self._site.journal.finish(record)
        except OpsError as error:
            self._warn_once(error)

    def _warn_once(self, error: OpsError) -> None:
        """What a run does matters more than its record: a full disk must not stop a restore."""
        if not self._warned:
            self._site.report.warn(f"the run record is not up to date: {error.message}")
            self._warned = True

    def ok(self, text: str) -> None:
        self._site.report.ok(text)

    def info(self, text: str) -> None:
        self._site.report.info(text)

    def warn(self, text: str) -> None:
        self._site.report.warn(text)

    def progress(self, label: str, done: int, total: int | None) -> None:
        self._site.report.progress(label, done, total)


@contextlib.contextmanager
def recorded(site: Site, action: str, *, alone: bool = True) -> Iterator[Recording]:
    """Run the block as one recorded run, alone in the source's backup directory.

    Args:
        site: where.
        action: name of the action, as in the record.
        alone: False for a run that only reads the directory: backups may be taken beside it.

    Raises:
        LockedError: another run holds the directory.
        PreconditionError: the directory cannot be used.
    """
    site.directory.prepare()
    with contextlib.ExitStack() as held:
        held.enter_context(Lock(site.directory, action, site.settings.deadlines.lock))
        for path in sweep(site.directory):
            site.report.info(f"removed what a killed run left: {path.name}")
        site.journal.close_killed(site.clock())
        _sweep_sandboxes(site)
        if site.source.kind == "container":
            bring_back_abandoned(site)
        start_abandoned(site, site.report)
        record = RunRecord(
            site.run_id, action, site.name, site.clock(), os.getpid(), socket.gethostname()
        )
        site.journal.start(record)
        if not alone:
            held.close()
        details: dict[str, object] = {}
        log = _PhaseLog(site, record, details)
        run = Recording(site.reporting_to(_as_report(log)), details, ping=_ping(site, action))
        try:
            yield run
        except OpsError as error:
            _finish(site, log, run, Result.FAILED, error.exit_code, error.message, error.hint)
            raise
        except (InterruptedByUser, KeyboardInterrupt) as error:
            code = getattr(error, "exit_code", ExitCode.INTERRUPTED)
            _finish(site, log, run, Result.INTERRUPTED, code, str(error), "")
            raise
        except BaseException as error:
            _finish(
                site,
                log,
                run,
                Result.FAILED,
                ExitCode.FAILED,
                f"{type(error).__name__}: {error}",
                "",
            )
            raise
        result = Result.FAILED if run.reason else Result.DONE
        _finish(site, log, run, result, run.exit_code, run.reason, "")


def _as_report(log: _PhaseLog) -> Report:
    return log


def _finish(
    site: Site, log: _PhaseLog, run: Recording, result: Result, code: int, reason: str, hint: str
) -> None:
    details = {**log.record.details, **run.details}
    record = replace(log.record, details=details)
    record = ended(record, site.clock(), result, int(code), reason=reason, hint=hint)
    log.finish(record)
    if run.ping:
        problem = run.ping.end(good=_is_good(record), text=_in_words(record))
        if problem:
            site.report.warn(f"the watchdog was not told: {problem}")
        # Told twice: how it ended must stand there whatever a ping does.
        log.finish(replace(record, details={**details, CHANNELS: {ping.NAME: problem}}))


def _ping(site: Site, action: str) -> Ping | None:
    """Tell the watchdog, if there is one, that a run begins."""
    url = site.settings.monitor.ping.get_secret_value()
    if not url:
        return None
    made = Ping(url.replace("{action}", action).replace("{source}", site.name), site.run_id)
    made.start()
    return made


def _is_good(record: RunRecord) -> bool:
    good = (ExitCode.DONE, ExitCode.INCONCLUSIVE)
    return record.result is Result.DONE and record.exit_code in good


def _in_words(record: RunRecord) -> str:
    said = f"{record.action} of {record.source}: {record.result}, exit code {record.exit_code}"
    return clean(f"{said}: {record.reason}" if record.reason else said)


def _sweep_sandboxes(site: Site) -> None:
    """Remove the sandboxes of dead runs; one that resists keeps nobody from a backup."""
    try:
        names = [*sandbox.sweep(site.settings.state / "sandboxes"), *_sweep_containers(site)]
        for name in names:
            site.report.info(f"removed what a killed run left: sandbox {name}")
    except (OpsError, OSError) as error:
        site.report.warn(f"a killed run's sandbox cannot be removed: {error}")


def _sweep_containers(site: Site) -> tuple[str, ...]:
    """Remove the sandbox containers of this source's runs that do not run any more."""
    if site.source.kind != "container":
        return ()
    from archon_ops.postgres import container_sandbox

    engine = site.engine
    over = {r.id for r in site.journal.records() if r.result is not Result.RUNNING}
    return tuple(
        run_id
        for run_id in sorted(container_sandbox.owners(engine) & over)
        if container_sandbox.remove(engine, run_id)
    )


def sweep_server(site: Site, server: Server) -> None:
    """End the sessions and drop the side databases that killed runs left on the server."""
    killed = tuple(r.id for r in site.journal.records() if r.result is Result.KILLED)
    # A run that failed because the container went away could not remove its copy either.
    undone = tuple(r.id for r in site.journal.records() if r.result is not Result.DONE)
    server.programs.forget(undone[:_REMEMBERED])
    with server.connect(databases.MAINTENANCE) as connection:
        if count := databases.end_sessions_of(connection, killed):
            site.report.info(f"ended {count} sessions that a killed run left on the server")
        for name in (*databases.abandoned_sides(connection), *databases.half_dropped(connection)):
            databases.drop(connection, name)
            site.report.info(f"dropped what a killed run left: database {name}")
        there = databases.oid_of(connection, site.database) is not None
    if there:
        _sweep_schemas(site, server)


def _sweep_schemas(site: Site, server: Server) -> None:
    """Drop the schemas that killed runs left in the live database.

    One that is hard to drop, or in a database that lets nobody in, keeps nobody from a restore.
    """
    try:
        with server.connect(site.database) as connection:
            oldest = site.clock() - site.settings.kept_for
            late = [r.schema for r in staging.waiting(connection) if r.built_at < oldest]
            dead = (*staging.abandoned(connection), *schemas.half_dropped(connection), *late)
            for name in dead:
                staging.drop(connection, name)
                site.report.info(f"dropped what a killed run left: schema {name}")
            for kept in schemas.generations(connection):
                foreign.let_go(connection, kept)
    except OpsError as error:
        site.report.warn(f"what killed runs left cannot be swept: {error.message}")
