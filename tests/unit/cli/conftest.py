"""Sample tasks in a folder of their own, run as people run them: in a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 120

TASKS = '''
from __future__ import annotations

import sys
import time
from pathlib import Path

from invoke.collection import Collection

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, LockedError, OpsError, UntrustworthyError
from archon_ops.hosts.process import spawn


def doze() -> None:
    # In short naps: a signal that comes just before a long one would not cut it short.
    for _ in range(1200):
        time.sleep(0.05)


@command(positional="backup_file", help={"backup_file": "latest, a name, or a path"})
def restore(
    run: Run,
    backup_file: str,
    scope: str = "",
    yes: bool = False,
    retention: int | None = None,
    ratio: float = 0.5,
    exclude_schema: tuple[str, ...] = (),
    from_: str | None = None,
) -> ExitCode | None:
    """Bring a backup back.

    Proven equal.
    """
    values = [backup_file, scope, yes, retention, ratio, exclude_schema, from_]
    run.console.json({"values": values, "options": run.options})
    return None


@command()
def level(run: Run) -> ExitCode:
    """Worked, and has something to tell."""
    run.console.banner("A Title", "demo")
    run.console.phase("level.look", "Looking")
    run.console.ok("holds")
    run.console.info("fact")
    run.console.warn("odd \\x1b[2Jname\\n")
    run.console.table("Rows", ["name", "rows"], [["a-" + "x" * 100, 5], ["b", 12345]])
    return ExitCode.WARNING


@command()
def locked(run: Run) -> None:
    """Fail in an expected way."""
    raise LockedError("held by pid 5\\nsince 10:00\\nsays the lock", "wait\\nor stop it")


@command()
def bug(run: Run) -> None:
    """Fail in an unexpected way."""
    raise ValueError("first\\nsecond")


@command()
def sleep(run: Run, until: str = "") -> None:
    """Wait for a signal; clean up until there is such a file."""
    try:
        print("asleep", flush=True)
        doze()
    finally:
        print("cleaning", flush=True)
        while until and not Path(until).exists():
            time.sleep(0.02)
        print("clean", flush=True)


@command()
def deaf(run: Run) -> None:
    """Swallow the first signal."""
    try:
        print("asleep", flush=True)
        doze()
    except BaseException:
        print("swallowed", flush=True)
    print("asleep again", flush=True)
    doze()


@command()
def pipe(run: Run) -> None:
    """Wait in a read from a program."""
    with spawn(["sleep", "60"], pipe=True) as child:
        print(f"asleep {child.pid}", flush=True)
        next(child.blocks(60))


@command()
def paused(run: Run) -> None:
    """Pass through two phases."""
    run.console.phase("paused.first", "First")
    run.console.phase("paused.second", "Second")


@command()
def wreck(run: Run, yes: bool = False) -> None:
    """Change something."""
    run.console.confirm("demo@here/postgres#1234", "PLAN: wreck demo")
    print("wrecked")


@command(json=False)
def flood(run: Run) -> None:
    """Write more than any pipe holds, then something to standard error."""
    for number in range(20000):
        run.console.data(f"{number}\\n")
    print("reached the end", file=sys.stderr)


@command()
def twice(run: Run) -> None:
    """Print a document, then fail."""
    run.console.json({"done": 1})
    raise UntrustworthyError("it was damaged")


def group(word: str) -> Collection:
    @command()
    def verify(run: Run) -> None:
        """Say which one it is."""
        print(word)

    return Collection(word, verify)


namespace = Collection(
    restore, level, locked, bug, sleep, deaf, pipe, paused, wreck, flood, twice,
    group("one"), group("two"),
)
'''

OWN_PROGRAM = """
import tasks
from archon_ops.cli.program import OpsProgram
from archon_ops.cli.text import PROGRAM

OpsProgram("1.2.3", tasks.namespace, name=PROGRAM, binary=PROGRAM).run()
"""

Invoke = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a tasks.py, and our own program beside it."""
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "archon-ops").write_text(OWN_PROGRAM)
    return tmp_path


def _environment(more: dict[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("LC_ALL", "LANG", "NO_COLOR", "TERM")}
    plain = {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    return {**kept, **plain, **more}


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start `inv ARGS` (or `archon-ops ARGS`) and leave it running."""
    started: list[subprocess.Popen[str]] = []

    def start(*args: str, own: bool = False, **more: object) -> subprocess.Popen[str]:
        program = [str(folder / "archon-ops")] if own else ["-m", "invoke"]
        options: dict[str, object] = {"stdin": subprocess.DEVNULL} | more
        options["env"] = _environment(options.get("env") or {})  # type: ignore[arg-type]
        popen: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, *program, *args],
            cwd=folder,
            text=True,
            encoding="utf-8",
            errors="replace",
            **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
        )
        started.append(popen)
        return popen

    yield start
    for popen in started:
        if popen.poll() is None:
            popen.send_signal(signal.SIGKILL)
        popen.wait(DEADLINE_SECONDS)
        for stream in (popen.stdin, popen.stdout, popen.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def inv(start: Start) -> Invoke:
    """Run `inv ARGS` (or `archon-ops ARGS`) to its end."""

    def inv(*args: str, **more: object) -> subprocess.CompletedProcess[str]:
        popen = start(*args, **more)
        out, err = popen.communicate(timeout=DEADLINE_SECONDS)
        return subprocess.CompletedProcess(args, popen.returncode, out or "", err or "")

    return inv
