"""Which backups stay, which go, and why: a pure function of the catalogue and the policy.

What protects from losing everything:
- only trustworthy backups count towards a rule, so damaged ones push nothing out;
- the newest trustworthy one stays under any policy;
- what is not ours, or can no longer say what it is, is never removed;
- one dated in the future counts nowhere: else a wrong clock would push out every later backup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from archon_ops.model.backup import Backup
from archon_ops.model.catalog import Catalog, age_key
from archon_ops.model.policy import Policy, calendars
from archon_ops.model.units import human_duration

# Clocks of a server and of this machine differ a little; more than this is a wrong clock.
CLOCK_TOLERANCE = timedelta(hours=1)

Reason = tuple[Backup, str]


class Action(StrEnum):
    """What shall happen to a backup."""

    KEEP = "keep"
    REMOVE = "remove"
    ARCHIVE = "archive"


@dataclass(frozen=True)
class Decision:
    """What shall happen to one backup, and every reason for it; there is at least one."""

    backup: Backup
    action: Action
    reasons: tuple[str, ...]


def decide(backups: Iterable[Backup], policy: Policy, now: datetime) -> tuple[Decision, ...]:
    """Apply a policy.

    Args:
        backups: all of a directory, safety ones included.
        policy: how many stay.
        now: UTC time; what lies well beyond it carries a wrong date.

    Returns:
        One decision for each backup, newest first.
    """
    ordered = Catalog(tuple(backups)).newest_first
    anchor = newest_to_keep(ordered, now)
    kept: dict[tuple[bool, str], list[str]] = {}
    for backup, reason in (
        *_protected(ordered, anchor, now),
        *_counted([b for b in ordered if b.trustworthy and not _ahead(b, now)], policy),
    ):
        kept.setdefault(_key(backup), []).append(reason)
    return tuple(_decision(backup, kept, policy, anchor) for backup in ordered)


def newest_to_keep(backups: Iterable[Backup], now: datetime) -> Backup | None:
    """The one that must survive anything: the newest trustworthy one.

    An ordinary one goes before a safety one, a credible date before one in the future. What is
    removed is removed because this one is there: whoever deletes should first read it in full.
    """
    ordered = [b for b in Catalog(tuple(backups)).newest_first if b.trustworthy]
    return min(ordered, key=lambda b: (b.safety, _ahead(b, now)), default=None)


def archive_decisions(
    backups: Iterable[Backup], older_than: timedelta, now: datetime, include_unmanaged: bool
) -> tuple[Decision, ...]:
    """Decide which backups move to an archive; the newest trustworthy one stays.

    Args:
        backups: all of a directory.
        older_than: those that are at least this old move.
        now: UTC time that ages are counted to.
        include_unmanaged: whether dumps that are not ours move too.

    Returns:
        One decision for each backup, newest first.
    """
    ordered = Catalog(tuple(backups)).newest_first
    anchor = newest_to_keep(ordered, now)
    decisions = []
    for backup in ordered:
        stays = _stays(backup, anchor, now - backup.taken_at, older_than, include_unmanaged)
        action = Action.KEEP if stays else Action.ARCHIVE
        reason = stays or f"older than {human_duration(older_than.total_seconds())}"
        decisions.append(Decision(backup, action, (reason,)))
    return tuple(decisions)


def _decision(
    backup: Backup,
    kept: dict[tuple[bool, str], list[str]],
    policy: Policy,
    anchor: Backup | None,
) -> Decision:
    reasons = kept.get(_key(backup))
    if reasons:
        return Decision(backup, Action.KEEP, tuple(reasons))
    return Decision(backup, Action.REMOVE, (_why_removed(backup, policy, anchor),))


def _protected(ordered: Sequence[Backup], anchor: Backup | None, now: datetime) -> Iterator[Reason]:
    """Those that no rule may touch."""
    for backup in ordered:
        if not backup.managed:
            yield backup, "not ours: it has no manifest"
        elif backup.manifest is None:
            yield backup, f"its manifest cannot be believed: {backup.manifest_problem}"
        elif not backup.trustworthy:
            if anchor is None or age_key(backup) > age_key(anchor):
                yield backup, "damaged, but no newer backup can be trusted"
        elif backup is anchor:
            yield backup, "the newest trustworthy backup"
        elif _ahead(backup, now):
            yield backup, "dated in the future: a clock was wrong"


def _counted(sound: Sequence[Backup], policy: Policy) -> Iterator[Reason]:
    """Those that a rule names; `sound` is newest first."""
    plain = [b for b in sound if not b.safety and b.label is None]
    labelled = [b for b in sound if not b.safety and b.label is not None]
    safety = [b for b in sound if b.safety]
    yield from _newest(plain, policy.last, "last {}")
    for rule in calendars(policy):
        newest: dict[str, Backup] = {}
        for backup in plain:
            newest.setdefault(rule.period(backup.taken_at.astimezone(policy.timezone)), backup)
        for period, backup in list(newest.items())[: rule.count]:
            yield backup, f"{rule.name}: the newest of {period}"
    most = len(labelled) if policy.label_last is None else policy.label_last
    yield from _newest(labelled, most, "last {} labelled")
    yield from _newest(safety, policy.safety_last, "last {} safety")


def _newest(ordered: Sequence[Backup], count: int, rule: str) -> Iterator[Reason]:
    for number, backup in enumerate(ordered[:count], start=1):
        yield backup, f"{rule.format(count)}: number {number}"


def _why_removed(backup: Backup, policy: Policy, anchor: Backup | None) -> str:
    if not backup.trustworthy:
        newer = anchor.name if anchor else ""
        return f"damaged ({'; '.join(backup.problems)}), and {newer} is newer and sound"
    if backup.safety:
        return f"older than the last {policy.safety_last} safety ones"
    if backup.label is not None:
        return f"older than the last {policy.label_last} labelled ones"
    names = ", ".join(rule.name for rule in calendars(policy))
    return f"older than the last {policy.last}" + (f", and not named by {names}" if names else "")


def _stays(
    backup: Backup,
    anchor: Backup | None,
    age: timedelta,
    older_than: timedelta,
    include_unmanaged: bool,
) -> str:
    """Why a backup does not move; empty when it does."""
    if age < older_than:
        return f"younger than {human_duration(older_than.total_seconds())}"
    if backup.safety:
        return "a safety backup stays beside what it protects"
    if not backup.managed:
        return "" if include_unmanaged else "not ours: it has no manifest"
    if not backup.trustworthy:
        return f"damaged, so it stays in sight: {'; '.join(backup.problems)}"
    return "the newest trustworthy backup" if backup is anchor else ""


def _ahead(backup: Backup, now: datetime) -> bool:
    return backup.taken_at > now + CLOCK_TOLERANCE


def _key(backup: Backup) -> tuple[bool, str]:
    return backup.safety, backup.name
