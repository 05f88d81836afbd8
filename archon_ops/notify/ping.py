"""Telling a watchdog (Healthchecks, or one that speaks like it) that a run began, and how it ended.

The watchdog raises the alarm when nothing comes: that also covers a machine that is off.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from archon_ops.errors import OpsError
from archon_ops.hosts import http

NAME = "ping"
_SECONDS = 5.0
_TEXT_LIMIT = 1000


@dataclass
class Ping:
    """The pings of one run.

    Attributes:
        url: where to; a secret. `{action}` and `{source}` in it are filled in by the caller.
        run_id: of the run; sent along, as the run id that Healthchecks wants (a UUID) and as text.
    """

    url: str
    run_id: str
    _start: threading.Thread | None = field(default=None)

    def start(self) -> None:
        """Tell that the run began; nobody waits for that."""
        self._start = threading.Thread(target=self.send, args=("/start", ""), daemon=True)
        self._start.start()

    def end(self, *, good: bool, text: str) -> str:
        """Tell how it ended.

        Args:
            good: whether it did what it was asked.
            text: one line on it.

        Returns:
            Why that did not arrive; empty when it did.
        """
        if self._start is not None:
            self._start.join(_SECONDS)
        return self.send("" if good else "/fail", text)

    def send(self, verb: str, text: str) -> str:
        """Send one ping; why it did not arrive, empty when it did."""
        body = f"{self.run_id} {text}".strip()[:_TEXT_LIMIT].encode()
        try:
            reply = http.request("POST", self._address(verb), seconds=_SECONDS, body=body)
        except OpsError as error:
            return error.message
        if 200 <= reply.status < 300:
            return ""
        return f"{http.origin(self.url)} answers {reply.status}"

    def _address(self, verb: str) -> str:
        parts = urlsplit(self.url)
        rid = f"rid={uuid.uuid5(uuid.NAMESPACE_URL, self.run_id)}"
        query = f"{parts.query}&{rid}" if parts.query else rid
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}{verb}", query=query))
