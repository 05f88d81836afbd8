"""Holding a notebook at the begin of a step, so that a fault can be injected exactly there."""

from __future__ import annotations

import signal
import threading
import time

from archon_ops.settings import pause_point

_POLL_SECONDS = 0.05


def hold_at(step: str) -> None:
    """Wait for SIGUSR1, if ARCHON_OPS_PAUSE_AT names this step."""
    if step != pause_point() or threading.current_thread() is not threading.main_thread():
        return
    released = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: released.set())
    try:
        while not released.is_set():
            time.sleep(_POLL_SECONDS)
    finally:
        signal.signal(signal.SIGUSR1, before)
