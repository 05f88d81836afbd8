"""What an examination found: symptom, what was looked at, cause, and the command that mends it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from archon_ops.errors import ExitCode
from archon_ops.model.units import zulu


class Status(StrEnum):
    """How a check ended, the worst first.

    problem: something does not work, or would be lost.
    warning: it works, and will not for ever.
    unknown: it could not be looked at.
    note: worth knowing.
    ok: as it should be.
    """

    PROBLEM = "problem"
    WARNING = "warning"
    UNKNOWN = "unknown"
    NOTE = "note"
    OK = "ok"

    @property
    def rank(self) -> int:
        """0 for the worst, rising."""
        return list(Status).index(self)


@dataclass(frozen=True)
class Finding:
    """The answer of one check.

    Attributes:
        check: stable name ("container.init").
        status: how it ended.
        symptom: what a person would notice of it.
        looked_at: where the answer comes from.
        found: what was there.
        cause: why that is; empty when all is well.
        mend: the command to type, or the line to write; empty when all is well.
        blocks_backup: whether a backup could not run.
    """

    check: str
    status: Status
    symptom: str
    looked_at: str
    found: str
    cause: str = ""
    mend: str = ""
    blocks_backup: bool = False

    @property
    def well(self) -> bool:
        """Whether nobody has to do anything."""
        return self.status in (Status.OK, Status.NOTE)


@dataclass(frozen=True)
class Check:
    """A check before its answer: what it is called, what it explains, where it looks."""

    name: str
    symptom: str
    looked_at: str

    def ok(self, found: str) -> Finding:
        """It is as it should be."""
        return Finding(self.name, Status.OK, self.symptom, self.looked_at, found)

    def note(self, found: str, cause: str, mend: str = "") -> Finding:
        """Worth knowing."""
        return Finding(self.name, Status.NOTE, self.symptom, self.looked_at, found, cause, mend)

    def warning(self, found: str, cause: str, mend: str) -> Finding:
        """It will become a problem."""
        return Finding(self.name, Status.WARNING, self.symptom, self.looked_at, found, cause, mend)

    def problem(self, found: str, cause: str, mend: str, *, blocks: bool = False) -> Finding:
        """It is a problem; `blocks` when no backup could run."""
        return Finding(
            self.name, Status.PROBLEM, self.symptom, self.looked_at, found, cause, mend, blocks
        )

    def unknown(self, found: str, cause: str, mend: str = "") -> Finding:
        """It could not be looked at."""
        return Finding(self.name, Status.UNKNOWN, self.symptom, self.looked_at, found, cause, mend)


@dataclass(frozen=True)
class Diagnosis:
    """All answers of one examination.

    Attributes:
        source: name of the source.
        at: UTC time of the examination.
        findings: in the order of the checks.
        skipped: what does not apply to such a source, one line each.
        mended: what was put right beforehand, one line each.
    """

    source: str
    at: datetime
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()

    @property
    def ordered(self) -> tuple[Finding, ...]:
        """What keeps a backup from running first, then the worst; else in the checks' order."""
        return tuple(sorted(self.findings, key=lambda f: (not f.blocks_backup, f.status.rank)))

    @property
    def backup_possible(self) -> bool:
        """Whether nothing was found that keeps a backup from running."""
        return not any(finding.blocks_backup for finding in self.findings)

    @property
    def exit_code(self) -> ExitCode:
        """PRECONDITION when a backup could not run."""
        return ExitCode.DONE if self.backup_possible else ExitCode.PRECONDITION

    def count(self, status: Status) -> int:
        """How many checks ended so."""
        return sum(finding.status is status for finding in self.findings)

    def find(self, check: str) -> Finding | None:
        """The worst answer of this check, None when it was not made."""
        return worst(finding for finding in self.findings if finding.check == check)

    def document(self) -> dict[str, object]:
        """For programs."""
        return {
            "source": self.source,
            "checked_at": zulu(self.at),
            "backup_possible": self.backup_possible,
            "counts": {status.value: self.count(status) for status in Status},
            "findings": [
                {**asdict(finding), "status": finding.status.value} for finding in self.ordered
            ],
            "skipped": list(self.skipped),
            "mended": list(self.mended),
        }


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The one that matters most; None of none."""
    return min(findings, key=lambda f: (not f.blocks_backup, f.status.rank), default=None)


def shell(*words: object) -> str:
    """A command as it can be typed, whatever the names in it hold."""
    return shlex.join(map(str, words))
