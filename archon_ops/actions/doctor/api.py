"""Archon's backup API as a dashboard sees it: does it answer, and if not, why."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from archon_ops.hosts.described import Container
from archon_ops.model.diagnosis import Check, Finding, Status, shell

PATH = "/api/backup/status"
_SECONDS = 3.0
_NOT_FOUND = 404


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes:
        url: that was asked, without any credentials.
        status: of the answer; None when there was none.
        error: why there was none.
    """

    url: str
    status: int | None
    error: str = ""


def ask(base: str) -> Answer:
    """Ask for the status of the backups.

    Args:
        base: where archon-server answers.
    """
    try:
        parts = urlsplit(base)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return Answer(base.rpartition("@")[2], None, f"malformed: {error}")
    path = f"{parts.path.rstrip('/')}{PATH}"
    url = f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        return Answer(url, connection.getresponse().status)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(url, None, str(error) or type(error).__name__)
    finally:
        connection.close()


def judge(answer: Answer, server: Container | None, others: Sequence[Finding], up: str) -> Finding:
    """Why the API does not answer, from what else was found.

    Args:
        answer: of the API.
        server: the container that should answer it.
        others: findings on mount and network.
        up: the command that makes Archon's containers again.
    """
    check = Check("api", "the dashboard shows `API unavailable`", shell("curl", "-v", answer.url))
    if answer.status is not None and 200 <= answer.status < 300:
        return check.ok(f"{answer.url} answers {answer.status}")
    found = (
        f"{answer.url} answers {answer.status}"
        if answer.status
        else f"{answer.url}: {answer.error}"
    )
    if server is None:
        return check.warning(found, "no container archon-server exists on this engine", up)
    if not server.running:
        cause = f"{server.name} is {server.status}"
        return check.warning(found, cause, shell("docker", "start", server.name))
    logs = shell("docker", "logs", "--tail", 50, server.name)
    suspect = _suspect(others, "api.mount" if answer.status == _NOT_FOUND else "network.subnet")
    if suspect:
        return check.warning(found, suspect.cause, suspect.mend)
    if answer.status == _NOT_FOUND:
        return check.warning(found, "this archon-server has no backup API", logs)
    return check.warning(found, f"{server.name} runs and does not answer there", logs)


def _suspect(others: Sequence[Finding], check: str) -> Finding | None:
    return next((f for f in others if f.check == check and f.status is Status.WARNING), None)
