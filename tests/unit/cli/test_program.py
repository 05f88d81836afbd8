"""The console script and the folder's own tasks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import archon_ops

ROOT = Path(__file__).parents[3]
MAIN = "from archon_ops.cli.program import main; main()"
SDKS = ("docker", "requests", "boto3", "fastapi", "numpy", "textual")
HEAVY = ("psycopg", "pydantic", "rich", "cryptography", "numpy", "pandas")


def run(*argv: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_version_and_list(tmp_path: Path) -> None:
    assert run("-c", MAIN, "--version", cwd=tmp_path).stdout == (
        f"archon-ops {archon_ops.__version__}\n"
    )
    assert "lint" in run("-c", MAIN, "--list", cwd=tmp_path).stdout


def test_commands_are_said_as_they_are_called(tmp_path: Path) -> None:
    """In a folder without tasks there is no inv to type."""
    program = str(Path(sys.executable).with_name("archon-ops"))
    asked = ("restore", "nosuch.dump", "--json")
    for argv, called in (([program], "archon-ops"), (["-c", MAIN], "inv")):
        for extra in ((), ("--json",)):
            said = run(*argv, *asked[:2], *extra, cwd=tmp_path)
            assert said.returncode == 3
            text = said.stdout + said.stderr
            assert f"{called} backups" in text
            assert ("inv " in text) == (called == "inv")


def test_whoever_reads_the_help_may_stop_early() -> None:
    ours = ["-c", MAIN]
    for argv, code in (
        ([*ours, "--help"], 0),
        ([*ours, "--nosuch"], 2),
        ([*ours, "restore", "latest", "--help"], 0),
        (["-m", "invoke", "restore", "--help"], 0),
    ):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, *argv],
            cwd=ROOT,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=300,
            check=False,
        )
        os.close(writing)
        assert done.returncode == code
        assert b"Traceback" not in done.stderr
        assert b"BrokenPipe" not in done.stderr


def test_inv_offers_the_same_tasks() -> None:
    done = run("-m", "invoke", "--list")
    assert done.returncode == 0, done.stderr
    # The headline differs: "Available tasks" and "Subcommands".
    assert done.stdout.splitlines()[1:] == run("-c", MAIN, "--list").stdout.splitlines()[1:]


def test_nothing_heavy_is_imported_before_a_task_runs() -> None:
    code = f"import archon_ops.cli, sys; print([m for m in {HEAVY} if m in sys.modules])"
    assert run("-c", code).stdout == "[]\n"


@pytest.mark.parametrize("action", ["backup", "restore", "undo", "status", "verify"])
def test_sources_without_a_container_do_not_pay_for_dockers_sdk(action: str) -> None:
    code = (
        f"import archon_ops.actions.{action}, sys; print([m for m in {SDKS} if m in sys.modules])"
    )
    assert run("-c", code).stdout == "[]\n"


def test_lint_and_test_need_a_checkout(tmp_path: Path) -> None:
    done = run("-c", MAIN, "lint", cwd=tmp_path)
    assert done.returncode == 3
    assert "pyproject.toml" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("content", "code"), [("pass", 0), ("assert False", 1), (None, 5)])
def test_test_passes_the_exit_code_of_pytest_on(
    tmp_path: Path, content: str | None, code: int
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['slow: x']\n")
    body = f"def test_one(): {content}\n" if content else ""
    slow = "import pytest\n@pytest.mark.slow\ndef test_slow(): assert False\n"
    (tmp_path / "test_it.py").write_text(f"{slow}{body}")
    done = run("-c", MAIN, "test", "--fast", "--args", "-p no:cacheprovider -q", cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
