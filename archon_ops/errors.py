"""Every way in which a command can end, and the few errors that carry one.

    OpsError                 1   it was tried and failed
    |- UsageError            2   the request itself makes no sense
    |- PreconditionError     3   something must be true first, and is not
    |- UntrustworthyError    4   the backup cannot be trusted
    `- LockedError          11   somebody else is at work, or in the way

    InterruptedByUser      130   a signal asked us to stop (143 for SIGTERM); a KeyboardInterrupt,
                                 so that no `except Exception` swallows it and psycopg cancels

The command line is the only place that turns them into text and an exit code.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a finished command tells its caller; the README has the same table."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PRECONDITION = 3
    UNTRUSTWORTHY = 4
    INCONCLUSIVE = 5
    WARNING = 6
    CRITICAL = 7
    LOCKED = 11
    INTERRUPTED = 130
    TERMINATED = 143


class OpsError(Exception):
    """An expected failure: what failed, why, and what to type next.

    Args:
        message: what failed and why, one or two lines.
        hint: the next command or setting to try; may be empty.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(OpsError):
    """The request is malformed: a flag, a name, a value, a settings file."""

    exit_code = ExitCode.USAGE


class PreconditionError(OpsError):
    """The world is not ready: a server is down, a tool, a privilege or room is missing."""

    exit_code = ExitCode.PRECONDITION


class UntrustworthyError(OpsError):
    """The backup is damaged, or it cannot prove what it holds."""

    exit_code = ExitCode.UNTRUSTWORTHY


class LockedError(OpsError):
    """Another run, or another session of the database, holds what is needed."""

    exit_code = ExitCode.LOCKED


class InterruptedByUser(KeyboardInterrupt):
    """A signal ended the command; whoever it passes through cleans up behind itself."""

    def __init__(self, message: str, hint: str = "", *, terminated: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED
