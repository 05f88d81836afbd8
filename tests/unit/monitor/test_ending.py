"""Programs that are asked to end, and do, or do not."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios

import pytest

from tests.support import wait_until

_HELD_UP = """
import threading
from archon_ops.monitor.ending import ending
held = threading.Lock()
with ending(lambda code: None, 0.1), held:
    print("begun", flush=True)
    held.acquire()
"""
_IN_ORDER = """
import threading
from archon_ops.monitor.ending import ending
asked = []
told = threading.Event()
with ending(lambda code: (asked.append(code), told.set()), 60):
    print("begun", flush=True)
    told.wait(60)
print(f"asked for {asked}", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_one_that_is_held_up_is_ended_and_says_where(how: signal.Signals) -> None:
    outer, inner = pty.openpty()
    try:
        before = termios.tcgetattr(inner)
        with subprocess.Popen(
            [sys.executable, "-c", _HELD_UP], stdin=inner, stdout=inner, stderr=subprocess.PIPE
        ) as run:
            _read_until(outer, b"begun")
            run.send_signal(how)
            _, error = run.communicate(timeout=60)
        assert run.returncode == 128 + how
        assert f"error: stopped by {how.name}, at once" in error.decode()
        assert 'File "<string>", line 7' in error.decode()
        assert _read_until(outer, b"\x1b[?25h").count(b"\x1b[?1049l") == 1
        assert termios.tcgetattr(inner) == before
    finally:
        os.close(outer)
        os.close(inner)


def test_one_that_ends_in_order_is_left_alone() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _IN_ORDER], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"begun\n"
        run.send_signal(signal.SIGTERM)
        rest, _ = run.communicate(timeout=60)
    assert (run.returncode, rest) == (0, b"asked for [143]\n")


def _read_until(descriptor: int, text: bytes) -> bytes:
    read = bytearray()

    def come() -> bool:
        read.extend(os.read(descriptor, 4096))
        return text in read

    wait_until(come, 60, f"{text!r} in {bytes(read)!r}")
    return bytes(read)
