"""Which steps a scenario has for a source: the document's, less those that do not apply to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archon_ops.actions.recovery import containers
from archon_ops.actions.recovery.checkout import head_of
from archon_ops.model.scenario import CONTAINERS, DELETION, MIGRATION, SYSTEM_LOSS, Scenario
from archon_ops.site import Site

MOMENT = ("moment", "Recover the cluster of the moment in a sandbox, and take a backup of it")
SANDBOX = ("sandbox", "Make a sandbox and restore the backup into it")
DISASTER = ("disaster", "The disaster, done to the sandbox")
INFRASTRUCTURE = ("infrastructure", "Bring up the server of the database")
STOP = ("stop", "Stop Archon's services")
ROWS = ("rows", "Bring back the rows that are missing, and only those")
RESTORE = ("restore", "Restore the backup: built beside, proven, switched in")
CODE = ("code", "Clone Archon's repository")
ENVIRONMENT = ("environment", "Prepare .env")
RETRY = ("retry", "Retry the migration")
START = ("start", "Make and start Archon's containers")
VERIFY = ("verify", "Verify")
CONTROLS = ("controls", "Damage the copy, and see the proof fail")


@dataclass(frozen=True)
class Wishes:
    """What a person may say to a recovery beforehand.

    Attributes:
        backup: name or path of the backup to use; empty: the newest trustworthy one.
        offsite: take the newest copy from there instead: a place, a URL, or "offsite" for all.
        moment: take a backup of the cluster as it was then instead, where WAL is archived: a time
            as `inv pitr.restore --time` takes it.
        trust: whether one of another server may replace an Archon that is there.
        repository: where Archon's code is cloned from; empty: as its folder knows it.
        commit: which commit, tag or branch of it; empty: the newest.
        migration: file of the corrected migration; empty: Archon applies its own when it starts.
        everything: after a deletion, whether the whole backup goes in instead of missing rows.
    """

    backup: str = ""
    offsite: str = ""
    moment: str = ""
    trust: bool = False
    repository: str = ""
    commit: str = ""
    migration: str = ""
    everything: bool = False


@dataclass(frozen=True)
class Case:
    """A disaster of a source.

    Attributes:
        site: of the source.
        scenario: which disaster.
        wishes: what was said beforehand.
        live: whether it has really happened.
    """

    site: Site
    scenario: Scenario
    wishes: Wishes
    live: bool

    @property
    def full(self) -> bool:
        """Whether the whole backup is restored; else at most single rows of it are."""
        rows_only = self.scenario is DELETION and not self.wishes.everything
        return self.scenario.restores and not rows_only

    @property
    def has_services(self) -> bool:
        """Whether there are containers of Archon's to be stopped and made again."""
        return containers.has_services(self.site)


def steps_of(case: Case) -> Iterator[tuple[str, str]]:
    """Name and title of every step that applies, in order."""
    scenario, services = case.scenario, case.has_services
    if case.wishes.moment:
        yield MOMENT
    if not case.live:
        yield from (SANDBOX, DISASTER)
    if scenario is SYSTEM_LOSS:
        yield INFRASTRUCTURE
    elif services and scenario is not CONTAINERS:
        yield STOP
    if scenario.restores:
        yield RESTORE if case.full else ROWS
    if scenario is SYSTEM_LOSS and repository_of(case):
        yield CODE
    if scenario is SYSTEM_LOSS and _has_example(case):
        yield ENVIRONMENT
    if scenario is MIGRATION and migrates(case):
        yield RETRY
    if services:
        yield START
    yield VERIFY
    if not case.live:
        yield CONTROLS


def not_applying(case: Case) -> Iterator[str]:
    """What of the document's steps does not apply to this source, and why."""
    if not case.has_services:
        yield "Archon's services: the source names no containers"
    if case.scenario is SYSTEM_LOSS:
        if not repository_of(case):
            yield "Archon's code: no repository is known (parameter repository)"
        if not _has_example(case):
            yield "Archon's .env: there is no .env.example to make it of"
    if case.scenario is MIGRATION and not migrates(case):
        yield "the migration: no corrected file was given (parameter migration)"


def migrates(case: Case) -> bool:
    """Whether there is anything that can apply a migration again."""
    return not case.live or bool(case.wishes.migration) or case.has_services


def _has_example(case: Case) -> bool:
    """Whether there is, or will be after cloning, something to make a .env of."""
    if case.wishes.repository:
        return True
    home = case.site.settings.home(case.site.name)
    known = case.live or bool(repository_of(case))
    return known and (home / ".env.example").is_file()


def repository_of(case: Case) -> str:
    """Where Archon's code can be cloned from; empty where nobody knows."""
    home = case.site.settings.home(case.site.name)
    known = str(home) if (home / ".git").exists() and head_of(home) else ""
    return case.wishes.repository or known
