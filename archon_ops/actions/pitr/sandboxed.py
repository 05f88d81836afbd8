"""Is what was recovered in a sandbox what it should be, and its files sound?"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from archon_ops.actions.pitr.proof import proven
from archon_ops.actions.reading import found, questions_for
from archon_ops.errors import OpsError, UntrustworthyError
from archon_ops.model.backup import Manifest, Verification
from archon_ops.model.proof import Comparison, Proof, prove
from archon_ops.postgres.pitr.consistency import damages
from archon_ops.postgres.pitr.sandbox import Room
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.verifications import append_verification


def proven_there(
    site: Site,
    room: Room,
    server: Server,
    path: Path,
    manifest: Manifest,
    then: Manifest | None,
    scope: Scope,
) -> tuple[Proof, tuple[str, ...]]:
    """Hold the backup against the recovered server, and look into that server's files.

    Args:
        site: where.
        room: the sandbox.
        server: the one that was recovered.
        path: the dump of the backup that was taken of it.
        manifest: of that backup.
        then: what was written down when the point was made; None where nothing was.
        scope: what the backup covers of that server.

    Raises:
        UntrustworthyError: they do not agree; the backup is marked as failed.
    """
    site.report.phase("pitr.proof", "Proving the Recovered Cluster")
    began = time.monotonic()
    there = found(
        server,
        site.database,
        site.settings.deadlines,
        questions=questions_for(site, manifest),
        scope=scope,
    )
    proof = prove(manifest, there, None)
    if then is not None:
        proof = _both(proof, proven(server, site.database, then, site.settings.deadlines))
    broken, unproven = _looked_into(site, room)
    if problems := (*proof.problems, *broken):
        seconds = time.monotonic() - began
        look = Verification(site.clock(), "restore", False, problems, manifest.sha256, seconds)
        append_verification(path, look, site.run_id)
        raise UntrustworthyError(
            f"what was recovered is damaged: {'; '.join(problems[:3])}",
            f"{path.name} is marked as failed; an earlier backup may be sound: inv pitr.verify",
        )
    site.report.ok(
        f"{manifest.archon_rows} rows of Archon in "
        f"{sum(t.table.startswith('archon_') for t in manifest.tables)} tables, searches answered"
        + ("" if unproven else ", heap and indexes agree")
    )
    return proof, unproven


def _both(ours: Proof, of_then: Proof) -> Proof:
    """The proof with what differs from the record of then, of which the tables are the same."""
    inventory = Comparison(
        of_then.inventory.equal and ours.inventory.equal,
        of_then.inventory.differences + ours.inventory.differences,
    )
    equal = of_then.equal and ours.equal
    tables = of_then.tables if not of_then.equal else ours.tables
    return replace(ours, equal=equal, tables=tables, inventory=inventory)


def _looked_into(site: Site, room: Room) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Damages of the files, and what could not be looked into."""
    try:
        lines = damages(room.inside.ask, site.database, room.inside.major)
    except OpsError as error:
        return (error.message,), ()
    if lines is None:
        return (), ("heap against indexes: its PostgreSQL has no amcheck",)
    return lines, ()
