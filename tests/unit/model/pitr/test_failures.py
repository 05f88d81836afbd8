from __future__ import annotations

import pytest

from archon_ops.errors import ExitCode
from archon_ops.model.pitr.failures import AwayError, failure, reason


@pytest.mark.parametrize(
    ("said", "code", "ends", "hint"),
    [
        ("ERROR: [050]: unable to acquire lock on file '/tmp/x.lock'", 50, 11, "wait"),
        ("ERROR: [051]: PostgreSQL version 17, system-id 1 do not match", 51, 3, "--upgrade"),
        ("ERROR: [055]: unable to load info file '/r/backup.info'", 55, 3, "pitr.setup"),
        ("ERROR: [055]: unable to open missing file '/p.conf' for read", 55, 3, "not set up"),
        ("ERROR: [095]: unable to flush", 95, 3, "cipher_pass"),
        ("ERROR: [095]: raised from local-2 protocol: unable to flush", 95, 4, "pitr.verify"),
        ("ERROR: [062]: stop file exists for stanza archon", 62, 3, "start"),
        ("ERROR: [026]: checksum mismatch", 26, 4, "pitr.verify"),
        ("ERROR: [082]: WAL segment 1 was not archived before the 60000ms timeout", 82, 3, "WAL"),
        ("ERROR: [101]: timeout connecting to 's3:443'", 101, 1, "is it reachable"),
        (
            "ERROR: [042]: timeout after 20000ms waiting for read from 's3'",
            42,
            1,
            "is it reachable",
        ),
        ("ERROR: [047]: unable to create path '/x'", 47, 1, "pitr.setup"),
    ],
)
def test_each_says_what_to_do(said: str, code: int, ends: int, hint: str) -> None:
    error = failure("backup", "archon", "container db", f"noise\n{said}\n", code)
    assert error.exit_code == ExitCode(ends)
    assert said.partition("]: ")[2] in error.message
    assert hint in f"{error.message} {error.hint}"


def test_without_an_error_of_its_own() -> None:
    assert reason("2026-11-24 15:00:00.000 P00   WARN: odd\n", 137) == "WARN: odd"
    assert reason("", 137) == "exit status 137"


def test_a_server_that_does_not_answer_is_told_from_a_set_that_is_not_there() -> None:
    set_of = "ERROR: [075]: backup set 20261124-150000F is not valid"
    cut = (
        "WARN: repo1: [FileReadError] unable to load info file '/backup.info':\n"
        f"      FileReadError: unexpected EOF reading HTTP content\n{set_of}"
    )
    error = failure("restore", "archon", "container db", cut, 75)
    assert isinstance(error, AwayError)
    assert "(FileReadError: unexpected EOF reading HTTP content)" in error.message
    assert not isinstance(failure("restore", "archon", "container db", set_of, 75), AwayError)
