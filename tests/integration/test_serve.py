"""The monitoring API as a service, asked as the document's curl examples do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from archon_ops.monitor.api import router
from archon_ops.monitor.serve import listening
from archon_ops.settings import load
from tests.support import Installation, Spawned, require

STATUS = {
    "source": str,
    "latest_backup": str,
    "age_hours": float,
    "size_bytes": int,
    "size_human": str,
    "count": int,
    "max_retention": int,
    "health": str,
    "health_message": str,
    "location": str,
    "disk_usage_percent": float,
}
LIST = {"count": int, "backups": list, "total_size_bytes": int, "total_size_human": str}
ENTRY = {
    "filename": str,
    "timestamp": str,
    "age_hours": float,
    "size_bytes": int,
    "size_human": str,
    "path": str,
}
HEALTH = {"healthy": bool, "status": str, "message": str, "age_hours": float}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class Service:
    """A running `inv serve`."""

    def __init__(self, spawned: Spawned) -> None:
        spawned.wait_for("/api/backup/status")
        found = re.search(r"http://\S+:\d+", spawned.stderr)
        assert found
        self.spawned, self.base = spawned, found[0]

    def get(self, path: str, status: int = 200) -> Any:
        try:
            url = f"{self.base}{path}"
            with urllib.request.urlopen(url, timeout=120) as answer:  # noqa: S310 - ours
                code, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            code, body = error.code, error.read()
        assert code == status, body
        return json.loads(body)


def _begins_with(answer: dict[str, Any], fields: dict[str, type]) -> None:
    """The document's fields come first, in its order, of its types."""
    assert list(answer)[: len(fields)] == list(fields)
    assert {key: type(answer[key]) for key in fields} == fields


def _lasting(answer: Any) -> Any:
    """An answer without what changes while one looks."""
    if isinstance(answer, list):
        return [_lasting(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    # Only the commands may read Archon's key.
    passing = ("age_hours", "disk_usage_percent", "health_message", "encryption_key_changed")
    return {key: _lasting(value) for key, value in answer.items() if key not in passing}


@pytest.fixture(scope="module")
def service(module_installation: Installation) -> Iterator[Service]:
    spawned = module_installation.spawn("serve", "--port", "0")
    yield Service(spawned)
    spawned.send(signal.SIGTERM)
    assert spawned.finish().returncode == 143


def test_the_documents_three_answers(service: Service, module_installation: Installation) -> None:
    status = service.get("/api/backup/status")
    _begins_with(status, STATUS)
    assert TIME.fullmatch(status["latest_backup"])
    assert status["latest_backup_utc"] == f"{status['latest_backup']}Z"
    assert status["health_message"] == f"Backup is fresh ({status['age_hours']}h old)"
    listed = service.get("/api/backup/list")
    _begins_with(listed, LIST)
    _begins_with(listed["backups"][0], ENTRY)
    newest = listed["backups"][0]
    assert newest["timestamp"] == status["latest_backup"]
    assert newest["path"] == str(module_installation.latest_dump())
    health = service.get("/api/backup/health")
    _begins_with(health, HEALTH)
    # Between the two a tenth of an hour may have begun.
    later = service.get("/api/backup/status")["health_message"]
    assert health["message"] in (status["health_message"], later)


def test_status_and_list_are_those_of_the_commands(
    service: Service, module_installation: Installation
) -> None:
    for path, command in (("status", "status"), ("list", "backups")):
        answer = _lasting(service.get(f"/api/backup/{path}"))
        assert answer == _lasting(module_installation.run(command, "--json").ok().json)


def test_a_source_can_be_named_and_an_unknown_one_is_refused(service: Service) -> None:
    assert service.get("/api/backup/status?source=demo")["source"] == "demo"
    other = service.get("/api/backup/status?source=archon")
    assert (other["source"], other["health"], other["count"]) == ("archon", "missing", 0)
    assert service.get("/api/backup/health?source=archon")["healthy"] is False
    assert "unknown source" in service.get("/api/backup/status?source=nope", 404)["detail"]


def test_the_service_itself(service: Service) -> None:
    assert service.get("/health")["service"] == "archon-ops"
    paths = service.get("/openapi.json")["paths"]
    assert {"/api/backup/status", "/api/backup/list", "/api/backup/health"} <= set(paths)
    assert {method for path in paths.values() for method in path} == {"get"}
    url = f"{service.base}/docs"
    with urllib.request.urlopen(url, timeout=120) as answer:  # noqa: S310 - ours
        page = answer.read().decode()
    assert "<code>disk_usage_percent</code>" in page
    assert re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page) == []


def test_metrics_are_those_of_the_watched_sources(service: Service) -> None:
    url = f"{service.base}/metrics"
    with urllib.request.urlopen(url, timeout=120) as answer:  # noqa: S310 - ours
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    assert 'archon_backup_health{archon_backup_health="healthy",source="demo"} 1.0' in text
    assert 'source="archon"' not in text


@pytest.mark.slow
def test_a_taken_port_and_bad_addresses(
    service: Service, module_installation: Installation
) -> None:
    port = service.base.rpartition(":")[2]
    taken = module_installation.run("serve", "--port", port).ended(3)
    assert f"port {port}" in taken.stderr
    assert module_installation.run("serve", "--port", "70000").ended(2)
    assert module_installation.run("serve", "--host", "no such host").ended(2)


@pytest.mark.slow
def test_schemathesis_finds_nothing(service: Service, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    require(program.exists(), "schemathesis of the extra `test`")
    what = ("--checks", "all", "-n", "20")
    # The same questions in every run, and however slow the machine is.
    steady = ("--generation-deterministic", "--suppress-health-check", "all")
    done = subprocess.run(
        [
            *(str(program), "run", f"{service.base}/openapi.json"),
            *(*what, *steady, "--request-timeout", "120"),
        ],
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=540,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert "Tested: 5" in done.stdout


def test_it_can_be_mounted_in_another_application(module_installation: Installation) -> None:
    app = FastAPI()
    app.include_router(router(load(module_installation.root, source="demo")))
    with listening("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/backup/status"
            with urllib.request.urlopen(url, timeout=120) as answer:
                _begins_with(json.load(answer), STATUS)
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.slow
def test_a_damaged_newest_backup_shows(installation: Installation) -> None:
    service = Service(installation.spawn("serve", "--port", "0"))
    assert service.get("/api/backup/health")["healthy"] is True
    dump = installation.latest_dump()
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    installation.run("verify", "latest").ended(4)
    time.sleep(1.1)  # answers are kept for a second
    status = service.get("/api/backup/status")
    assert (status["health"], status["trust"]) == ("critical", "failed")
    assert "checksum" in str(status["health_reasons"]).lower()
    assert service.get("/api/backup/health")["healthy"] is False


def test_old_dumps_on_a_read_only_mount(installation: Installation, tmp_path: Path) -> None:
    require(os.geteuid() == 0, "root, to mount a folder read-only")
    old, mounted = tmp_path / "old", tmp_path / "app"
    for folder in (old, mounted):
        folder.mkdir()
    dump = old / "archon_postgres-20251217_022448.dump"
    dump.write_bytes(b"PGDMP")
    os.utime(dump, (time.time() - 7.7 * 3600,) * 2)
    for options in (["--bind", str(old)], ["-o", "remount,bind,ro"]):
        done = subprocess.run(
            ["mount", *options, str(mounted)],  # noqa: S607 - wherever it is
            capture_output=True,
            check=False,
        )
        require(done.returncode == 0, "the right to mount")
    try:
        spawned = installation.spawn("serve", "--port", "0", "--backup-dir", str(mounted))
        status = Service(spawned).get("/api/backup/status")
        _begins_with(status, STATUS)
        assert (status["health"], status["location"]) == ("aging", str(mounted))
        assert status["health_message"] == "Backup is aging (7.7h old)"
        assert "age alone" in str(status["health_reasons"])
        spawned.kill()
    finally:
        subprocess.run(["umount", str(mounted)], check=True)  # noqa: S607
    assert [path.name for path in old.iterdir()] == [dump.name]
