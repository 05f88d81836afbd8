"""A whole cluster takes the place of another; whatever goes wrong, the one before is back.

The database's container is stopped for that, and another of the same image, which runs no server,
moves the files in its volume. What a killed run left half done, the next one takes back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from archon_ops.actions.keeping import remember_kept
from archon_ops.errors import InterruptedByUser, OpsError, PreconditionError
from archon_ops.model.report import Silent
from archon_ops.model.runs import Result
from archon_ops.postgres import databases
from archon_ops.postgres.kept import Kept
from archon_ops.postgres.server import Server
from archon_ops.site import Site

if TYPE_CHECKING:  # they bring Docker's SDK, which other sources never need
    from archon_ops.hosts.described import Container
    from archon_ops.postgres.pitr.exchange import Exchange

# Key in the run record under which an exchange is found that may be half done.
EXCHANGE = "exchange"
SERVES_ALREADY = "the other cluster serves already: inv undo brings the one before back"
# PostgreSQL writes all that is in its memory before it ends.
_STOP_SECONDS = 120
_LOG_LINES = 5
_QUIET = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()"""


def data_directory(container: Container, said: str | None) -> tuple[str, str, str]:
    """Where a container's server has its data.

    Args:
        container: which.
        said: what the server says itself; None where it cannot be asked.

    Returns:
        The data directory; the mount that it lies in; its volume, or folder of the engine's host.

    Raises:
        PreconditionError: it lies in the container itself.
    """
    data = said or container.usual_data
    found = container.mount_of(data)
    if found is None:
        raise PreconditionError(
            f"the data directory {data} lies inside of container {container.name} itself, where no "
            "other cluster can be put beside it",
            "put it on a volume; or bring back Archon alone: --scope archon",
        )
    return data, *found


def exchanged(
    site: Site,
    details: dict[str, object],
    container: Container,
    exchange: Exchange,
    kept: Kept,
    arriving: str,
    check: Callable[[Server], None],
) -> None:
    """Stop, exchange, start, check; the cluster of before serves again where any of it fails.

    Args:
        site: of the source.
        details: of the run; says what a later run has to take back if this one is killed.
        container: of the database.
        exchange: the data directory, as a container sees it that may write there.
        kept: how the present cluster is described once it has left.
        arriving: folder of the one that comes.
        check: looks at the server that serves now, and raises where it is not as it should be.
    """
    remember(details, kept.name, exchange.data, stopping=True)
    site.report.step("cluster.stopping", f"Stopping container {container.name}")

    def taken_back() -> str:
        try:
            back = _bring_back(site, container, exchange, kept.name)
            why = _serving_again(site, details, container)
        except OpsError as error:
            return f"and the cluster of before is not back yet ({error.message}): any command tries"
        details[EXCHANGE] = None
        if not back:
            return SERVES_ALREADY
        return f"the cluster is as it was, and {why or 'serves'}"

    try:
        _stop(site, container)
        site.report.step("cluster.stopped", f"Container {container.name} is stopped")
        exchange.carry_out(kept, arriving)
        site.report.step("cluster.starting", f"Starting container {container.name}")
        site.engine.start(container.id)
        with _answering(site, container) as server:
            check(server)
        exchange.settle(kept.name)
        details[EXCHANGE] = None
        site.report.step("cluster.serving", "the other cluster serves")
    except (OpsError, InterruptedByUser) as error:
        error.message = f"{error.message}; {taken_back()}"
        raise
    except BaseException:
        taken_back()
        raise


def remember(details: dict[str, object], name: str, data: str, *, stopping: bool = False) -> None:
    """Write down what the next run has to look at if this one is killed.

    Args:
        details: of the run.
        name: of the exchange.
        data: the data directory.
        stopping: whether its server is stopped next, and so has to be started again.
    """
    details[EXCHANGE] = {"name": name, "data": data, "stopping": stopping}


@contextlib.contextmanager
def held(site: Site, container: Container, said: str | None) -> Iterator[Exchange]:
    """The data directory of a container in another one of the same image, which runs no server.

    Args:
        site: of the source.
        container: of the database, running or not.
        said: its data directory; None: where it usually is.
    """
    from archon_ops.postgres import container_sandbox
    from archon_ops.postgres.container_programs import find_programs
    from archon_ops.postgres.pitr.exchange import Exchange
    from archon_ops.postgres.pitr.pgbackrest import InContainer

    engine = site.engine
    data, mount, volume = data_directory(container, said)
    try:
        made = engine.create(
            container.image,
            f"archon_files-{site.run_id}",
            env={},
            labels={container_sandbox.LABEL: site.run_id},
            network="none",
            entrypoint=("tail", "-f", "/dev/null"),
            writable={mount: volume},
        )
        engine.start(made)
        host = InContainer(engine, engine.inspect(made), site.source.pitr.user)
        programs, _ = find_programs(engine, host.container)
        yield Exchange(host, data, site.report, programs)
    finally:
        container_sandbox.remove(engine, site.run_id)


def bring_back_abandoned(site: Site) -> None:
    """Take back the exchanges that killed runs left half done; called with the lock held.

    Raises:
        OpsError: it is not possible: no server serves, and nobody should start one.
    """
    for record in site.journal.records():
        left = record.details.get(EXCHANGE)
        if record.result is Result.RUNNING or not isinstance(left, dict):
            continue
        name, data, why = str(left["name"]), str(left["data"]), ""
        details = dict(record.details)
        try:
            container = the_container(site)
            with held(site, container, data) as exchange:
                stopped = bool(left.get("stopping")) or exchange.begun(name)
                back = _bring_back(site, container, exchange, name)
            if stopped:
                why = _serving_again(site, details, container)
        except OpsError as error:
            raise OpsError(
                "a killed run left the whole cluster half exchanged, and it cannot be taken back: "
                f"{error.message}",
                f"nothing is lost, all of it lies below {data}; {error.hint}".rstrip("; "),
            ) from error
        if back:
            site.report.info(f"took back what a killed run left: {name}")
        if why:  # as it may have been before: then a recovery is what helps, and not refused
            site.report.warn(f"the cluster is as it was, and {why}")
        site.journal.update(replace(record, details={**details, EXCHANGE: None}))


def the_container(site: Site) -> Container:
    """The container of the source, running or not.

    Raises:
        PreconditionError: there is none, or more than one.
    """
    found = site.engine.find(site.source.container)
    if len(found) != 1:
        raise PreconditionError(
            f"{len(found) or 'no'} containers are called {site.source.container}",
            "docker compose up --no-start in the project that holds the database",
        )
    return found[0]


def _bring_back(site: Site, container: Container, exchange: Exchange, name: str) -> bool:
    """Take an exchange back; whether the cluster of before is the one in place."""
    if exchange.begun(name):
        site.engine.stop(container.id, _STOP_SECONDS)
    return exchange.take_back(name)


def _serving_again(site: Site, details: dict[str, object], container: Container) -> str:
    """Have the server run; why it does not: one that was broken before is so again."""
    try:
        site.engine.start(container.id)
        with _answering(site, container) as server:
            remember_kept(site, details, server)
    except OpsError as error:
        return f"does not serve: {error.message}"
    return ""


@contextlib.contextmanager
def _answering(site: Site, container: Container) -> Iterator[Server]:
    """The source's server, as soon as it answers."""
    from archon_ops.postgres.container_sandbox import wait_until_ready

    quiet = site.reporting_to(Silent())  # that it does not answer yet is no news

    def given_up() -> str:
        found = site.engine.inspect(container.id)
        if found.running:
            return ""
        log = site.engine.logs(container.id, _LOG_LINES).strip().splitlines()
        return f"container {container.name} is {found.status}: {log[-1] if log else 'no log'}"

    wait_until_ready(quiet.server, given_up)
    with site.server() as server:
        yield server


def _stop(site: Site, container: Container) -> None:
    """Stop the server with nothing left to write: some images' servers wait for every client."""
    # Only to be quick: one that lets us not, or is gone already, is stopped all the same.
    with (
        contextlib.suppress(OpsError),
        site.reporting_to(Silent()).server() as server,
        server.connect(databases.MAINTENANCE) as connection,
    ):
        connection.execute("CHECKPOINT")
        connection.execute(_QUIET)
    site.engine.stop(container.id, _STOP_SECONDS)
