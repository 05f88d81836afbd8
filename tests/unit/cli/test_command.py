"""The command line as people and scripts meet it: flags, help, errors, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable

import pytest

from archon_ops.cli.command import Run, command

Invoke = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]
BOTH = pytest.mark.parametrize("own", [False, True], ids=["inv", "archon-ops"])


def values(run: subprocess.CompletedProcess[str]) -> list[object]:
    assert run.returncode == 0, run.stderr
    return list(json.loads(run.stdout)["values"])


@BOTH
def test_values_arrive_as_declared(inv: Invoke, own: bool) -> None:
    flags = ["--retention", "7", "--ratio=1.5", "--from", "x", "--yes"]
    lists = ["--exclude-schema", "a", "--exclude-schema", "b"]
    run = inv("restore", "latest", *flags, *lists, own=own)
    assert values(run) == ["latest", "", True, 7, 1.5, ["a", "b"], "x"]
    assert json.loads(run.stdout)["options"]["yes"] is True


def test_defaults(inv: Invoke) -> None:
    assert values(inv("restore", "latest")) == ["latest", "", False, None, 0.5, [], None]


@pytest.mark.parametrize("form", [["--retention", "-1"], ["--retention=-1"]])
def test_a_negative_number_reaches_the_task(inv: Invoke, form: list[str]) -> None:
    assert values(inv("restore", "latest", *form))[3] == -1


@BOTH
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["latest", "--retention", "abc"], ["--retention", "abc"]),
        (["latest", "--retention", "1.5"], ["--retention", "1.5"]),
        (["latest", "--retention", ""], ["--retention"]),
        (["latest", "--retention", "9" * 5000], ["--retention"]),
        (["latest", "--ratio", "nan"], ["--ratio", "nan"]),
        (["--bogus"], ["--bogus", "backup file"]),
        ([""], ["restore needs a backup file"]),
        (["latest", "--quiet", "--verbose"], ["--quiet", "--verbose"]),
        (["latest", "--dry"], ["--dry", "--dry-run"]),
        (["latest", "--", "--scope"], ["--scope"]),
    ],
)
def test_misuse_ends_with_2_and_names_it(
    inv: Invoke, own: bool, args: list[str], words: list[str]
) -> None:
    run = inv("restore", *args, own=own)
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) <= 3
    assert all(word in run.stderr for word in words)


@pytest.mark.parametrize(
    "args",
    [["restore"], ["level", "--bogus"], ["nosuch"], ["level", "--source"], ["-T", "abc", "level"]],
)
def test_what_the_parser_rejects_is_1_for_inv_and_2_for_us(inv: Invoke, args: list[str]) -> None:
    assert inv(*args).returncode == 1
    run = inv(*args, own=True)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert "Traceback" not in run.stderr


def test_a_missing_positional_is_named(inv: Invoke) -> None:
    assert "backup_file" in inv("restore").stderr
    assert "backup_file" in inv("restore", own=True).stderr


def test_a_rejection_is_a_document_where_json_is_wanted(inv: Invoke) -> None:
    run = inv("level", "--json", "--bogus", own=True)
    assert json.loads(run.stdout)["error"]["code"] == 2


@BOTH
@pytest.mark.parametrize(
    "args",
    [
        ["restore", "--help"],
        ["restore", "-h"],
        ["restore", "latest", "--scope", "--help"],
        ["restore", "latest", "--help"],
        ["--help", "restore"],
    ],
)
def test_help_is_help_wherever_it_stands(inv: Invoke, own: bool, args: list[str]) -> None:
    run = inv(*args, own=own)
    assert run.returncode == 0, run.stderr
    assert "Proven equal." in run.stdout
    assert "latest, a name, or a path" in run.stdout
    assert "a whole number" in run.stdout
    for flag in ("--source", "--json", "--verbose", "--quiet", "--exclude-schema", "--from"):
        assert flag in run.stdout


def test_list_shows_the_first_line_only(inv: Invoke) -> None:
    run = inv("--list")
    assert "Bring a backup back." in run.stdout
    assert "Proven equal." not in run.stdout


def test_json_can_be_left_out(inv: Invoke) -> None:
    assert "--json" not in inv("--help", "flood").stdout


def test_two_tasks_of_one_name_both_run(inv: Invoke) -> None:
    assert inv("one.verify", "two.verify").stdout.split() == ["one", "two"]


@BOTH
def test_a_code_is_passed_on(inv: Invoke, own: bool) -> None:
    assert inv("level", own=own).returncode == 6


@BOTH
def test_an_expected_failure_is_three_lines(inv: Invoke, own: bool) -> None:
    run = inv("locked", own=own)
    assert run.returncode == 11
    assert run.stderr.splitlines() == [
        "error: held by pid 5",
        "       since 10:00 says the lock",
        "hint: wait or stop it",
    ]


@BOTH
def test_an_expected_failure_is_one_document(inv: Invoke, own: bool) -> None:
    run = inv("locked", "--json", own=own)
    assert run.returncode == 11
    assert run.stderr == ""
    error = json.loads(run.stdout)["error"]
    assert error["code"] == 11
    assert error["message"].startswith("held by pid 5")
    assert error["hint"].startswith("wait")


def test_there_is_never_a_second_document(inv: Invoke) -> None:
    run = inv("twice", "--json")
    assert run.returncode == 4
    assert json.loads(run.stdout) == {"done": 1}
    assert "it was damaged" in run.stderr


def test_a_bug_is_two_lines_and_a_traceback_only_when_asked(inv: Invoke) -> None:
    run = inv("bug")
    assert run.returncode == 1
    assert "this is a bug: ValueError: first second" in run.stderr
    assert len(run.stderr.splitlines()) == 2
    assert "Traceback" in inv("bug", "--verbose").stderr
    assert json.loads(inv("bug", "--json").stdout)["error"]["code"] == 1


def test_a_reader_who_goes_away_does_not_stop_the_command(start: Start) -> None:
    run = start("flood")
    assert run.stdout is not None
    assert run.stderr is not None
    assert run.stdout.readline() == "0\n"
    run.stdout.close()
    assert run.stderr.read() == "reached the end\n"
    assert run.wait(120) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_output_that_cannot_be_written_is_a_failure(inv: Invoke) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        run = inv("restore", "latest", stdout=full)
    assert run.returncode == 1
    assert "No space left" in run.stderr


def test_a_task_with_an_impossible_flag_is_refused_when_declared() -> None:
    def body(run: Run, when: complex = 0j) -> None: ...

    with pytest.raises(TypeError, match="when"):
        command()(body)


def test_help_for_a_flag_that_does_not_exist_is_refused() -> None:
    def body(run: Run) -> None: ...

    with pytest.raises(TypeError, match="nosuch"):
        command(help={"nosuch": "x"})(body)


def test_a_common_flag_cannot_be_declared_again() -> None:
    def body(run: Run, source: str = "") -> None: ...

    with pytest.raises(TypeError, match="twice"):
        command()(body)
