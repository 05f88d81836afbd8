"""Alerts: what is wrong is said on change, and again after a while; so is that it is well again."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from archon_ops import __version__
from archon_ops.errors import OpsError
from archon_ops.model.alarms import (
    Alarm,
    Message,
    Said,
    Severity,
    decide,
    health_alarm,
    key_alarm,
    pitr_alarm,
    recovered,
    unavailable_alarm,
)
from archon_ops.model.health import Level
from archon_ops.model.pitr.concerns import Concern
from archon_ops.model.runs import CHANNELS, KEY_CHANGED, Result, RunRecord
from archon_ops.monitor.said import remembered
from archon_ops.monitor.view import View
from archon_ops.notify import log, push
from archon_ops.settings import Settings
from archon_ops.storage.directory import Directory
from archon_ops.storage.journal import Journal, new_run_id

TEST_TEXT = f"this is a test of archon-ops {__version__}: nothing is wrong"


@dataclass(frozen=True)
class Sent:
    """What came of one look.

    Attributes:
        messages: that were said.
        channels: for every channel why its message did not arrive; empty when it did.
        problems: what else went wrong, one line each.
    """

    messages: tuple[Message, ...]
    channels: Mapping[str, str]
    problems: tuple[str, ...] = ()


def alert(settings: Settings, views: Sequence[View], now: datetime) -> Sent:
    """Say what is to be said of these sources.

    Args:
        settings: the configuration.
        views: the sources, as they are.
        now: UTC time.

    Where it cannot be remembered what was said, everything is said again: a full disk is no
    reason to fall silent.
    """
    try:
        with remembered(settings.state) as memory:
            sent, after = _said_now(settings, views, memory.said, now)
            try:
                memory.write(after)
            except OpsError as error:
                return _with_problem(sent, error)
            return sent
    except OpsError as error:
        sent, _ = _said_now(settings, views, {}, now)
        return _with_problem(sent, error)


def _said_now(
    settings: Settings, views: Sequence[View], said: Mapping[str, Said], now: datetime
) -> tuple[Sent, dict[str, Said]]:
    """Say what is new; what came of it, and what will have been said then."""
    alarms = [alarm for view in views for alarm in _alarms(view)]
    well = {about: text for view in views for about, text in _well(view).items()}
    messages, after = decide(alarms, said, well, now, settings.monitor.repeat)
    sent = _sent(settings, views, messages, now) if messages else Sent((), {})
    return sent, after


def _with_problem(sent: Sent, error: OpsError) -> Sent:
    return replace(sent, problems=(*sent.problems, error.message))


def send_test(settings: Settings, views: Sequence[View], now: datetime) -> Sent:
    """Send one message through every channel, whatever the state of the sources."""
    names = [view.name for view in views]
    message = Message(Severity.INFO, ", ".join(names), TEST_TEXT, word="TEST")
    return _sent(settings, views, (message,), now)


def worst(views: Sequence[View]) -> Level:
    """The worst level of all; an API that is not available is as bad as a critical one."""
    levels = [view.level or Level.CRITICAL for view in views]
    if Level.HEALTHY in levels and any(_key_changed(view) for view in views):
        levels.append(Level.AGING)
    for found in filter(None, map(_concern, views)):
        levels.append(Level.CRITICAL if found.critical else Level.AGING)
    return max(levels, key=lambda level: level.severity)


def _alarms(view: View) -> tuple[Alarm, ...]:
    if view.level is None:
        return (unavailable_alarm(view.key, view.name, view.message),)
    health = health_alarm(view.key, view.name, view.level, view.message, view.reasons)
    key = key_alarm(view.key, view.name, _about_key(view)) if _key_changed(view) else None
    found = _concern(view)
    pitr = pitr_alarm(view.key, view.name, found) if found else None
    return tuple(alarm for alarm in (health, key, pitr) if alarm)


def _well(view: View) -> dict[str, str]:
    """What is known to be well, in words."""
    found = {}
    if view.level is Level.HEALTHY:
        found[f"{view.key}/backup"] = recovered(view.message)
    if view.snapshot and view.snapshot.key_changed is False:
        found[f"{view.key}/key"] = "Archon's encryption key is that of the newest backup"
    if view.snapshot and view.snapshot.pitr and _concern(view) is None:
        found[f"{view.key}/pitr"] = "point-in-time recovery is well: WAL is archived"
    return found


def _concern(view: View) -> Concern | None:
    """What is wrong with its point-in-time recovery."""
    return view.snapshot.concern if view.snapshot else None


def _key_changed(view: View) -> bool:
    return view.snapshot is not None and view.snapshot.key_changed is True


def _about_key(view: View) -> str:
    return next(reason for reason in reversed(view.reasons) if "encryption key" in reason)


def _sent(
    settings: Settings, views: Sequence[View], messages: tuple[Message, ...], now: datetime
) -> Sent:
    lines = tuple(message.logged(now) for message in messages)
    configured = settings.monitor.log
    files = log.places(settings.path(configured) if configured else None)
    channels = {log.NAME: log.append(files, lines)}
    urls = [url.get_secret_value() for url in settings.monitor.channels]
    if urls:
        title = f"Backups: {', '.join(sorted({message.name for message in messages}))}"
        text = "\n".join(f"{message.severity} {message.console}" for message in messages)
        channels.update(push.push(urls, title, text))
    problems = [_recorded(view, channels, now) for view in views]
    return Sent(messages, channels, tuple(problem for problem in problems if problem))


def _recorded(view: View, channels: Mapping[str, str], now: datetime) -> str:
    """Write down what became of the messages, so that status tells of a dead channel.

    Returns:
        Why it could not be written down; empty when it was.
    """
    directory = view.snapshot.watched.directory if view.snapshot else None
    if directory is None or not _usable(directory):
        return ""
    dead = [f"{name}: {problem}" for name, problem in channels.items() if problem]
    record = RunRecord(
        id=new_run_id(now),
        action="alert",
        source=view.key,
        started_at=now,
        pid=os.getpid(),
        host=socket.gethostname(),
        finished_at=now,
        result=Result.FAILED if dead else Result.DONE,
        exit_code=1 if dead else 0,
        reason="; ".join(dead),
        details={CHANNELS: dict(channels), **_about_the_key(view)},
    )
    try:
        Journal(directory).start(record)
    except OpsError as error:
        return error.message
    return ""


def _about_the_key(view: View) -> dict[str, object]:
    """For those who may read the backup directory alone."""
    changed = view.snapshot.key_changed if view.snapshot else None
    return {} if changed is None else {KEY_CHANGED: changed}


def _usable(directory: Directory) -> bool:
    """Whether there are run records that are ours: others could not read what we add to theirs."""
    try:
        return Journal(directory).folder.stat().st_uid == os.geteuid()
    except OSError:
        return False
