from __future__ import annotations

import json
from datetime import datetime

from archon_ops.errors import ExitCode
from archon_ops.model.diagnosis import Check, Diagnosis, Finding, Status, shell, worst

CHECK = Check("disk", "no space left", "df")
OK = CHECK.ok("free")
NOTE = CHECK.note("it is small", "it was bought so")
UNKNOWN = CHECK.unknown("not looked at", "no such folder")
WARNING = CHECK.warning("nearly full", "much lies there", "inv prune")
PROBLEM = CHECK.problem("full", "too much lies there", "inv prune")
BLOCKS = CHECK.problem("full", "too much lies there", "inv prune", blocks=True)


def _diagnosis(now: datetime, *findings: Finding) -> Diagnosis:
    return Diagnosis("demo", now, findings, ("containers: embedded",))


def test_the_worst_comes_first_and_what_blocks_a_backup_before_it(now: datetime) -> None:
    found = _diagnosis(now, OK, NOTE, UNKNOWN, WARNING, PROBLEM, BLOCKS)
    assert found.ordered == (BLOCKS, PROBLEM, WARNING, UNKNOWN, NOTE, OK)


def test_findings_of_one_status_keep_the_order_of_the_checks(now: datetime) -> None:
    first, second = Check("a", "", "").ok("1"), Check("b", "", "").ok("2")
    assert _diagnosis(now, second, first).ordered == (second, first)


def test_only_what_blocks_a_backup_makes_the_exit_code(now: datetime) -> None:
    assert _diagnosis(now, PROBLEM, WARNING).exit_code == ExitCode.DONE
    assert _diagnosis(now, OK, BLOCKS).exit_code == ExitCode.PRECONDITION
    assert not _diagnosis(now, BLOCKS).backup_possible


def test_the_document_tells_everything_of_a_finding(now: datetime) -> None:
    document = _diagnosis(now, OK, BLOCKS).document()
    assert json.loads(json.dumps(document)) == document
    assert document["backup_possible"] is False
    assert document["counts"] == {"problem": 1, "warning": 0, "unknown": 0, "note": 0, "ok": 1}
    assert document["skipped"] == ["containers: embedded"]
    assert document["findings"][0] == {  # type: ignore[index]
        "check": "disk",
        "status": "problem",
        "symptom": "no space left",
        "looked_at": "df",
        "found": "full",
        "cause": "too much lies there",
        "mend": "inv prune",
        "blocks_backup": True,
    }


def test_find_answers_the_worst_of_a_check(now: datetime) -> None:
    found = _diagnosis(now, OK, WARNING, NOTE)
    assert found.find("disk") == WARNING
    assert found.find("other") is None
    assert worst(()) is None


def test_a_note_needs_nobody() -> None:
    assert [f.well for f in (OK, NOTE, UNKNOWN, WARNING, PROBLEM)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert Status.PROBLEM.rank < Status.OK.rank


def test_commands_quote_whatever_names_hold() -> None:
    assert shell("docker", "start", "a;rm -rf $HOME") == "docker start 'a;rm -rf $HOME'"
