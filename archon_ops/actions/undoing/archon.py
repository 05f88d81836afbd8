"""Bring Archon's objects back: the exchange backwards, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping

from archon_ops.actions.recording import Recording
from archon_ops.actions.undoing.plan import UndoPlan
from archon_ops.errors import PreconditionError
from archon_ops.model.inventory import differences
from archon_ops.model.plan import ARCHON, target_of
from archon_ops.model.units import human_duration
from archon_ops.postgres import databases, facts
from archon_ops.postgres.archon import foreign
from archon_ops.postgres.archon.dependants import dependants
from archon_ops.postgres.archon.inventory import read_archons
from archon_ops.postgres.archon.move import Exchange, exchange, neighbours_hang
from archon_ops.postgres.archon.objects import SCHEMA, archons, everything
from archon_ops.postgres.archon.privileges import missing_privileges
from archon_ops.postgres.kept import Kept
from archon_ops.postgres.losses import since_snapshot
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.site import Site


def plan_archon(site: Site, server: Server, kept: Kept) -> UndoPlan:
    """What an undo of Archon's objects would do.

    Raises:
        PreconditionError: Archon was migrated since, neighbours hang on it, or a right is missing.
    """
    with server.connect(kept.database) as connection:
        labels = everything(connection, kept.name).labels
        things = archons(connection, labels)
        hanging = dependants(connection, things)
        if hanging.others:
            raise neighbours_hang(hanging.others)
        _refuse_migrated(site, connection, kept, things.labels)
        shared = frozenset(r.label for r in things.routines if r.oid in hanging.shared)
        if lacking := missing_privileges(connection, things, frozenset(), shared):
            raise PreconditionError(
                f"the role {connection.info.user} may not exchange Archon's objects",
                f"have an administrator run: {'; '.join(lacking)}",
            )
        oid = databases.oid_of(connection, kept.database)
        identifier = facts.system_identifier(connection)
        tables = Scope(only=tuple((SCHEMA, name) for name in facts.archon_tables(connection)))
        limit = site.settings.deadlines.proof
        rows = since_snapshot(connection, tables, kept.snapshot, timeout=limit)
        keys = foreign.orphans(connection, kept)
    unread = "; ".join(f"{r.schema}.{r.table}: {r.problem}" for r in rows if r.problem)
    leaving = {f"{r.schema}.{r.table}": r.newer for r in rows if r.newer}
    target = target_of(site.name, server.host, kept.database, identifier)
    return UndoPlan(target, kept, oid, leaving, unread, keys=keys)


def _refuse_migrated(
    site: Site, connection: Connection, kept: Kept, labels: frozenset[str]
) -> None:
    """Objects of before a migration under an application of after it would be a mixture."""
    limit = site.settings.deadlines.stall
    known = frozenset(f"routine {k.partition('.')[2]}" for k in kept.inventory if "function " in k)
    now = read_archons(connection, labels | known, timeout=limit)
    applied = [m for m in facts.migrations(connection) if m not in kept.migrations]
    changed = [f"migration {m} was applied" for m in applied]
    changed += (x.replace("not in the backup", "new") for x in differences(kept.inventory, now))
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise PreconditionError(
            f"Archon was migrated since {kept.name} left service: {'; '.join(changed[:3])}{more}",
            "take the migration back first; or inv restore a backup of the state that you want",
        )


def undo_archon(run: Recording, server: Server, planned: UndoPlan) -> Kept | None:
    """Exchange; answers what left service.

    Raises:
        LockedError: sessions held Archon's tables; nothing was changed.
    """
    site, back = run.site, planned.kept
    with server.connect(back.database) as connection:
        labels = everything(connection, back.name).labels
        foreign.bring_back(connection, back)
    limit = site.settings.deadlines.stall

    def checked(connection: Connection) -> Mapping[str, str]:
        return read_archons(connection, labels | back.routines.keys(), timeout=limit)

    wanted = Exchange(back.name, labels, back.routines, back.publications, checked)
    outgoing = Kept(
        name=databases.kept_name(site.run_id),
        database=back.database,
        kept_at=site.clock(),
        run_id=site.run_id,
        replaced_by="undo",
        snapshot="",
        successor_oid=planned.oid or 0,
        comment=None,
        scope=ARCHON,
    )
    done = exchange(server, wanted, outgoing)
    run.details["locked_seconds"] = round(done.seconds, 3)
    site.report.ok(f"nobody waited longer than {human_duration(done.seconds)} for the exchange")
    for key in done.bound:
        site.report.warn(f"{key}: what is kept holds on to a neighbour's rows until the next run")
    return done.kept
