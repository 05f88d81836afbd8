"""Bring the whole cluster back as it was at a moment: into a sandbox, and only there.

What Archon needs of it is then taken as any backup is: with a manifest and its proof. So rows come
back by `inv rescue` and all of Archon by `inv restore`, and both can be undone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from archon_ops.actions.pitr.aim import (
    Aim,
    aim_at_point,
    aim_without,
    course,
    moment_of,
    require_reached,
)
from archon_ops.actions.pitr.branch import along
from archon_ops.actions.pitr.losing import Recovered
from archon_ops.actions.pitr.point import point_name
from archon_ops.actions.pitr.replace import (
    Confirm,
    Replaced,
    Successor,
    built_in,
    place_for,
    replace_cluster,
)
from archon_ops.actions.pitr.rooms import require_usable, sandbox
from archon_ops.actions.pitr.sandboxed import proven_there
from archon_ops.actions.preflight import check
from archon_ops.actions.quiet import with_services
from archon_ops.actions.recording import Recording, recorded
from archon_ops.actions.taking.take import take
from archon_ops.errors import ExitCode, PreconditionError
from archon_ops.model.backup import Manifest
from archon_ops.model.pitr.recovery import Stopped
from archon_ops.model.pitr.stock import Stock
from archon_ops.model.proof import Proof
from archon_ops.model.units import human_duration, human_size, zulu
from archon_ops.postgres.pitr.inside import MissedError
from archon_ops.postgres.pitr.sandbox import Room
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage import pitr as kept

ACTION = "pitr-restore"
LABEL = "pitr"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        time: a moment as people write it, or "latest"; empty where a point is named.
        name: a restore point; empty where a moment is named.
        confirm: is shown what the whole cluster loses, which is replaced then; None leaves it.
        timeline: to follow; None: the live server's, or else the newest in the repository.
    """

    time: str = ""
    name: str = ""
    confirm: Confirm | None = None
    timeline: int | None = None


@dataclass(frozen=True)
class Brought:
    """A cluster as it was, of which a backup was taken.

    Attributes:
        backup: that backup's name.
        moment: UTC; what the backup holds is of then.
        aim: where the recovery went.
        stopped: how far it came.
        timeline: that it followed.
        proof: the backup against the recovered database, and of a point of ours also that
            against what was written down when it was made.
        seconds: restore (files), answering (from the start until the server took questions),
            proof, total.
        exit_code: DONE, or INCONCLUSIVE where not all could be proven.
        replaced: what became of the live cluster; None where it was not to be replaced.
    """

    backup: str
    moment: datetime
    aim: Aim
    stopped: Stopped
    timeline: int
    proof: Proof
    seconds: dict[str, float]
    exit_code: ExitCode
    replaced: Replaced | None = None


def restore(site: Site, request: Request) -> Brought:
    """Recover into a sandbox, prove what came, and take a backup of it.

    Where that is confirmed, the recovered cluster then takes the place of the live one.

    Raises:
        PreconditionError: the moment is outside of what can be restored; says what can.
        UntrustworthyError: the repository, or what came of it, is damaged.
        OpsError: it failed; nothing was touched but the sandbox, which is gone.
    """
    # What is no moment is told before anything else.
    moment = None if request.name else moment_of(site, request.time)
    with recorded(site, ACTION) as run:
        began = time.monotonic()
        run.details["target"] = request.name or request.time
        run.site.report.phase("pitr.aim", "Point-in-Time Recovery: which backup, how far")
        known = course(run.site, moment, request.timeline, point=bool(request.name))
        place = place_for(run) if request.confirm else None
        with sandbox(run.site, place) as room:
            stock = room.backrest.info()
            require_usable(run.site, stock, room)
            stock = along(run.site, room.backrest, stock, known.branch, request.timeline)
            aim = aim_at_point(stock, request.name) if request.name else known.aim
            aim = aim or aim_without(stock, moment)
            if place is None or request.confirm is None:
                brought = _in_sandbox(run, room, stock, aim, began)
            else:
                with built_in(run, room, place):
                    brought = _in_sandbox(
                        run, room, stock, aim, began, Successor(place, request.confirm)
                    )
        run.exit_code = with_services(run.details, brought.exit_code)
        return replace(brought, exit_code=run.exit_code)


def _in_sandbox(
    run: Recording,
    room: Room,
    stock: Stock,
    aim: Aim,
    began: float,
    successor: Successor | None = None,
) -> Brought:
    site, seconds = run.site, {}
    size = human_size(aim.label.database_bytes)
    site.report.ok(f"begins with {aim.label.kind} backup {aim.label.name}, {size}")
    room.room_for(aim.label.database_bytes)
    site.report.phase("pitr.restore", "Restoring the Cluster into a Sandbox")
    started = time.monotonic()
    room.restore(aim.stop, backup=aim.label.name)
    seconds["restore"] = time.monotonic() - started
    require_reached(site, room, stock, aim)
    site.report.phase("pitr.recover", "Replaying WAL")
    stopped = _recovered(room, aim)
    timeline = aim.timeline or room.inside.timeline  # the promotion begins another
    snapshot = room.inside.ask("SELECT pg_catalog.pg_current_snapshot()")
    room.promote()
    recorded_then = _record(site, aim)
    at = recorded_then.snapshot_at if recorded_then else _moment(aim, stopped)
    with room.server() as server:
        seconds["answering"] = time.monotonic() - started
        _say(site, stopped, seconds)
        path, manifest, scope = _taken(run, server, at)
        run.details.update({"backup": path.name, "moment": zulu(at), "label": aim.label.name})
        checking = time.monotonic()
        proof, unproven = proven_there(site, room, server, path, manifest, recorded_then, scope)
        seconds["proof"] = time.monotonic() - checking
    replaced = None
    if successor:
        whole = aim.label.database_bytes
        recovered = Recovered(zulu(at), whole, snapshot, timeline, manifest, scope, unproven)
        replaced = replace_cluster(run, room, successor, recovered)
        seconds["down"] = replaced.down_seconds
    seconds["total"] = time.monotonic() - began
    run.details["seconds"] = {name: round(value, 3) for name, value in seconds.items()}
    run.details["answering_seconds"] = seconds["answering"]
    run.details["cluster_bytes"] = aim.label.database_bytes
    proof = replace(proof, not_proven=(*proof.not_proven, *unproven))
    code = ExitCode.INCONCLUSIVE if proof.not_proven else ExitCode.DONE
    return Brought(path.name, at, aim, stopped, timeline, proof, seconds, code, replaced)


def _recovered(room: Room, aim: Aim) -> Stopped:
    try:
        return room.recover()
    except MissedError as error:
        if aim.stop.kind != "name":
            raise
        raise PreconditionError(
            f"there is no restore point {aim.stop.value} in the WAL after {aim.label.name}",
            "one that inv pitr.backup made is called archon_ops-LABEL: inv pitr.list",
        ) from error


def _record(site: Site, aim: Aim) -> Manifest | None:
    """What was written down of a point's content when it was made; None where nothing was."""
    if aim.stop.value != point_name(aim.label.name):
        return None
    return kept.read_proof(site.directory, aim.label.name)


def _moment(aim: Aim, stopped: Stopped) -> datetime:
    """Of when the recovered data is."""
    return aim.moment or stopped.last_commit or aim.label.stopped_at


def _say(site: Site, stopped: Stopped, seconds: dict[str, float]) -> None:
    last = f"{stopped.last_commit:%Y-%m-%d %H:%M:%S.%f} UTC" if stopped.last_commit else "none"
    site.report.ok(
        f"the server of then answers after {human_duration(seconds['answering'])}; "
        f"last commit replayed: {last}"
    )
    if stopped.next_commit:
        site.report.info(
            f"the first change left out: transaction {stopped.next_transaction}, "
            f"{stopped.next_commit:%Y-%m-%d %H:%M:%S.%f} UTC"
        )


def _taken(run: Recording, server: Server, at: datetime) -> tuple[Path, Manifest, Scope]:
    """A backup of the recovered server, as of its moment, and what of that server it covers."""
    began = run.site.clock()

    def then() -> datetime:
        """The moment, and on from there: durations stay what they are."""
        return at + max(run.site.clock() - began, timedelta(0))

    site = replace(run.site, clock=then)
    like_live = replace(server, host=site.source.container or server.host)
    site.report.phase("backup.prerequisites", "Taking What Was Recovered as a Backup")
    ready = check(site, like_live, (), (), allow_empty=True)
    return (*take(replace(run, site=site), like_live, ready, LABEL), ready.scope)
