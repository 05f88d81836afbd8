"""The recovery drill: the newest trustworthy backup into a sandbox, proven, timed; and a review.

Each function is a cell of runbooks/drill.ipynb.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archon_ops.actions.checklist import checklist
from archon_ops.actions.examining import examine
from archon_ops.actions.offsite.fetched import fetched
from archon_ops.actions.offsite.places import EVERYWHERE, destinations
from archon_ops.actions.trial import PROVING_DATABASE, proof_in_sandbox, restore_in_sandbox
from archon_ops.errors import OpsError, UntrustworthyError
from archon_ops.model.checklist import Phase
from archon_ops.model.proof import Proof
from archon_ops.model.report import Silent
from archon_ops.model.shown import Table, facts
from archon_ops.model.units import human_duration, human_size, zulu
from archon_ops.postgres.server import Server
from archon_ops.runbook import describe
from archon_ops.runbook.controls import negative_controls
from archon_ops.runbook.session import Session
from archon_ops.storage.cipher import Keys
from archon_ops.storage.reference import Located

STEPS = (
    ("drill.choose", "Choose the newest trustworthy backup"),
    ("drill.restore", "Restore it into a sandbox"),
    ("drill.prove", "Compare every row and object with the backup's manifest"),
    ("drill.controls", "Damage the copy, and see the proof fail"),
    ("drill.review", "Monthly review"),
)


@dataclass(frozen=True)
class Restored:
    """A backup that was restored into a sandbox.

    Attributes:
        located: the backup.
        server: the sandbox.
        seconds: how long restoring took.
    """

    located: Located
    server: Server
    seconds: float

    def shown(self) -> tuple[Table, ...]:
        """Where it is now, and how long that took."""
        table = facts(
            "Restored",
            ("Backup", self.located.backup.name),
            ("Into", f"a sandbox of kind {self.server.kind}, which nobody else can reach"),
            ("PostgreSQL", self.server.programs.version),
            ("Restoring took", human_duration(self.seconds)),
        )
        return (table,)


def plan(run: Session) -> Table:
    """What the drill will do."""
    run.not_covered("Archon's services: a drill of the database alone leaves them as they are")
    return run.plan(*STEPS)


def choose(run: Session, *, offsite: str = "", identity: str = "") -> Located:
    """The newest backup whose bytes are those that were written; a damaged one is passed over.

    Args:
        run: the session.
        offsite: take a copy from there instead: a place of the settings, a URL, or "offsite" for
            all places. Fetching and opening it count as recovery time.
        identity: file with the private age key; empty: as the settings say.

    Raises:
        OpsError: there is none.
    """
    with run.step("drill.choose", "Choose the newest trustworthy backup", recovery=True):
        located = newest_copy(run, offsite, identity) if offsite else newest_trustworthy(run)
        describe.backup(run, located)
    return located


def newest_copy(run: Session, offsite: str, identity: str = "") -> Located:
    """The newest copy offsite that is what was pushed; it lies here until the end of the run.

    Raises:
        OpsError: no place has one that can be opened.
    """
    urls = () if offsite == EVERYWHERE else (offsite,)
    keys = Keys(Path(identity).expanduser() if identity else None)
    found = run.hold(fetched(run.site, destinations(run.site, urls), keys))
    for text in found.passed_over:
        run.deviation(text)
    copy = found.copy
    run.fact(
        "copy",
        {
            "from": found.located.origin,
            "name": copy.name,
            "pushed_at": zulu(copy.pushed_at),
            "encrypted": copy.cipher,
            "stored_bytes": copy.stored_bytes,
        },
    )
    return found.located


def newest_trustworthy(run: Session) -> Located:
    """The newest backup that holds what it should, read in full; says which were passed over.

    Raises:
        OpsError: there is none.
    """
    directory = run.site.directory
    for backup in directory.catalog().ordinary:
        located = Located(directory.path_of(backup).absolute(), backup, inside=True)
        if backup.managed and (why := _doubt(run, located)):
            run.deviation(f"{backup.name} cannot be trusted and was passed over: {why}")
        elif backup.managed:
            return located
    raise OpsError(
        f"there is no backup in {directory.path} that can be restored: nothing could be recovered",
        "inv backup",
    )


def _doubt(run: Session, located: Located) -> str:
    """Why a backup cannot be trusted; empty when it can."""
    if located.backup.problems:
        return "; ".join(located.backup.problems)
    try:
        examine(run.site, located)
    except UntrustworthyError as error:
        return error.message
    return ""


def restore(run: Session, located: Located) -> Restored:
    """Restore into a sandbox that lasts until the end of the run.

    Raises:
        OpsError: it cannot be restored, or there is nothing to make a sandbox of.
    """
    manifest = describe.manifest_of(located)
    began = run.site.clock()
    with run.step("drill.restore", "Restore it into a sandbox", recovery=True):
        server = run.hold(run.site.sandbox(manifest.server.major))
        restore_in_sandbox(run.site, server, located, manifest)
        describe.sandbox(run, server, PROVING_DATABASE)
    return Restored(located, server, (run.site.clock() - began).total_seconds())


def prove_equal(run: Session, restored: Restored) -> Table:
    """Compare the restored database with the manifest, row by row and object by object."""
    manifest = describe.manifest_of(restored.located)
    with run.step("drill.prove", "Compare every row and object", recovery=True):
        proof = proof_in_sandbox(run.site, restored.server, manifest)
        describe.proof(run, proof)
    return _proof_table(proof)


def controls(run: Session, restored: Restored) -> Table:
    """Damage the copy on purpose: a proof that passes over it proves nothing."""
    manifest = describe.manifest_of(restored.located)
    with run.step("drill.controls", "Damage the copy, and see the proof fail"):
        return negative_controls(
            run,
            restored.located,
            restored.server,
            PROVING_DATABASE,
            lambda: proof_in_sandbox(run.site, restored.server, manifest),
        )


def _proof_table(proof: Proof) -> Table:
    rows = tuple(
        (t.table, _rows(t.rows_expected), _rows(t.rows_found), "equal" if t.equal else "DIFFERS")
        for t in proof.tables
    )
    more = (
        *proof.inventory.differences,
        *proof.attributes.differences,
        *proof.retrieval.differences,
    )
    equal = f"every schema object is equal, and {proof.retrieval.questions} answers of searches"
    note = "; ".join(more) if more else equal
    return Table("Proof", ("table", "rows expected", "rows found", "content"), rows, note)


def _rows(count: int | None) -> str:
    return "-" if count is None else str(count)


def review(run: Session) -> Table:
    """The handbook's monthly review: its boxes, ticked where that can be known."""
    with run.step("drill.review", "Monthly review"):
        site = run.site.reporting_to(Silent())
        boxes = checklist(site, (Phase.MONTHLY,))[Phase.MONTHLY]
        rows = tuple(
            ("x" if box.ticked else " ", box.text, box.why, box.to_do or "-") for box in boxes
        )
        run.fact("review", [{"text": b.text, "ticked": b.ticked, "why": b.why} for b in boxes])
    return Table("Monthly review", ("", "box", "why", "to do"), rows)


def backup_table(located: Located) -> Table:
    """A backup, for people."""
    manifest = describe.manifest_of(located)
    return facts(
        "Backup under test",
        ("Name", manifest.name),
        ("Fetched from", located.origin or "nowhere: it lies here"),
        ("Holds the database as of", zulu(manifest.snapshot_at)),
        ("Size", human_size(manifest.size_bytes)),
        ("SHA-256", manifest.sha256),
        ("Rows", f"{manifest.rows} in {len(manifest.tables)} tables"),
        ("Migration head", manifest.migration_head),
    )
