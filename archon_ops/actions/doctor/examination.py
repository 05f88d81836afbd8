"""What one examination has seen so far; the report file and the checklist read it too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from archon_ops.actions.doctor.cron import Line
from archon_ops.actions.doctor.surroundings import Surroundings
from archon_ops.model.backup import ServerFacts, TableSize
from archon_ops.model.catalog import Catalog
from archon_ops.model.diagnosis import Diagnosis, Finding
from archon_ops.model.runs import RunRecord
from archon_ops.site import Site


@dataclass
class Examination:
    """What one examination saw; it grows while it is made.

    Attributes:
        site: whose; with short deadlines and nobody listening.
        inv: options that our commands need to mean this source.
        surroundings: what the engine told.
        live: the server; None where it was not reached.
        sizes: of its tables.
        database_bytes: of the database; None where it was not reached.
        expected: bytes that the next backup will take, about; None where that is not known.
        encrypted: whether credentials could be read, and those; never shown.
        catalog: the backups.
        records: of the runs, newest first.
        records_whole: whether all of them could be read.
        schedule: lines that run by themselves.
        findings: of all checks so far.
        skipped: what does not apply to the source.
    """

    site: Site
    inv: str
    surroundings: Surroundings
    live: ServerFacts | None = None
    sizes: tuple[TableSize, ...] = ()
    database_bytes: int | None = None
    expected: int | None = None
    encrypted: tuple[str, ...] | None = None
    catalog: Catalog = field(default_factory=lambda: Catalog(()))
    records: tuple[RunRecord, ...] = ()
    records_whole: bool = False
    schedule: tuple[Line, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: tuple[str, ...] = ()

    def add(self, findings: Iterable[Finding]) -> None:
        """Take the findings of a family."""
        self.findings = (*self.findings, *findings)

    def blocked(self, check: str) -> bool:
        """Whether this check found that a backup could not run."""
        return any(f.check == check and f.blocks_backup for f in self.findings)

    def diagnosis(self, mended: tuple[str, ...] = ()) -> Diagnosis:
        """The answer."""
        at = self.site.clock()
        return Diagnosis(self.site.name, at, self.findings, self.skipped, mended)
