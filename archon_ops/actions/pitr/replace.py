"""Let the recovered cluster take the place of the live one: every database of it, and every role.

It is built in the live one's own volume, so that nothing is copied in the end, and it is proven
there before the live one is touched. What serves afterwards are the very files that were proven.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from archon_ops.actions.exchanging import (
    EXCHANGE,
    SERVES_ALREADY,
    data_directory,
    exchanged,
    remember,
    the_container,
)
from archon_ops.actions.keeping import remember_kept
from archon_ops.actions.pitr.examine import ca_files
from archon_ops.actions.pitr.losing import FORGOTTEN, TIMELINE, Recovered
from archon_ops.actions.pitr.losing import planned as losses_of
from archon_ops.actions.pitr.reach import configured, reached
from archon_ops.actions.quiet import services_stopped
from archon_ops.actions.reading import found
from archon_ops.actions.recording import Recording
from archon_ops.errors import InterruptedByUser, OpsError, PreconditionError, UntrustworthyError
from archon_ops.hosts.described import Container
from archon_ops.model.pitr.config import ASIDE, fitting, render
from archon_ops.model.pitr.exchange import folders_inside
from archon_ops.model.pitr.replacement import ReplacementPlan
from archon_ops.model.proof import prove
from archon_ops.model.units import human_duration
from archon_ops.postgres import databases, facts
from archon_ops.postgres.kept import CLUSTER, Kept
from archon_ops.postgres.pitr.exchange import Exchange, folders_for, name_of
from archon_ops.postgres.pitr.in_container import Place
from archon_ops.postgres.pitr.pgbackrest import InContainer
from archon_ops.postgres.pitr.sandbox import Room
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import scalar
from archon_ops.site import Site

Confirm = Callable[[ReplacementPlan], None]
_CHECK_SECONDS = 120.0


@dataclass(frozen=True)
class Successor:
    """What a recovery needs to know where its cluster shall serve.

    Attributes:
        place: where it is built.
        confirm: is shown the plan, and raises where it is not to be done.
    """

    place: Place
    confirm: Confirm


@dataclass(frozen=True)
class Replaced:
    """A cluster that was replaced.

    Attributes:
        plan: what was confirmed.
        kept: the one that left.
        down_seconds: from its stop until the other one was found to serve as it should.
    """

    plan: ReplacementPlan
    kept: Kept
    down_seconds: float


def place_for(run: Recording) -> Place:
    """Where the cluster is built that shall serve; from now on a killed run is taken back.

    Raises:
        PreconditionError: it cannot be built beside the live one.
    """
    site = run.site
    configured(site)  # what is not there at all is told before what else is lacking
    if site.source.kind != "container":
        raise PreconditionError(
            f"source {site.name} is reached by a DSN: its server is not ours to stop",
            "pitr.restore without --scope, or with --scope archon; the whole cluster: stop the "
            "server, and pgbackrest restore there",
        )
    container = the_container(site)
    data, mount, volume = data_directory(container, _data_directory(site))
    _refuse_mounts(container, data)
    _require_left_out(site, container)
    remember(run.details, name_of(site.run_id), data)
    return Place(volume, mount, data, folders_for(data, site.run_id))


@contextlib.contextmanager
def built_in(run: Recording, room: Room, place: Place) -> Iterator[None]:
    """Leave nothing of the cluster that is built in the live one's volume unless it serves."""
    try:
        yield
    finally:
        exchange = Exchange(room.host, place.live, run.site.report, room.inside.folder)
        name = name_of(run.site.run_id)
        try:
            if run.details.get(EXCHANGE) and not exchange.begun(name):
                with contextlib.suppress(OpsError):  # it may not run any more, or not yet
                    room.inside.abort()
                exchange.take_back(name)
                run.details[EXCHANGE] = None
        except OpsError as error:  # the next run tries again
            run.site.report.warn(f"the sandbox's files are still there: {error.message}")


def replace_cluster(
    run: Recording, room: Room, successor: Successor, recovered: Recovered
) -> Replaced:
    """Show who loses what, and replace the live cluster.

    Args:
        run: the recording.
        room: the sandbox, with the proven server running in it.
        successor: where its files are, and who decides.
        recovered: what it holds.

    Raises:
        PreconditionError: it is not confirmed, or not possible; the live cluster was not touched.
        OpsError: it failed; the live cluster serves as before.
    """
    site = run.site
    site.report.phase("cluster.plan", "Replacing the Whole Cluster: Who Loses What")
    _refuse_tablespaces(room)
    container = the_container(site)
    planned = losses_of(site, room, container, successor.place.live, recovered)
    successor.confirm(planned)
    kept = Kept(
        name=name_of(site.run_id),
        database=site.database,
        kept_at=site.clock(),
        run_id=site.run_id,
        replaced_by=f"the cluster as of {recovered.moment}",
        snapshot=room.inside.ask("SELECT pg_catalog.pg_current_snapshot()"),
        successor_oid=0,
        comment=None,
        scope=CLUSTER,
    )
    room.inside.ask("\n".join(f"ALTER SYSTEM RESET {name};" for name in FORGOTTEN))
    room.inside.settle()
    timeline = room.inside.timeline
    exchange = Exchange(room.host, successor.place.live, site.report, room.inside.folder)

    def check(server: Server) -> None:
        _check(site, server, recovered, timeline)

    down = None
    try:
        with services_stopped(site, run.details):
            began = time.monotonic()
            arriving = f"{kept.name}/data"
            exchanged(site, run.details, container, exchange, kept, arriving, check)
            down = time.monotonic() - began
        with site.server() as server:
            remember_kept(run.site, run.details, server)
        run.details.update({"scope": CLUSTER, "down_seconds": round(down, 3)})
        took = human_duration(down)
        site.report.ok(f"the recovered cluster serves; nobody could connect for {took}")
        _archive_again(site)
    except (OpsError, InterruptedByUser) as error:
        if down is not None:
            error.message = f"{error.message}; {SERVES_ALREADY}"
        raise
    return Replaced(planned, kept, down)


def _data_directory(site: Site) -> str | None:
    """What the live server says of it; None where it does not answer, or tells nobody."""
    try:
        with site.server() as server, server.connect(databases.MAINTENANCE) as connection:
            return facts.data_directory(connection)
    except OpsError as error:
        site.report.warn(f"the live server is not asked: {error.message}")
        return None


def _refuse_mounts(container: Container, data: str) -> None:
    mounted = (str(mount.get("Destination")) for mount in container.mounts)
    if inner := folders_inside(data, mounted):
        raise PreconditionError(
            f"{', '.join(inner)} of container {container.name} is a mount of its own inside of the "
            "data directory, which is not exchanged with it",
            "bring back Archon alone: --scope archon",
        )


def _require_left_out(site: Site, container: Container) -> None:
    """Make sure that a later backup of the cluster does not hold the one that is kept."""
    if not container.running:
        return
    path = configured(site).config
    text = InContainer(site.engine, container, site.source.pitr.user).read(path)
    if text is not None and f"exclude={ASIDE}" not in text.decode(errors="replace").splitlines():
        raise PreconditionError(
            f"{path} in container {container.name} does not leave {ASIDE} out of backups: the "
            "cluster that is kept would be in each of them",
            "inv pitr.setup",
        )


def _refuse_tablespaces(room: Room) -> None:
    query = "SELECT spcname FROM pg_catalog.pg_tablespace WHERE spcname !~ '^pg_' ORDER BY 1"
    if names := room.inside.ask(query).splitlines():
        raise PreconditionError(
            f"the cluster has tablespaces ({', '.join(names)}), which lie elsewhere than its data "
            "directory: those are not exchanged",
            "bring back Archon alone: --scope archon",
        )


def _check(site: Site, server: Server, recovered: Recovered, timeline: int) -> None:
    """Make sure that what serves is what was proven, before Archon's services are let in."""
    manifest, limits = recovered.manifest, site.settings.deadlines
    site.report.step("cluster.proving", "Proving what serves")
    with server.connect(databases.MAINTENANCE) as connection:
        identifier = facts.system_identifier(connection)
        now = int(scalar(connection, TIMELINE))
    if (identifier, now) != (manifest.server.system_identifier, timeline):
        raise UntrustworthyError(
            f"server {identifier} on timeline {now} serves, where server "
            f"{manifest.server.system_identifier} on timeline {timeline} should"
        )
    there = found(server, site.database, limits, scope=recovered.scope)
    proof = prove(manifest, there, None)
    if not proof.equal:
        raise UntrustworthyError(f"what serves is not what was proven: {'; '.join(proof.problems)}")


def _archive_again(site: Site) -> None:
    """Have the WAL of the new timeline archived; what hinders that is told, and undoes nothing."""
    site.report.step("cluster.archive", "WAL of the new timeline on its way into every repository")
    try:
        with reached(site) as at:
            if at.backrest.host.read(at.backrest.config) is None:
                for path, data in ca_files(site).items():
                    at.backrest.host.write(path, data, mode=0o644)
                told = fitting(at.config, at.backrest.version())
                at.backrest.host.write(at.backrest.config, render(told).encode())
            at.backrest.run("check", timeout=_CHECK_SECONDS)
    except OpsError as error:
        site.report.warn(f"WAL is not archived: {error.message}; {error.hint}".rstrip("; "))
        site.report.info("then: inv pitr.setup")
        return
    site.report.ok(
        "WAL arrives in the repositories; now take a new one: inv pitr.backup --type full"
    )
