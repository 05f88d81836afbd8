from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from archon_ops.errors import UsageError
from archon_ops.hosts import http
from archon_ops.model.health import Level
from archon_ops.monitor import remote
from archon_ops.monitor.remote import Remote
from archon_ops.monitor.view import View
from tests.web import Answer, Web, web

Look = Callable[[Answer], View]
# As the document has it, and nothing of ours.
DOCUMENT = {
    "source": "archon",
    "latest_backup": "2025-12-17T02:24:48",
    "age_hours": 7.7,
    "size_bytes": 468381,
    "size_human": "457.4 KB",
    "count": 5,
    "max_retention": 10,
    "health": "aging",
    "health_message": "Backup is aging (7.7h old)",
    "location": "/app/backups",
    "disk_usage_percent": 31.5,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with web() as running:
        yield running


@pytest.fixture
def look(server: Web) -> Look:
    def once(answer: Answer) -> View:
        server.answers["/status"] = answer
        return remote.look(Remote("x", "X", f"{server.url}/status"))

    return once


def _json(**more: object) -> Answer:
    return Answer(json.dumps({**DOCUMENT, **more}).encode())


def test_an_existing_installation_of_the_documents_api(look: Look) -> None:
    found = look(_json())
    assert (found.level, found.age_hours, found.size) == (Level.AGING, 7.7, "457.4 KB")
    assert (found.count, found.most, found.trust) == (5, 10, None)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (Answer(b"<html>\x1b[2J", kind="text/html"), "it answers HTML, not JSON"),
        (Answer(b"", kind="te\x1bxt"), "not JSON"),
        (Answer(b"[" * 100_000), "not JSON"),
        (Answer(b"[1]"), "no object"),
        (Answer(b'{"detail": "hello"}'), "no `health`"),
        (_json(health="great"), "no `health`"),
        (_json(count="5"), "no number `count`"),
        (_json(count=True), "no number `count`"),
        (_json(size_human=None), "no text `size_human`"),
        (Answer(b'{"health": "aging", "health_message": "", "age_hours": NaN}'), "`age_hours`"),
        (Answer(status=500), "it answers HTTP 500"),
        (Answer(b"x" * (http.LIMIT + 1)), "too long"),
        (Answer(status=302, headers={"Location": "http://x/\x1b"}), "it redirects to http://x/"),
    ],
)
def test_whatever_it_answers_there_is_a_cause(look: Look, answer: Answer, cause: str) -> None:
    found = look(answer)
    assert found.level is None
    assert cause in found.message
    assert found.message.isprintable()


def test_hostile_texts_do_not_act(look: Look) -> None:
    found = look(_json(health_message="\x1b[2J\n" * 500, health_reasons=["\x1b[2J", 7], trust="\n"))
    texts = (found.message, *found.reasons, found.trust)
    assert all(text.isprintable() for text in texts)
    assert len(found.message) <= 200


def test_slow_ones_end_at_the_deadline(server: Web) -> None:
    server.answers["/drip"] = Answer(b"x" * 3000, drip=0.1)
    began = time.monotonic()
    with pytest.raises(http.OpsError, match="did not answer within"):
        http.request("GET", f"{server.url}/drip?secret", seconds=0.5)
    assert time.monotonic() - began < 60
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/secret"
        with pytest.raises(http.OpsError, match="did not answer within") as caught:
            http.request("GET", url, seconds=0.3)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "nonsense", "file:///etc/passwd", "http://", "http://x:y/"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        http.request("GET", url, seconds=1)


def test_a_refused_connection_names_the_server_only() -> None:
    found = remote.look(Remote("x", "X", "http://me:pass@127.0.0.1:1/secret"))
    assert found.message == "http://127.0.0.1:1: Connection refused"
