"""Backups somewhere else, through the document's API."""

from __future__ import annotations

import json
from dataclasses import dataclass

from archon_ops.errors import OpsError
from archon_ops.hosts import http
from archon_ops.model.text import clean
from archon_ops.monitor.view import View, remote_view, unavailable

SECONDS = 5.0


@dataclass(frozen=True)
class Remote:
    """An API that is watched.

    Attributes:
        key: its name in the settings.
        name: its name for people.
        url: of its status; may hold a password, and is never shown.
    """

    key: str
    name: str
    url: str


def look(remote: Remote) -> View:
    """Ask once; whatever it answers, there is a view."""
    try:
        reply = http.request("GET", remote.url, seconds=SECONDS)
        return remote_view(remote.key, remote.name, _status_in(reply))
    except OpsError as error:
        return unavailable(remote.key, remote.name, error.message)


def _status_in(reply: http.Reply) -> object:
    if 300 <= reply.status < 400:
        raise OpsError(f"it redirects to {clean(reply.location) or 'nowhere'}: set that URL")
    if reply.status != 200:
        raise OpsError(f"it answers HTTP {reply.status}")
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        what = "HTML" if "html" in reply.kind else clean(reply.kind) or "something"
        raise OpsError(f"it answers {what}, not JSON") from None
