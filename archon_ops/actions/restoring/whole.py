"""Scope database: a whole one, built beside, proven equal, then switched in by name.

At every moment, whatever is killed, the production name belongs to one whole database.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import psycopg

from archon_ops.actions.expiry import drop_kept
from archon_ops.actions.keeping import remember_kept
from archon_ops.actions.quiet import services_stopped
from archon_ops.actions.recording import Recording
from archon_ops.actions.restoring.proving import prove_whole, refuse_unequal, remember
from archon_ops.actions.restoring.safety import Saving, saving
from archon_ops.actions.restoring.target import Target
from archon_ops.actions.service import saying_what_serves
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.backup import Backup
from archon_ops.model.plan import RestorePlan
from archon_ops.model.proof import Proof
from archon_ops.model.units import human_duration
from archon_ops.postgres import attributes, databases, facts
from archon_ops.postgres.kept import Kept
from archon_ops.postgres.restore import restore_into
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.postgres.switch import switch
from archon_ops.site import Site
from archon_ops.storage.reference import Located


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
        remember_kept(run.site, run.details, server)
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
