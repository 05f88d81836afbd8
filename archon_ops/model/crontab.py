"""A block of ours in somebody's crontab: put in, exchanged, taken out; the rest stays as it is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from archon_ops.model.timers import Job

_BEGIN = "# BEGIN archon-ops "
_END = "# END archon-ops "


def block(jobs: Sequence[Job], label: str, log: str) -> str:
    """The block's text.

    Args:
        jobs: what is to be done.
        label: tells it from the blocks of other installations and sources.
        log: file that what they say goes to; it is rotated.
    """
    lines = [f"{_BEGIN}{label}", *(_line(job, log) for job in jobs), f"{_END}{label}"]
    return "\n".join(lines) + "\n"


def with_block(crontab: str, text: str, label: str) -> str:
    """The crontab with this block in the place of the one it had, else at its end."""
    before, after = _around(crontab, label)
    if before and not before.endswith("\n"):
        before += "\n"
    return before + text + after


def without_block(crontab: str, label: str) -> str:
    """The crontab without the block."""
    return "".join(_around(crontab, label))


def found_block(crontab: str, label: str) -> str:
    """The block as it is there; empty where it is not."""
    before, after = _around(crontab, label)
    return crontab[len(before) : len(crontab) - len(after)]


def torn(crontab: str, label: str) -> bool:
    """Whether the block begins and does not end, so that nobody can say what is ours."""
    bare = crontab.split("\n")
    begins = bare.index(f"{_BEGIN}{label}") if f"{_BEGIN}{label}" in bare else len(bare)
    return begins < len(bare) and f"{_END}{label}" not in bare[begins:]


def _around(crontab: str, label: str) -> tuple[str, str]:
    """What stands before and behind the block, which is not torn."""
    bare = crontab.split("\n")
    lines = [f"{line}\n" for line in bare[:-1]] + bare[-1:]
    if f"{_BEGIN}{label}" not in bare:
        return crontab, ""
    start = bare.index(f"{_BEGIN}{label}")
    end = bare.index(f"{_END}{label}", start)
    return "".join(lines[:start]), "".join(lines[end + 1 :])


def _line(job: Job, log: str) -> str:
    """A crontab's line: a shell reads it, and a percent sign would end it."""
    run = (job.program, "schedule.run", job.name, "--source", job.source, "--log", log)
    command = f"cd {shlex.quote(job.root)} && {shlex.join(run)}"
    return f"{job.entry.cron} {command}".replace("%", r"\%")
