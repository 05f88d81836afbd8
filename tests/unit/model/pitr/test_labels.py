from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.errors import OpsError
from archon_ops.model.pitr.failures import not_there
from archon_ops.model.pitr.gaps import Gap
from archon_ops.model.pitr.stock import parse_info
from archon_ops.model.pitr.timelines import Ancestor, Branch

START = 1795533337


def backup(
    name: str,
    start: int,
    *,
    kind: str = "full",
    error: bool = False,
    timeline: int = 1,
    end: str = "0/3000120",
) -> dict[str, object]:
    segment = f"{timeline:08X}0000000000000003"
    return {
        "annotation": {"proof": "abc"},
        "archive": {"start": f"{timeline:08X}0000000000000002", "stop": segment},
        "database": {"id": 2, "repo-key": 1},
        "error": error,
        "info": {"delta": 30, "repository": {"delta": 6}, "size": 36},
        "label": name,
        "lsn": {"start": "0/2000028", "stop": end},
        "prior": None,
        "reference": None,
        "timestamp": {"start": start, "stop": start + 12},
        "type": kind,
    }


def info(*backups: dict[str, object], code: int = 0) -> str:
    # As pgBackRest 2.55.1 printed it, with what nobody reads left out.
    said = {
        "archive": [
            {
                "database": {"id": 1, "repo-key": 1},
                "id": "16-1",
                "max": "0000000900000000000000FF",
            },
            {
                "database": {"id": 2, "repo-key": 1},
                "id": "17-2",
                "max": "000000010000000000000003",
            },
        ],
        "backup": list(backups),
        "cipher": "aes-256-cbc",
        "db": [
            {"id": 1, "repo-key": 1, "system-id": 5, "version": "16"},
            {"id": 2, "repo-key": 1, "system-id": 7711756426232422421, "version": "17"},
        ],
        "name": "archon",
        "repo": [
            {
                "cipher": "aes-256-cbc",
                "key": 1,
                "status": {"code": code, "message": "what is wrong"},
            }
        ],
    }
    return json.dumps([said])


def test_what_it_holds() -> None:
    stock = parse_info(info(backup("B", START + 100, kind="incr"), backup("A", START)), "archon")
    assert [label.name for label in stock.labels] == ["A", "B"]
    first = stock.labels[0]
    assert (first.kind, first.seconds, first.stored_bytes) == ("full", 12.0, 6)
    assert first.annotations == {"proof": "abc"}
    assert (stock.version, stock.encrypted, stock.exists) == ("17", True, True)
    assert stock.last_wal == "000000010000000000000003"  # not that of the server before
    assert stock.problems == {}
    assert (stock.archives, stock.readable) == ({1: "17-2"}, (1,))
    assert (first.timeline, first.end) == (1, 0x3000120)


def test_a_branch_has_backups_of_its_own() -> None:
    """Recovered to before B, then put back: C is of the recovery, D of the server that was back."""
    stock = parse_info(
        info(
            backup("A", START),
            backup("B", START + 100, end="0/5000000"),
            backup("C", START + 200, timeline=2, end="0/5000000"),
            backup("D", START + 300, end="0/6000000"),
        ),
        "archon",
    )
    live, dead = stock.on(Branch(1)), stock.on(Branch(2, (Ancestor(1, 0x4000000),)))
    assert [label.name for label in live.labels] == ["A", "B", "D"]
    assert [label.name for label in live.elsewhere] == ["C"]
    assert [label.name for label in dead.labels] == ["A", "C"]
    assert [label.name for label in live.on(Branch(2)).labels] == ["C"]  # decided again
    moment = datetime.fromtimestamp(START + 250, UTC)
    chosen = [found and found.name for found in (s.newest_before(moment) for s in (live, dead))]
    assert chosen == ["B", "C"]
    assert live.window(None).latest == datetime.fromtimestamp(START + 313, UTC)
    assert (live.window(None).timeline, dead.window(None).timeline) == (1, 2)
    assert stock.on(Branch(2)).earliest == datetime.fromtimestamp(START + 213, UTC)
    assert stock.timelines == {1, 2}


def test_where_there_is_one_branch_nobody_hears_of_it() -> None:
    stock = parse_info(info(backup("A", START)), "archon").on(Branch(1))
    assert (stock.timeline, stock.window(None).timeline) == (1, None)


def test_every_repository_counts_its_servers_by_itself() -> None:
    said = json.loads(info(backup("A", START)))
    said[0]["db"].append(
        {"id": 1, "repo-key": 2, "system-id": 7711756426232422421, "version": "17"}
    )
    said[0]["archive"].append(
        {"database": {"id": 1, "repo-key": 2}, "id": "17-1", "max": "000000010000000000000004"}
    )
    stock = parse_info(json.dumps(said), "archon")
    assert stock.archives == {1: "17-2", 2: "17-1"}
    assert stock.last_wal == "000000010000000000000004"


def test_the_window() -> None:
    stock = parse_info(info(backup("A", START), backup("B", START + 100)), "archon")
    # Its end is told in whole seconds, cut off.
    earliest = datetime.fromtimestamp(START + 13, UTC)
    commit = datetime.fromtimestamp(START + 500, UTC)
    window = stock.window(commit)
    assert (window.earliest, window.latest) == (earliest, commit)
    assert window.holds(earliest)
    assert window.holds(commit)
    assert not window.holds(earliest - timedelta(microseconds=1))
    assert not window.holds(commit + timedelta(microseconds=1))
    # Nothing was committed since the newest backup.
    assert stock.window(None).latest == datetime.fromtimestamp(START + 113, UTC)
    newest = stock.newest_before(earliest)
    assert newest is not None
    assert newest.name == "A"
    assert stock.newest_before(earliest - timedelta(seconds=1)) is None


def test_a_hole_in_the_window() -> None:
    def with_wal(name: str, start: int, wal: int) -> dict[str, object]:
        segment = f"0000000100000000{wal:08X}"
        return {**backup(name, start), "archive": {"start": segment, "stop": segment}}

    before, commit = START + 50, datetime.fromtimestamp(START + 500, UTC)
    gap = Gap(f"0000000100000000{5:08X}", f"0000000100000000{9:08X}")
    lost = {gap: datetime.fromtimestamp(before, UTC)}
    ended = parse_info(info(with_wal("A", START, 3), with_wal("B", START + 100, 9)), "archon")
    window = ended.window(commit, lost)
    assert window.latest == commit
    assert window.broken is None
    assert window.hole_at(commit) is None
    assert window.holds(datetime.fromtimestamp(before - 1, UTC))
    assert not window.holds(datetime.fromtimestamp(before + 1, UTC))
    assert window.holds(datetime.fromtimestamp(START + 113, UTC))
    # No backup behind it: what came later is lost, whatever is archived.
    open_still = parse_info(info(with_wal("A", START, 3)), "archon").window(commit, lost)
    assert open_still.broken is not None
    assert open_still.latest == datetime.fromtimestamp(before, UTC)
    # Without a commit before it, the backup is what is surely there.
    unknown = parse_info(info(with_wal("A", START, 3)), "archon").window(commit, {gap: None})
    assert unknown.latest == datetime.fromtimestamp(START + 13, UTC)
    # Nobody needs what lies before the oldest backup.
    late = parse_info(info(with_wal("A", START, 9)), "archon").window(commit, lost)
    assert late.holes == ()


def test_a_damaged_one_opens_no_window() -> None:
    stock = parse_info(info(backup("A", START, error=True)), "archon")
    assert stock.window(datetime.now(UTC)).latest is None
    assert stock.newest_before(datetime.now(UTC)) is None


def test_what_was_before_an_upgrade_is_there_and_no_begin() -> None:
    before = {**backup("A", START), "database": {"id": 1, "repo-key": 1}}
    stock = parse_info(info(before, backup("B", START + 100)), "archon")
    assert [(label.name, label.older) for label in stock.labels] == [("A", True), ("B", False)]
    assert stock.earliest == datetime.fromtimestamp(START + 113, UTC)
    assert stock.newest_before(datetime.fromtimestamp(START + 50, UTC)) is None


def test_what_is_wrong_with_a_repository() -> None:
    assert parse_info(info(code=99), "archon").problems == {1: "what is wrong"}
    assert parse_info(info(code=2), "archon").problems == {}  # no backup yet


def test_an_s3_server_that_says_no_is_told_in_a_line() -> None:
    said = info(code=99).replace(
        "what is wrong",
        r"[ProtocolError] HTTP request failed with 403 (Forbidden):\n*** Path/Query ***:\nGET /b"
        r"\n*** Response Content ***:\n<Error><Code>AccessDenied</Code></Error>",
    )
    stock = replace(parse_info(said, "archon"), system_identifier="")
    assert not stock.exists
    error = not_there(stock)
    assert error.message.endswith("HTTP request failed with 403 (Forbidden): AccessDenied")
    assert "in no repository" in not_there(parse_info("[]", "archon")).message


def test_a_stanza_that_is_not_there() -> None:
    assert not parse_info("[]", "archon").exists


@pytest.mark.parametrize("text", ["", "null", "[1]", '[{"name": "archon", "backup": [{}]}]'])
def test_what_it_never_prints(text: str) -> None:
    with pytest.raises(OpsError, match="cannot be read"):
        parse_info(text, "archon")
