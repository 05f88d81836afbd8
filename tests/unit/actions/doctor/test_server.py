from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.actions.doctor import credentials, database, server
from archon_ops.model.diagnosis import Finding, Status
from archon_ops.model.runs import Result, RunRecord
from archon_ops.postgres.locks import LockRoom

INV = " --source demo"
CLEAN = database.Traces((), (), "")
KEY = credentials.KeyFacts("/a/.env", "ENCRYPTION_KEY", True, "x.dump", 2, 2)


def _missing(left: database.Traces) -> Finding:
    return database.in_service("db", there=False, left=left, inv=INV, create="createdb db")


def test_a_missing_database_is_offered_where_nothing_else_holds_it() -> None:
    finding = _missing(CLEAN)
    assert finding.blocks_backup
    assert "createdb db" in finding.mend


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (database.Traces(("archon_before_x",), (), ""), "archon_before_x"),
        (database.Traces((), ("archon_side_x",), ""), "archon_side_x"),
        (database.Traces((), (), "restore x is killed"), "restore x is killed"),
    ],
)
def test_a_missing_database_is_never_offered_beside_what_may_be_it(
    left: database.Traces, said: str
) -> None:
    finding = _missing(left)
    assert finding.blocks_backup
    assert said in finding.found
    assert "createdb" not in finding.mend
    assert "inv undo --list --source demo" in finding.mend


def _run(action: str, result: Result, minute: int) -> RunRecord:
    at = datetime(2025, 12, 17, 10, tzinfo=UTC) + timedelta(minutes=minute)
    return RunRecord(f"{minute}", action, "demo", at, 7, "h", result=result)


def test_only_the_last_run_that_moves_databases_counts() -> None:
    killed, done = _run("restore", Result.KILLED, 1), _run("undo", Result.DONE, 2)
    assert database.unfinished(()) == ""
    assert database.unfinished((killed,)) == "restore 1 is killed"
    assert database.unfinished((killed, done)) == ""
    assert database.unfinished((_run("restore", Result.RUNNING, 3), done)) != ""
    assert database.unfinished((_run("backup", Result.KILLED, 3), done)) == ""


@pytest.mark.parametrize(
    ("ahead", "took", "status"),
    [
        (0.4, 0.1, Status.OK),
        (-4.9, 0.0, Status.OK),
        (8.0, 4.0, Status.OK),
        (8.0, 0.1, Status.WARNING),
        (-3600.0, 0.1, Status.WARNING),
    ],
)
def test_clocks(ahead: float, took: float, status: Status) -> None:
    finding = server.judge_clock(ahead, took)
    assert finding.status is status
    if status is Status.WARNING:
        assert ("ahead" in finding.found) is (ahead > 0)


def test_collations() -> None:
    def judged(versions: server.Versions) -> Status:
        return server.judge_collation(versions, "db", INV).status

    assert judged(server.Versions(("2.36", "2.36"), ())) is Status.OK
    assert judged(server.Versions((None, None), ())) is Status.OK
    assert judged(server.Versions(("2.31", "2.36"), ())) is Status.WARNING
    assert judged(server.Versions(("2.36", "2.36"), ("de-x-icu",))) is Status.WARNING
    assert judged(server.Versions(None, ())) is Status.NOTE


def test_names_in_commands_are_quoted() -> None:
    finding = server.judge_collation(server.Versions(("1", "2"), ()), 'a"b', INV)
    assert 'REINDEX DATABASE "a""b"' in finding.mend


@pytest.mark.parametrize(
    ("needed", "status", "blocks"),
    [(100, Status.OK, False), (700, Status.WARNING, False), (1001, Status.PROBLEM, True)],
)
def test_locks(needed: int, status: Status, blocks: bool) -> None:
    finding = server.judge_locks(LockRoom(needed, 1000, 64), INV)
    assert (finding.status, finding.blocks_backup) == (status, blocks)


def _keys(**more: object) -> dict[str, Finding]:
    facts = replace(KEY, **more)  # type: ignore[arg-type]
    return {f.check: f for f in credentials.judge(facts, INV)}


def test_a_key_that_is_there_and_fits() -> None:
    assert {f.status for f in _keys().values()} == {Status.OK}


def test_a_missing_key_is_a_problem_where_credentials_are_stored() -> None:
    found = _keys(variable=None, unchanged=None, opened=0)
    assert found["key.present"].status is Status.PROBLEM
    assert found["key.decrypts"].status is Status.UNKNOWN
    assert _keys(variable=None, unchanged=None, encrypted=0)["key.present"].status is Status.WARNING


def test_a_key_that_does_not_fit_is_a_problem() -> None:
    finding = _keys(opened=1)["key.decrypts"]
    assert finding.status is Status.PROBLEM
    assert "decrypts 1 of 2" in finding.found


def test_a_changed_key_is_a_warning_and_an_unknown_one_is_none() -> None:
    assert _keys(unchanged=False)["key.unchanged"].status is Status.WARNING
    assert _keys(unchanged=None)["key.unchanged"].status is Status.UNKNOWN


def test_the_service_key_as_encryption_key_is_noted() -> None:
    assert _keys(variable="SUPABASE_SERVICE_KEY")["key.present"].status is Status.NOTE


def test_no_credential_to_look_at() -> None:
    assert _keys(encrypted=None, opened=0)["key.decrypts"].status is Status.UNKNOWN
    assert _keys(encrypted=0, opened=0)["key.decrypts"].status is Status.OK
