"""Real signals to real commands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archon_ops.cli.signals import orderly_stop
from archon_ops.errors import InterruptedByUser
from archon_ops.hosts.process import Child, spawn

Start = Callable[..., "subprocess.Popen[str]"]
ENDINGS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
# There the interpreter itself ends with 1.
ITS_OWN_START = ("<frozen site>", "Fatal Python error: init")
PAUSE = {"ARCHON_OPS_PAUSE_AT": "paused.first"}


def ends(pid: int) -> bool:
    """Whether a process ends before long."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def line(run: subprocess.Popen[str]) -> str:
    assert run.stdout is not None
    return run.stdout.readline()


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True], ids=["inv", "archon-ops"])
@pytest.mark.parametrize(("number", "code"), ENDINGS)
def test_a_signal_ends_a_sleep_in_order(
    start: Start, number: signal.Signals, code: int, own: bool
) -> None:
    run = start("sleep", own=own)
    assert line(run) == "asleep\n"
    run.send_signal(number)
    out, err = run.communicate(timeout=120)
    assert out == "cleaning\nclean\n"
    assert err == f"error: stopped by {number.name}\n"
    assert run.returncode == code


@pytest.mark.slow
def test_further_signals_do_not_cut_the_clean_up_short(start: Start, folder: Path) -> None:
    run = start("sleep", "--until", "enough")
    assert line(run) == "asleep\n"
    run.send_signal(signal.SIGTERM)
    assert line(run) == "cleaning\n"
    assert run.stderr is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        run.send_signal(number)
        assert run.stderr.readline() == "cleaning up, please wait\n"
    (folder / "enough").touch()
    out, err = run.communicate(timeout=120)
    assert out == "clean\n"
    assert err == "error: stopped by SIGTERM\n"
    assert run.returncode == 143


def test_a_swallowed_signal_does_not_make_deaf(start: Start) -> None:
    run = start("deaf")
    assert line(run) == "asleep\n"
    run.send_signal(signal.SIGTERM)
    assert [line(run), line(run)] == ["swallowed\n", "asleep again\n"]
    run.send_signal(signal.SIGTERM)
    assert run.wait(120) == 143


def test_a_signal_reaches_a_read_from_a_pipe_and_the_child_ends(start: Start) -> None:
    run = start("pipe")
    child = int(line(run).split()[1])
    run.send_signal(signal.SIGTERM)
    assert run.wait(120) == 143
    assert ends(child)


STUBBORN = "trap 'trap - TERM; echo asked' TERM; echo ready; while :; do sleep 0.02; done"


def test_a_signal_while_a_child_is_being_stopped_leaves_none() -> None:
    """The child ends when it is asked for the second time; the signal comes after the first."""
    children: list[Child] = []
    with pytest.raises(InterruptedByUser):
        _stopped_and_interrupted(children)
    assert ends(children[0].pid)


def _stopped_and_interrupted(children: list[Child]) -> None:
    with orderly_stop(), spawn(["sh", "-c", STUBBORN], pipe=True) as child:
        children.append(child)
        blocks = child.blocks(30)
        assert next(blocks) == b"ready\n"
        threading.Thread(target=_interrupt_once_asked, args=(blocks,)).start()


def _interrupt_once_asked(blocks: Iterator[bytes]) -> None:
    assert next(blocks) == b"asked\n"
    os.kill(os.getpid(), signal.SIGTERM)


def test_with_json_the_end_is_a_document(start: Start) -> None:
    run = start("pipe", "--json")
    line(run)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=120)
    assert json.loads(out)["error"]["code"] == 130


def test_a_signal_that_the_caller_ignored_stays_ignored(start: Start) -> None:
    run = start("paused", env=PAUSE, preexec_fn=_as_nohup_does)
    _until_paused(run)
    run.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    assert run.wait(120) == 143


def _as_nohup_does() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _until_paused(run: subprocess.Popen[str]) -> str:
    assert run.stderr is not None
    for text in run.stderr:
        if text.startswith("paused at"):
            return text
    raise AssertionError("it did not pause")


def test_a_pause_holds_the_run_until_a_signal_ends_it(start: Start) -> None:
    run = start("paused", "--quiet", env={"ARCHON_OPS_PAUSE_AT": "paused.second"})
    assert _until_paused(run) == "paused at paused.second\n"
    time.sleep(0.3)
    assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    assert run.wait(120) == 143


def test_a_pause_can_be_released(start: Start) -> None:
    run = start("paused", env=PAUSE)
    _until_paused(run)
    run.send_signal(signal.SIGUSR1)
    _, err = run.communicate(timeout=120)
    assert "Second" in err
    assert run.returncode == 0


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number, _ in ENDINGS]
    with pytest.raises(InterruptedByUser), orderly_stop():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number, _ in ENDINGS] == before


@pytest.mark.slow
def test_ctrl_c_before_the_handlers_are_there(start: Start) -> None:
    """The whole start-up is hit at twenty moments: never a traceback from within a command."""
    began = time.monotonic()
    run = start("sleep", own=True)
    assert line(run) == "asleep\n"
    whole = time.monotonic() - began
    _interrupted(run)
    seen = {run.returncode}
    for step in range(20):
        run = start("sleep", own=True)
        time.sleep(whole * step / 20)
        err = _interrupted(run)
        if not any(words in err for words in ITS_OWN_START):
            seen.add(run.returncode)
    # -2: Python itself was not up yet, or still importing; a shell calls that 130 as well.
    assert seen <= {130, -signal.SIGINT}
    assert 130 in seen


def _interrupted(run: subprocess.Popen[str]) -> str:
    """What it says to Ctrl-C, and once more where Python swallowed that.

    It does in the callbacks of its own import, of which nothing can be raised.
    """
    while True:
        run.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return run.communicate(timeout=15)[1]
