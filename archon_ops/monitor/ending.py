"""A program in a terminal that ends when it is asked to, whatever its framework is doing."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_ASKING = (signal.SIGTERM, signal.SIGHUP)
# Mouse, focus, paste and keyboard modes off; the screen that was there before; the cursor shown.
_LEAVE = (
    b"\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?1049l\x1b[?25h"
)
_STDIN, _STDOUT, _STDERR = range(3)


@contextlib.contextmanager
def ending(ask: Callable[[int], None], seconds: float) -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP ask a program to end, and end the process if it does not.

    A handler of asyncio needs a loop that turns. One that waits for a thread, or for a terminal
    that nobody reads, would let the signal wait for ever. Textual 8.2 does where a terminal is
    closed: SIGHUP comes with SIGCONT, at which it begins to draw anew, on a terminal that has gone;
    the thread that writes ends with EIO, and the queue before it fills up.

    Args:
        ask: called with 128 plus the signal's number, in the main thread, on top of anything.
        seconds: how long an orderly end may take.
    """
    before = {number: signal.getsignal(number) for number in _ASKING}
    attributes = _attributes()
    timers: list[threading.Timer] = []

    def asked(number: int, _frame: FrameType | None) -> None:
        timers.append(threading.Timer(seconds, _end, (number, attributes)))
        timers[-1].daemon = True
        timers[-1].start()
        ask(128 + number)

    try:
        for number in _ASKING:
            signal.signal(number, asked)
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _attributes() -> list[Any] | None:
    try:
        return termios.tcgetattr(_STDIN)
    except termios.error:  # not a terminal: nothing to put back
        return None


def _end(number: int, attributes: list[Any] | None) -> None:
    """Leave the terminal as it was found, say where the program was held up, and end."""
    with contextlib.suppress(OSError, termios.error):
        if attributes is not None:
            termios.tcsetattr(_STDIN, termios.TCSANOW, attributes)
        os.write(_STDOUT, _LEAVE)
    with contextlib.suppress(OSError):
        faulthandler.dump_traceback(_STDERR)
        os.write(_STDERR, f"error: stopped by {signal.Signals(number).name}, at once\n".encode())
    os._exit(128 + number)
