"""A command on a terminal, and what a person types there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.support import Installation

# What every command that destroys something asks in the end.
ASKED = " to go on: "
_SECONDS = 360


def typed(
    installation: Installation, *args: str, answers: Sequence[tuple[str, str | None]]
) -> tuple[int, str]:
    """Run `inv ARGS` on a terminal; its exit code, and what stood on the screen.

    Args:
        installation: where.
        args: of `inv`.
        answers: (prompt, what is typed when it comes), in order; None types the target that is
            asked for. A control character is typed without a line end.
    """
    leader, follower = pty.openpty()
    with (installation.root / "said").open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "invoke", *args],
            cwd=installation.root,
            env=installation.environment(),
            stdin=follower,
            stdout=out,
            stderr=follower,
            start_new_session=True,
            preexec_fn=_controlling,  # noqa: PLW1509 - this process has no other threads
        )
    os.close(follower)
    left, screen, new = list(answers), "", ""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        ready, _, _ = select.select([leader], [], [], 0.1)
        try:
            new += os.read(leader, 4096).decode(errors="replace") if ready else ""
        except OSError:  # the other end is closed
            break
        if left and left[0][0] in new:
            os.write(leader, _answer(left.pop(0)[1], new))
            screen, new = screen + new, ""
        if not ready and running.poll() is not None:
            break
    os.close(leader)
    code = running.wait(60)
    assert not left, f"never asked: {left}\n{screen}{new}"
    return code, screen + new


def _answer(answer: str | None, seen: str) -> bytes:
    if answer is None:
        answer = seen.rpartition("Type ")[2].partition(ASKED)[0]
    control = answer and ord(answer[0]) < ord(" ")
    return (answer if control else f"{answer}\n").encode()


def _controlling() -> None:
    """Make the terminal the one whose Ctrl-C reaches the command."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
