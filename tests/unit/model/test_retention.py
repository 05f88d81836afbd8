from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon_ops.model.backup import Backup, Trust
from archon_ops.model.policy import Policy
from archon_ops.model.retention import (
    Action,
    Decision,
    archive_decisions,
    decide,
    newest_to_keep,
)

Make = Callable[..., Backup]


def kept(decisions: Sequence[Decision]) -> list[Backup]:
    return [d.backup for d in decisions if d.action is Action.KEEP]


def removed(decisions: Sequence[Decision]) -> list[Backup]:
    return [d.backup for d in decisions if d.action is Action.REMOVE]


def names(backups: Sequence[Backup]) -> set[str]:
    return {backup.name for backup in backups}


def test_the_last_ones_stay(backup: Make, now: datetime) -> None:
    backups = [backup(n) for n in range(15)]
    decisions = decide(backups, Policy(last=10), now)
    assert kept(decisions) == backups[:10]
    assert decisions[0].reasons == ("the newest trustworthy backup", "last 10: number 1")
    assert decisions[-1].reasons == ("older than the last 10",)


def test_failures_do_not_push_the_good_one_out(backup: Make, now: datetime) -> None:
    good = backup(20)
    failures = [backup(n, kind="failed") for n in range(15)]
    decisions = decide([good, *failures], Policy(last=1), now)
    assert removed(decisions) == []
    assert "no newer backup can be trusted" in decisions[0].reasons[0]


def test_a_failure_goes_once_a_newer_one_is_sound(backup: Make, now: datetime) -> None:
    failed = backup(5, kind="failed")
    (gone,) = [d for d in decide([failed, backup(1)], Policy(), now) if d.action is Action.REMOVE]
    assert gone.backup == failed
    assert "checksum differs" in gone.reasons[0]


def test_a_corrupt_newest_one_leaves_the_newest_trustworthy_one(
    backup: Make, now: datetime
) -> None:
    backups = [backup(0, kind="failed"), backup(1), backup(2)]
    assert kept(decide(backups, Policy(last=1), now)) == backups[:2]


@pytest.mark.parametrize("kind", ["unmanaged", "edited"])
def test_what_cannot_be_said_to_be_ours_is_never_removed(
    kind: str, backup: Make, now: datetime
) -> None:
    strange = [backup(100 + n, kind=kind) for n in range(5)]
    decisions = decide([backup(1), *strange], Policy(last=1), now)
    assert removed(decisions) == []


def test_labelled_and_safety_ones_are_counted_apart(backup: Make, now: datetime) -> None:
    plain = [backup(n) for n in range(3)]
    labelled = [backup(50 + n, label="release") for n in range(3)]
    safety = [backup(10 + n, safety=True) for n in range(5)]
    policy = Policy(last=2, label_last=1, safety_last=3)
    decisions = decide([*plain, *labelled, *safety], policy, now)
    assert names(removed(decisions)) == names([plain[2], *labelled[1:], *safety[3:]])
    all_labels = replace(policy, label_last=None)
    assert names(labelled) <= names(kept(decide([*plain, *labelled], all_labels, now)))


def test_calendar_rules_keep_the_newest_of_each_period(backup: Make, now: datetime) -> None:
    # now is a Wednesday, 10:06 UTC: 0 h and 10 h ago are today, 11 h ago is yesterday
    today, today_early = backup(0), backup(10)
    yesterday, yesterday_early = backup(11), backup(30)
    backups = [today, today_early, yesterday, yesterday_early]
    decisions = decide(backups, Policy(last=1, daily=2), now)
    assert kept(decisions) == [today, yesterday]
    assert "daily: the newest of 2025-12-16" in decisions[2].reasons
    assert decisions[3].reasons == ("older than the last 1, and not named by daily",)


def test_weekly_monthly_yearly(backup: Make, now: datetime) -> None:
    by_day = [backup(24 * n) for n in range(800)]
    policy = Policy(last=1, weekly=3, monthly=3, yearly=3)
    days = [b.taken_at.strftime("%Y-%m-%d") for b in kept(decide(by_day, policy, now))]
    assert days == [
        "2025-12-17",
        "2025-12-14",
        "2025-12-07",
        "2025-11-30",
        "2025-10-31",
        "2024-12-31",
        "2023-12-31",
    ]


def test_a_day_begins_in_the_policys_zone(backup: Make, now: datetime) -> None:
    # 21:30 and 22:30 UTC on 16 December: one day in UTC, two in Sofia (UTC+2)
    before, after = backup(12.62), backup(11.62)
    assert kept(decide([before, after], Policy(last=1, daily=5), now)) == [after]
    sofia = Policy(last=1, daily=5, zone="Europe/Sofia")
    assert kept(decide([before, after], sofia, now)) == [after, before]


def test_the_doubled_hour_of_autumn_is_one_day(backup: Make, now: datetime) -> None:
    change = datetime.fromisoformat("2025-10-26T00:30:00+00:00")  # 03:30 in Sofia, twice
    hours = (now - change).total_seconds() / 3600
    first, second = backup(hours), backup(hours - 1)
    assert first.taken_at + timedelta(hours=1) == second.taken_at
    sofia = Policy(last=1, daily=5, zone="Europe/Sofia")
    assert kept(decide([first, second], sofia, now)) == [second]


def test_a_wrong_clock_pushes_nothing_out(backup: Make, now: datetime) -> None:
    future, fresh, old = backup(-90000), backup(0), backup(1)
    decisions = decide([future, fresh, old], Policy(last=1), now)
    assert kept(decisions) == [future, fresh]
    assert "future" in decisions[0].reasons[0]
    assert newest_to_keep([future, fresh, old], now) == fresh


def test_clocks_that_differ_a_little_count(backup: Make, now: datetime) -> None:
    assert kept(decide([backup(-0.01), backup(1)], Policy(last=1), now)) == [backup(-0.01)]


def test_an_ordinary_backup_goes_before_a_safety_one(backup: Make, now: datetime) -> None:
    ordinary, safety = backup(5), backup(1, safety=True)
    assert newest_to_keep([safety, ordinary], now) == ordinary
    assert newest_to_keep([safety], now) == safety
    assert kept(decide([safety], Policy(safety_last=0), now)) == [safety]


def test_archiving_moves_the_old_ones(backup: Make, now: datetime) -> None:
    young, old, foreign = backup(1), backup(200), backup(300, kind="unmanaged")
    others = [
        backup(400, kind="edited"),
        backup(500, kind="failed"),
        backup(600, safety=True),
    ]
    backups = [young, old, foreign, *others]
    week = timedelta(days=7)

    def moved(include: bool) -> list[Backup]:
        decisions = archive_decisions(backups, week, now, include)
        assert all(d.reasons and all(d.reasons) for d in decisions)
        return [d.backup for d in decisions if d.action is Action.ARCHIVE]

    assert moved(False) == [old]
    assert moved(True) == [old, foreign]


def test_archiving_leaves_the_newest_trustworthy_one(backup: Make, now: datetime) -> None:
    backups = [backup(200, kind="failed"), backup(300), backup(400)]
    decisions = archive_decisions(backups, timedelta(0), now, True)
    assert [d.backup for d in decisions if d.action is Action.ARCHIVE] == backups[2:]


# --- properties over any catalogue and any policy ---------------------------------------------

KINDS = ["checked", "restored", "failed", "edited", "unmanaged"]
ENTRIES = st.lists(
    st.tuples(
        st.integers(-200, 20000).map(lambda quarters: quarters / 4),
        st.sampled_from(KINDS),
        st.sampled_from([None, None, None, "release"]),
        st.booleans(),
    ),
    max_size=40,
)
POLICIES = st.builds(
    Policy,
    last=st.integers(1, 12),
    daily=st.integers(0, 8),
    weekly=st.integers(0, 5),
    monthly=st.integers(0, 5),
    yearly=st.integers(0, 3),
    zone=st.sampled_from(["UTC", "Europe/Sofia", "America/New_York", "Pacific/Kiritimati"]),
    label_last=st.one_of(st.none(), st.integers(0, 4)),
    safety_last=st.integers(0, 4),
)


def build(make: Make, entries: Sequence[tuple[float, str, str | None, bool]]) -> list[Backup]:
    return [
        make(hours, kind=kind, label=label, safety=safety, name=f"{number:03}.dump")
        for number, (hours, kind, label, safety) in enumerate(entries)
    ]


@given(entries=ENTRIES, policy=POLICIES)
def test_what_holds_of_every_decision(
    backup: Make,
    now: datetime,
    entries: list[tuple[float, str, str | None, bool]],
    policy: Policy,
) -> None:
    backups = build(backup, entries)
    decisions = decide(backups, policy, now)
    stays = kept(decisions)
    assert sorted(d.backup.name for d in decisions) == [b.name for b in backups]
    assert all(d.reasons and all(d.reasons) for d in decisions)
    trustworthy = [b for b in backups if b.trustworthy]
    if trustworthy:
        assert newest_to_keep(backups, now) in stays
        newest_ever = max(trustworthy, key=lambda b: (not b.safety, b.taken_at, b.name))
        assert newest_ever in stays
    assert all(b.trust is not Trust.UNMANAGED and b.manifest for b in removed(decisions))
    assert removed(decide(stays, policy, now)) == []
    more = decide(backups, replace(policy, last=policy.last + 1), now)
    assert names(removed(more)) <= names(removed(decisions))


@given(hours=st.lists(st.integers(0, 5000), max_size=30), last=st.integers(1, 40))
def test_last_keeps_exactly_so_many(
    backup: Make, now: datetime, hours: list[int], last: int
) -> None:
    backups = build(backup, [(h, "checked", None, False) for h in hours])
    assert len(kept(decide(backups, Policy(last=last), now))) == min(last, len(backups))
