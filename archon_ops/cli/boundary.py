"""The only place where an error becomes text and an exit code."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable

from invoke.exceptions import Exit

from archon_ops.cli.console import Console
from archon_ops.cli.signals import orderly_stop
from archon_ops.errors import ExitCode, InterruptedByUser, OpsError


def guarded(console: Console, call: Callable[[], int]) -> int:
    """The boundary: whatever happens inside becomes an exit code and a few lines.

    A signal may come at any moment, also while an error is being told: hence the outer handler.
    """
    try:
        with orderly_stop():
            try:
                return call()
            except (Exit, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001 - the boundary: nothing is above it
                return _told(console, error)
    except (InterruptedByUser, KeyboardInterrupt) as error:
        return _told(console, error)


def _told(console: Console, error: BaseException) -> int:
    """Say what ended a command; its exit code."""
    if isinstance(error, OpsError | InterruptedByUser):
        console.failure(error.message, error.hint, error.exit_code)
        return int(error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        console.failure("stopped by SIGINT", "", ExitCode.INTERRUPTED)
        return int(ExitCode.INTERRUPTED)
    if console.verbose:
        with contextlib.suppress(OSError):
            traceback.print_exception(error, file=sys.stderr)
    message = " ".join(str(error).split())
    hint = "" if console.verbose else "repeat it with --verbose to see where, and report that"
    console.failure(f"this is a bug: {type(error).__name__}: {message}", hint, ExitCode.FAILED)
    return int(ExitCode.FAILED)
