"""The signals that ask a command to stop, turned into an exception that lets it clean up."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from archon_ops.errors import InterruptedByUser

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STDERR = 2


@contextlib.contextmanager
def orderly_stop() -> Iterator[None]:
    """Raise InterruptedByUser in the main thread when a signal asks to stop.

    Later signals do not cut the clean-up short; they are answered with a line. Only if somebody
    swallowed the exception, the next signal raises another one. A signal that the caller had
    ignored (nohup, a background job of a script) stays ignored. Afterwards all is as before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _STOPPING}
    taken = [number for number, old in before.items() if old is not signal.SIG_IGN]
    try:
        for number in taken:
            signal.signal(number, _stop)
        yield
    finally:
        for number in taken:
            # None: a handler that was not installed from Python, which can only be reset.
            signal.signal(number, before[number] or signal.SIG_DFL)


def _stop(number: int, _frame: FrameType | None) -> None:
    if _cleaning_up():
        _note(b"cleaning up, please wait\n")
        return
    name = signal.Signals(number).name
    raise InterruptedByUser(f"stopped by {name}", terminated=number != signal.SIGINT)


def _cleaning_up() -> bool:
    """Whether the code that was interrupted is handling an earlier InterruptedByUser.

    A handler runs on top of the main thread, so it sees what is being handled there: in `except`
    and `finally`, and when a `with` is left.
    """
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, InterruptedByUser):
            return True
        error = error.__context__
    return False


def _note(line: bytes) -> None:
    # sys.stderr may be in the middle of a write when a signal comes: past it, to the descriptor.
    with contextlib.suppress(OSError):
        os.write(_STDERR, line)
