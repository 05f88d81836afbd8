"""Scope archon: Archon's objects alone, staged beside, proven, exchanged in one transaction.

At every moment, whatever is killed, Archon's names belong to one whole set of objects, the one
before or the new one; what is not Archon's is never touched.
"""

from __future__ import annotations

import time
from contextlib import nullcontext

from archon_ops.actions.expiry import drop_kept
from archon_ops.actions.files import file_of
from archon_ops.actions.keeping import remember_kept
from archon_ops.actions.quiet import services_stopped
from archon_ops.actions.recording import Recording
from archon_ops.actions.restoring.archon_plan import Archon, archon_bytes
from archon_ops.actions.restoring.proving import ArchonProof, remember
from archon_ops.actions.restoring.safety import saving
from archon_ops.actions.service import saying_it_serves, saying_which_archon_serves
from archon_ops.errors import LockedError
from archon_ops.model.plan import ARCHON, RestorePlan
from archon_ops.model.proof import Proof
from archon_ops.model.units import human_duration
from archon_ops.postgres import databases
from archon_ops.postgres.archon import filling, staging
from archon_ops.postgres.archon.move import Exchange, Exchanged, exchange
from archon_ops.postgres.kept import Kept
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.reference import Located


def restore_archon(
    run: Recording, server: Server, located: Located, planned: RestorePlan, found: Archon
) -> tuple[Proof, Kept | None]:
    """Stage, prove, exchange.

    Raises:
        UntrustworthyError: what came of it is not what was backed up; nothing was exchanged.
        LockedError: sessions held Archon's tables; what was built waits for the next run.
        OpsError: it failed; the message says which Archon is in service.
    """
    site, database = run.site, found.target.database
    began = time.monotonic()
    kept_name = databases.kept_name(site.run_id)
    # A session of ours on the server tells other hosts' sweeps that this run lives.
    with (
        saying_which_archon_serves(server, database, kept_name),
        server.connect(database),
        # What is written after the safety backup would be nowhere.
        services_stopped(site, run.details) if planned.safety else nullcontext(),
    ):
        with saving(run, server, planned) as saved:
            saved.wait()
        ready = _built(site, server, located, found)
        try:
            proof, done = _exchanged(run, server, located, planned, found, ready)
        except LockedError:
            raise  # what was built and proven waits for the next run
        except BaseException:
            _drop(site, server, database, ready.schema)
            raise
        run.details["locked_seconds"] = round(done.seconds, 3)
        seconds = max(time.monotonic() - began, 0.001)
        run.details["bytes_per_second"] = round((archon_bytes(located.backup) or 0) / seconds)
        remember_kept(run.site, run.details, server)
    with saying_it_serves(kept=planned.keeps):
        _finish(run, server, planned, found, done)
        remember(site, located, proof, time.monotonic() - began)
        site.report.ok(f"restored in {human_duration(time.monotonic() - began)}")
    return proof, done.kept if planned.keeps else None


def _finish(
    run: Recording,
    server: Server,
    planned: RestorePlan,
    found: Archon,
    done: Exchanged,
) -> None:
    """Say what happened, and drop what is not kept."""
    run.site.report.phase("restore.finish", "Verification and clean-up")
    _tell(run.site, done)
    gone = found.target.dropped
    if done.kept and not planned.keeps:
        gone = (*gone, done.kept)
    drop_kept(run.site, server, gone)


def _built(site: Site, server: Server, located: Located, found: Archon) -> staging.Ready:
    """The staged objects: those that an earlier run could not exchange, or new ones."""
    database, manifest = found.target.database, located.backup.manifest
    with server.connect(database) as connection:
        for earlier in staging.waiting(connection):
            same = manifest and earlier.sha256 == manifest.sha256
            if same and found.shared == earlier.staying.keys():
                site.report.info(f"schema {earlier.schema} was built by an earlier run")
                return earlier
            staging.drop(connection, earlier.schema)
            site.report.info(f"dropped what an earlier run built: schema {earlier.schema}")
    return _build(site, server, located, found)


def _build(site: Site, server: Server, located: Located, found: Archon) -> staging.Ready:
    site.report.phase("restore.side", "Restoring Archon's objects")
    database, limit = found.target.database, site.settings.deadlines.restore
    schema = staging.staging_name(site.run_id)
    site.report.info(f"built beside, in schema {schema}")
    try:
        with server.connect(database) as connection:
            staging.make(connection, schema, found.owners)
        filling.fill(
            filling.Place(server, database, schema, limit),
            located.path,
            found.selection,
            found.shared,
            file_of=file_of(site),
            step=lambda section: site.report.step(f"restore.{section}", f"Restoring {section}"),
            progress=lambda what, done: site.report.progress(what, done, None),
        )
    except BaseException:
        _drop(site, server, database, schema)
        raise
    sha256 = located.backup.manifest.sha256 if located.backup.manifest else ""
    labels = found.selection.labels - found.shared
    staying = found.selection.routines(found.shared)
    return staging.Ready(schema, sha256, labels, staying, site.clock())


def _drop(site: Site, server: Server, database: str, schema: str) -> None:
    """Drop what was built and is not in service; what resists, the next run sweeps."""
    try:
        with server.connect(database) as connection:
            staging.drop(connection, schema)
    except Exception as error:  # noqa: BLE001 - what ended the restore is what matters
        site.report.warn(f"schema {schema} could not be dropped, the next run will: {error}")


def _exchanged(
    run: Recording,
    server: Server,
    located: Located,
    planned: RestorePlan,
    found: Archon,
    ready: staging.Ready,
) -> tuple[Proof, Exchanged]:
    site, database = run.site, found.target.database
    site.report.step("restore.proof", "Comparing every row with the manifest")
    prover = ArchonProof(site, server, located, database, ready)
    prover.prove_content()
    with server.connect(database) as connection:
        staging.mark_ready(connection, ready)
    with nullcontext() if planned.safety else services_stopped(site, run.details):
        site.report.step("restore.switch", "Exchanging Archon's objects")
        done = exchange(server, _wanted(found, ready, prover), _kept(site, located, found))
        site.report.step("restore.switched", "Archon's objects are the restored ones")
        prover.prove_at_work()
    return prover.proof, done


def _wanted(found: Archon, ready: staging.Ready, prover: ArchonProof) -> Exchange:
    return Exchange(
        incoming=ready.schema,
        labels=ready.labels,
        routines=ready.staying,
        publications=found.selection.publications,
        checked=prover.prove_in_place,
    )


def _kept(site: Site, located: Located, found: Archon) -> Kept:
    return Kept(
        name=databases.kept_name(site.run_id),
        database=found.target.database,
        kept_at=site.clock(),
        run_id=site.run_id,
        replaced_by=located.backup.name,
        snapshot="",
        successor_oid=found.target.oid or 0,
        comment=None,
        scope=ARCHON,
    )


def _tell(site: Site, done: Exchanged) -> None:
    """What an operator has to know of what was exchanged."""
    site.report.ok(f"nobody waited longer than {human_duration(done.seconds)} for the exchange")
    for label in done.left:
        site.report.warn(f"{label} is not in the backup: it left service with the old objects")
    for key in done.bound:
        site.report.warn(f"{key}: what is kept holds on to a neighbour's rows until the next run")
    for grant in done.grants:
        site.report.warn(f"not in the backup, and so not in force any more: {grant}")
