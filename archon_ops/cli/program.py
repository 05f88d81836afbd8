"""The console script `archon-ops`: the same tasks as `inv`, usable in any folder.

It differs from `inv` in one thing: what the parser itself rejects (an unknown flag, a missing
argument) ends with 2 as every other misuse does, where `inv` ends with 1.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from archon_ops import __version__
from archon_ops.cli import namespace
from archon_ops.cli.console import Console
from archon_ops.cli.stream import discard_from_now_on
from archon_ops.cli.text import PROGRAM
from archon_ops.errors import ExitCode


class OpsProgram(Program):
    """invoke's Program with our exit codes for what ends before a task begins."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run the tasks on the command line and leave with the exit code."""
        try:
            super().run(argv, exit)
        except SystemExit as end:
            # So invoke answers Ctrl-C outside of tasks, with 1.
            if isinstance(end.__context__, KeyboardInterrupt):
                raise SystemExit(int(ExitCode.INTERRUPTED)) from end
            raise

    def parse_core(self, argv: list[str] | None) -> None:
        """Read invoke's own flags."""
        with _rejections():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Read the tasks and their flags."""
        with _rejections():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Answer --help and --list."""
        with _rejections():
            super().parse_cleanup()


@contextlib.contextmanager
def _rejections() -> Iterator[None]:
    try:
        yield
    except (ParseError, ValueError) as error:  # ValueError: invoke's own numbers
        console = Console(wants_json="--json" in sys.argv)
        console.failure(str(error), f"see: {PROGRAM} --help", ExitCode.USAGE)
        raise Exit(code=ExitCode.USAGE) from error


@contextlib.contextmanager
def _read_no_further() -> Iterator[None]:
    """Let whoever reads our help stop reading it when they have seen enough."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError as error:
        discard_from_now_on(sys.stdout)
        ending = error.__context__
        raise SystemExit(ending.code if isinstance(ending, SystemExit) else 0) from None


def main() -> None:
    """Run the command line; never returns."""
    program = OpsProgram(
        version=__version__,
        namespace=namespace,
        name=PROGRAM,
        binary=PROGRAM,
        binary_names=[PROGRAM],
    )
    with _read_no_further():
        program.run()
