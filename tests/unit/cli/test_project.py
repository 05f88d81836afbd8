"""`inv test` and `inv lint` run the real tools; here on a project of two small files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TESTS = """import os

import pytest


def test_good():
    pass


@pytest.mark.slow
def test_slow():
    assert os.environ.get("GOOD"), "the slow one"


def test_worker(worker_id):
    assert worker_id.startswith("gw")
"""
PROJECT = """
[tool.pytest.ini_options]
markers = ["slow"]
[tool.mypy]
packages = ["package"]
[tool.importlinter]
root_package = "package"
[[tool.importlinter.contracts]]
name = "one"
type = "layers"
layers = ["package.a", "package.b"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text((ROOT / "tasks.py").read_text())
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "test_it.py").write_text(TESTS)
    package = tmp_path / "package"
    package.mkdir()
    for name in ("__init__", "a", "b"):
        (package / f"{name}.py").write_text("")
    (tmp_path / "deep").mkdir()
    return tmp_path


def inv(project: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "ARCHON"))}
    path = os.pathsep.join((str(ROOT), str(project)))
    return subprocess.run(
        [sys.executable, "-m", "invoke", *args],
        cwd=project / "deep",
        env={**kept, "PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
def test_the_exit_code_is_that_of_pytest(project: Path) -> None:
    bad = inv(project, "test")
    assert (bad.returncode, "the slow one" in bad.stdout) == (1, True)
    assert "1 failed, 2 passed" in bad.stdout.splitlines()[-1]
    assert inv(project, "test", GOOD="1").returncode == 0
    assert inv(project, "test", "--args", "-k nothing_is_called_so").returncode == 5


@pytest.mark.slow
def test_fast_leaves_out_what_is_slow(project: Path) -> None:
    fast = inv(project, "test", "--fast")
    assert fast.returncode == 0
    assert "2 passed" in fast.stdout.splitlines()[-1]


@pytest.mark.slow
def test_lint_runs_all_checks_and_names_those_that_failed(project: Path) -> None:
    good = inv(project, "lint")
    assert good.returncode == 0, good.stdout + good.stderr
    (project / "package" / "b.py").write_text('import package.a\n\nx: int = ""\n')
    bad = inv(project, "lint")
    assert bad.returncode == 1
    assert "mypy found something" in bad.stderr
    assert "lint-imports found something" in bad.stderr
    assert "ruff format --check . found" not in bad.stderr


def test_outside_of_a_checkout_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text((ROOT / "tasks.py").read_text())
    (tmp_path / "deep").mkdir()
    for task in ("lint", "test"):
        done = inv(tmp_path, task)
        assert (done.returncode, "no pyproject.toml" in done.stderr) == (3, True)
