"""Scope database: a whole one, built beside, proven equal, then switched in by name.

At every moment, whatever is killed, the production name belongs to one whole database.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import psycopg

from archon_ops.actions.expiry import drop_kept
from archon_ops.actions.quiet import services_stopped
from archon_ops.actions.recording import Recording
from archon_ops.actions.restoring.checks import (
    check_extensions,
    check_roles,
    check_room,
    common_notes,
    estimate,
    holds_archon,
    identity,
    identity_notes,
    no_room_to_keep,
)
from archon_ops.actions.restoring.losing import Losses, losses
from archon_ops.actions.restoring.proving import prove_whole, refuse_unequal, remember
from archon_ops.actions.restoring.request import Request
from archon_ops.actions.restoring.safety import Saving, saving
from archon_ops.actions.restoring.target import Target, examine_target
from archon_ops.actions.service import remember_kept, saying_what_serves
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.backup import Backup
from archon_ops.model.plan import ARCHON, DATABASE, RestorePlan, target_of
from archon_ops.model.proof import Proof
from archon_ops.model.units import human_duration
from archon_ops.postgres import attributes, databases, facts, obstacles
from archon_ops.postgres.kept import Kept
from archon_ops.postgres.restore import restore_into
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.postgres.switch import switch
from archon_ops.postgres.toc import Contents
from archon_ops.site import Site
from archon_ops.storage.reference import Located


def plan_whole(
    site: Site, server: Server, located: Located, request: Request, contents: Contents
) -> tuple[RestorePlan, Target]:
    """Steps 2 and 3 of the document: the server, its readiness.

    Raises:
        UntrustworthyError: the backup is another server's.
        PreconditionError: something that it needs is missing.
    """
    site.report.phase("restore.prerequisites", "Prerequisites Check")
    backup, database = located.backup, request.database or site.database
    in_place = not request.beside(site)
    target = _without_parts(examine_target(site, server, backup, database, in_place=in_place))
    with server.connect(databases.MAINTENANCE) as connection:
        obstacles.require_switchable(connection, database)
        _check_needs(server, connection, backup, contents, target)
        size = backup.manifest.database_bytes if backup.manifest else None
        needed, free = check_room(site, server, connection, size)
    notes = identity_notes(server, backup, target, request.trust)
    lost = _losses(site, server, backup, target)
    crowded = no_room_to_keep(needed, free) if in_place and target.exists else []
    notes += (
        crowded + _notes(server, backup, target) + common_notes(site, backup, in_place=in_place)
    )
    planned = RestorePlan(
        target=target_of(site.name, server.host, database, target.system_identifier),
        scope=DATABASE,
        database=database,
        in_place=in_place,
        target_exists=target.exists,
        backup=backup,
        path=str(located.path),
        identities=(identity(backup), target.system_identifier),
        estimated_seconds=estimate(site, backup),
        losses=lost.tables,
        basis=lost.basis,
        counted=lost.counted,
        dropped=tuple((kept.name, kept.size_bytes) for kept in target.dropped),
        notes=tuple(notes),
        needed_bytes=needed,
        free_bytes=free,
        safety=in_place and target.exists and (bool(crowded) or holds_archon(server, target)),
        keeps=not crowded,
    )
    return planned, target


def _without_parts(target: Target) -> Target:
    """Schemas that are kept in the database leave with it, and are not dropped one by one."""
    return replace(target, dropped=tuple(k for k in target.dropped if k.scope != ARCHON))


def _check_needs(
    server: Server, connection: Connection, backup: Backup, contents: Contents, target: Target
) -> None:
    """Extensions and roles that the dump names, on the target."""
    check_extensions(server, connection, contents.extensions, target.database)
    roles = set(backup.manifest.roles if backup.manifest else ())
    if target.attributes:
        own = target.attributes
        roles |= {own.owner, *(s.role for s in own.settings if s.role)}
    check_roles(connection, roles, target.database)
    _check_owners(connection, contents, target, roles)


def _check_owners(
    connection: Connection, contents: Contents, target: Target, roles: set[str]
) -> None:
    """What is restored has to be given to its owners, which not every role may do."""
    owners = tuple(sorted(contents.owners(roles)))
    if closed := obstacles.unassumable(connection, owners):
        raise PreconditionError(
            f"the role {connection.info.user} lacks the privilege to own what belongs to "
            f"{', '.join(closed)}; database {target.database} was not touched",
            'restore as a superuser: user = "NAME" of the source in archon.toml',
        )


def _losses(site: Site, server: Server, backup: Backup, target: Target) -> Losses:
    if not target.exists:
        return Losses((), f"there is no database {target.database} now", counted=True)
    if target.unreadable:
        return Losses((), target.unreadable, counted=False)
    return losses(site, server, target.database, backup, target.system_identifier)


def _notes(server: Server, backup: Backup, target: Target) -> list[str]:
    notes = []
    with server.connect(databases.MAINTENANCE) as connection:
        slots = obstacles.slots_of(connection, target.database)
    if slots:
        notes.append(f"logical replication slots stay with the old database: {', '.join(slots)}")
    if not target.exists and len(target.dropped) < len(target.kept):
        notes.append(
            f"{target.kept[0].name} is kept from an earlier restore: inv undo would bring that back"
        )
    if backup.manifest and not target.exists:
        notes += [
            f"setting {name} has to be set again by hand: its value is a secret that only the dump "
            f"holds (pg_restore --create --file=- {backup.name} | grep ALTER)"
            for name in attributes.withheld(backup.manifest.attributes)
        ]
    return notes


def restore_whole(
    run: Recording, server: Server, located: Located, planned: RestorePlan, target: Target
) -> tuple[Proof, Kept | None]:
    """Steps 4 to 8 of the document.

    Raises:
        UntrustworthyError: what came of it is not what was backed up.
        OpsError: it failed; the message says which database is in service.
    """
    with saying_what_serves(server, target.database, target.oid):
        return _carry_out(run, server, located, planned, target)


def _carry_out(
    run: Recording, server: Server, located: Located, planned: RestorePlan, target: Target
) -> tuple[Proof, Kept | None]:
    site = run.site
    began = time.monotonic()
    quiet = (
        services_stopped(site, run.details) if target.database == site.database else nullcontext()
    )
    with quiet, saving(run, server, planned) as saved:
        proof, kept = _rebuild(run, server, located, target, began, saved)
    site.report.phase("restore.finish", "Verification and clean-up")
    gone = target.dropped if planned.keeps or not kept else (*target.dropped, kept)
    _finish(site, server, located, proof, replace(target, dropped=gone), time.monotonic() - began)
    return proof, kept if planned.keeps else None


def _rebuild(
    run: Recording, server: Server, located: Located, target: Target, began: float, saved: Saving
) -> tuple[Proof, Kept | None]:
    """Build beside, prove, and switch once what is live is saved."""
    site = run.site
    side = databases.side_name(site.run_id)
    try:
        # A session of ours on the server tells other hosts' sweeps that this run lives.
        with _beacon(server, target):
            proof = _build(site, server, located, side, target, saved)
        refuse_unequal(located.backup, proof)
        saved.wait()
        run.details["bytes_per_second"] = _rate(located.backup, time.monotonic() - began)
        kept = _switch(site, server, located, target, side)
        remember_kept(run, server)
        site.report.step("restore.switched", f"{target.database} is the restored database")
    finally:
        _drop_side(site, server, side)
    return proof, kept


def _rate(backup: Backup, seconds: float) -> float:
    size = backup.manifest.database_bytes if backup.manifest else backup.size_bytes
    return round(size / max(seconds, 0.001))


def _beacon(server: Server, target: Target) -> AbstractContextManager[object]:
    usable = target.exists and not target.unreadable
    return server.connect(target.database if usable else databases.MAINTENANCE)


def _drop_side(site: Site, server: Server, side: str) -> None:
    """Drop what was built and is not in service; after the switch there is nothing of that name."""
    try:
        with server.connect(databases.MAINTENANCE) as connection:
            databases.drop(connection, side)
    except (psycopg.Error, OpsError) as error:
        site.report.warn(f"database {side} could not be dropped, the next run will: {error}")


def _build(
    site: Site, server: Server, located: Located, side: str, target: Target, saved: Saving
) -> Proof:
    deadlines = site.settings.deadlines
    site.report.phase("restore.side", "Restoring the Database")
    site.report.info(f"built beside, as {side}")
    with server.connect(databases.MAINTENANCE) as connection:
        _create(connection, side, _locale(connection, located.backup, target), target.database)
    progress = _Sections(site, saved)
    restore_into(server, side, located.path, timeout=deadlines.restore, progress=progress)
    saved.look()
    site.report.step("restore.attributes", "Carrying over owner, rights and settings")
    if target.attributes:
        with server.connect(databases.MAINTENANCE) as connection:
            attributes.apply(connection, side, target.attributes)
    site.report.step("restore.proof", "Comparing every row and object with the manifest")
    return prove_whole(site, server, located, side, target)


def _create(
    connection: Connection, side: str, locale: databases.Locale | None, database: str
) -> None:
    try:
        databases.create(connection, side, locale)
    except psycopg.errors.WrongObjectType as error:  # "invalid LC_COLLATE locale name"
        raise PreconditionError(
            f"the server has not the locale of the backup: {error.diag.message_primary}",
            f"install it there; or first make an empty database {database} with another locale",
        ) from error


class _Sections:
    """Turns pg_restore's progress into phases, one a section; stops if the safety backup fails."""

    def __init__(self, site: Site, saved: Saving) -> None:
        self._site = site
        self._saved = saved
        self._current = ""

    def __call__(self, section: str, seconds: float) -> None:
        self._saved.look()
        if section != self._current:
            self._current = section
            self._site.report.step(f"restore.{section}", f"Restoring {section}")
        self._site.report.progress(f"{section}, {seconds:.0f} s", 0, None)


def _locale(connection: Connection, backup: Backup, target: Target) -> databases.Locale | None:
    """That of the database that is replaced, else that of the backup."""
    if target.exists:
        return databases.locale_of(connection, target.database)
    if backup.manifest is None:
        return None
    server = backup.manifest.server
    return databases.Locale(server.encoding, server.collate, server.ctype, "c", None)


def _switch(site: Site, server: Server, located: Located, target: Target, side: str) -> Kept | None:
    with server.connect(databases.MAINTENANCE) as connection:
        oid = databases.oid_of(connection, side)
    if oid is None:
        raise OpsError(f"database {side} has vanished", "run the restore again")
    kept = Kept(
        name=databases.kept_name(site.run_id),
        database=target.database,
        kept_at=site.clock(),
        run_id=site.run_id,
        replaced_by=located.backup.name,
        snapshot="",
        successor_oid=oid,
        comment=target.comment,
    )
    site.report.step("restore.switch", f"Switching {target.database} to the restored database")
    switch(server, side, kept, comment=target.comment, outgoing_exists=target.exists)
    return kept if target.exists else None


def _finish(
    site: Site, server: Server, located: Located, proof: Proof, target: Target, seconds: float
) -> None:
    """Make sure of the switch, forget the generation before, and remember the proof."""
    with server.connect(target.database) as connection:
        tables = facts.archon_tables(connection)
        site.report.ok(f"database {target.database} answers, with {len(tables)} Archon tables")
    drop_kept(site, server, target.dropped)
    remember(site, located, proof, seconds)
    site.report.ok(f"restored in {human_duration(seconds)}")
