"""The commands of those who work on archon_ops itself: lint and test."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, PreconditionError, UsageError

_LINT_SECONDS = 600.0
_TEST_SECONDS = 4 * 3600.0
# Tests of one xdist_group share something that the machine has once, so one worker runs them all.
# Tests wait for servers now and then: one worker more than there are cores keeps those busy.
# `--args "-n 0"` is without workers.
_ALL_CORES = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "loadgroup")
_CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
)


@command(json=False)
def lint(run: Run) -> ExitCode | None:
    """Check style, types, and the direction of imports."""
    from archon_ops.hosts.process import attach

    failed = []
    with _project_folder():
        for check in _CHECKS:
            run.console.phase(f"lint.{check[0]}", " ".join(check))
            if attach([_tool(check[0]), *check[1:]], timeout=_LINT_SECONDS):
                failed.append(" ".join(check))
    for name in failed:
        run.console.warn(f"{name} found something")
    return ExitCode.FAILED if failed else None


@command(
    name="test",
    json=False,
    help={"fast": "leave out tests marked slow", "args": "more arguments for pytest"},
)
def run_tests(run: Run, fast: bool = False, args: str = "") -> int | None:
    """Run the tests on all cores; the exit code is pytest's own."""
    from archon_ops.hosts.process import attach

    try:
        more = shlex.split(args)
    except ValueError as error:
        raise UsageError(f"--args {args!r}: {error}") from error
    _tool("pytest")
    with _project_folder():
        run.console.phase("test.pytest", "pytest")
        marked = ["-m", "not slow"] if fast else []
        argv = [sys.executable, "-m", "pytest", *_ALL_CORES, *marked, *more]
        return attach(argv, timeout=_TEST_SECONDS)


def _tool(name: str) -> str:
    """A tool of the virtual environment that runs us, whatever PATH says."""
    beside = Path(sys.executable).parent / name
    if not beside.exists():
        raise PreconditionError(f"{name} is not installed", "pip install -e '.[test]'")
    return str(beside)


@contextlib.contextmanager
def _project_folder() -> Iterator[None]:
    """Work in the checkout, from whichever of its folders the command was typed."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").exists():
            with contextlib.chdir(folder):
                yield
            return
    raise PreconditionError("this is no checkout of archon_ops: no pyproject.toml upward of here")
