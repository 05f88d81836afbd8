"""Alerts and pings, as cron and a watchdog see them."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archon_ops.storage import manifest as manifests
from archon_ops.storage.names import manifest_path
from tests.support import Completed, Installation, wait_until
from tests.web import Answer, Web, web

STAMP = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] ", re.MULTILINE)


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as running:
        yield running


class House:
    """An installation whose alerts go to a file of its own."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.log = installation.root / "monitoring.log"

    def configure(self, *lines: str) -> None:
        text = "\n".join(["[monitor]", f'log = "{self.log}"', *lines])
        (self.installation.root / "archon.toml").write_text(text + "\n")

    def alert(self, *args: str) -> Completed:
        return self.installation.run("alert", *args)

    def logged(self) -> list[str]:
        """Lines of the log without their times; each has one."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines()
        assert all(STAMP.match(line) for line in lines)
        return [STAMP.sub("", line) for line in lines]

    def aged(self, hours: float) -> None:
        """Make the newest backup that old."""
        dump = self.installation.latest_dump()
        own = manifests.read(dump)
        assert own is not None
        at = datetime.now(UTC) - timedelta(hours=hours)
        # At one stroke: who looks meanwhile sees a manifest, this one or that.
        aside = self.installation.root / dump.name
        manifests.write(aside, replace(own, snapshot_at=at), "20251217T100648Z-0a1b")
        manifest_path(aside).replace(manifest_path(dump))

    def status(self) -> dict[str, object]:
        answer = self.installation.run("status", "--json").ok().json
        assert isinstance(answer, dict)
        return answer


@pytest.fixture
def house(installation: Installation) -> House:
    made = House(installation)
    made.configure()
    return made


@pytest.mark.slow
def test_the_documents_lines_on_change_only_and_recovery(house: House) -> None:
    assert house.alert().ended(0).stderr == ""
    assert house.logged() == []
    house.aged(7.7)
    said = house.alert().ended(6).stderr
    line = "Demo Knowledge Base: Backup aging (7.7h old, status: aging)"
    assert said == f"[WARN] {line}\n"
    expected = [f"[WARNING] {line.replace(': ', ': WARNING - ', 1)}"]
    assert house.logged() == expected
    assert house.alert().ended(6).stderr == ""  # nothing is new
    house.aged(25.3)
    assert "[WARN] Demo Knowledge Base: Backup outdated (25.3h old" in house.alert().ended(7).stderr
    expected.append(
        "[ERROR] Demo Knowledge Base: CRITICAL - Backup outdated (25.3h old, status: outdated)"
    )
    assert house.logged() == expected
    house.aged(0.5)
    assert "[INFO] Demo Knowledge Base: Backup fresh (0.5h" in house.alert().ended(0).stderr
    assert house.logged()[2:] == [
        "[INFO] Demo Knowledge Base: RECOVERED - Backup fresh (0.5h old, status: healthy)"
    ]
    assert house.log.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_what_lasts_is_said_again_after_the_interval(house: House) -> None:
    house.aged(7)
    house.alert().ended(6)
    memory = house.installation.root / ".archon" / "alerts.json"
    said = json.loads(memory.read_text())
    for hours in (-25, 30):  # long ago; and later than now, as when a clock was set back
        at = datetime.now(UTC) + timedelta(hours=hours)
        said["demo/backup"]["at"] = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        memory.write_text(json.dumps(said))
        assert "aging" in house.alert().ended(6).stderr
    memory.write_text("{ no JSON")
    assert "aging" in house.alert().ended(6).stderr
    assert house.alert().ended(6).stderr == ""


@pytest.mark.slow
def test_damage_and_a_changed_key_alarm_however_fresh(house: House) -> None:
    dump = house.installation.latest_dump()
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    house.installation.run("verify", "latest").ended(4)
    home = house.installation.root / ".archon" / "demo" / "home"
    (home / ".env").write_text("ENCRYPTION_KEY=rotated\n")
    answer = house.alert("--json").ended(7).json
    damaged, key = house.logged()
    assert damaged.startswith("[ERROR] Demo Knowledge Base: CRITICAL - Backup damaged (")
    assert "checksum" in damaged.lower()
    assert key.startswith("[WARNING] Demo Knowledge Base: WARNING - Archon's encryption key is")
    assert (answer["level"], len(answer["messages"])) == ("critical", 2)
    house.installation.run("backup").ok()
    assert len(house.alert().ended(0).stderr.splitlines()) == 2
    assert all("RECOVERED" in line for line in house.logged()[2:])


@pytest.mark.slow
def test_every_channel_is_tried_and_a_dead_one_is_seen(house: House, server: Web) -> None:
    host = server.url.removeprefix("http://")
    dead = "json://127.0.0.1:1/secret-path"
    house.configure(f'channels = ["json://{host}/secret-hook", "{dead}"]')
    tried = house.alert("--test").ended(1)
    assert "log: arrived" in tried.stderr
    assert "TEST - this is a test" in house.logged()[-1]
    assert "json 1: arrived" in tried.stderr
    assert "json 2: did not arrive" in tried.stderr
    assert "secret" not in tried.stderr
    assert server.paths() == ["/secret-hook"]
    channels = house.status()["channels"]
    assert isinstance(channels, list)
    assert [(c["channel"], c["arrived"]) for c in channels] == [
        ("json 1", True),
        ("json 2", False),
        ("log", True),
    ]
    assert "secret" not in json.dumps(channels)
    house.aged(7)
    assert "json 2: did not arrive" in house.alert().ended(6).stderr
    assert "Backup aging" in server.asked[-1][2]


@pytest.mark.slow
def test_a_log_that_cannot_be_written_is_said_and_seen(house: House) -> None:
    house.log.mkdir()
    house.aged(7)
    done = house.alert().ended(6)
    assert "channel log: did not arrive" in done.stderr
    assert "monitoring.log" in str(house.status()["channels"])


@pytest.mark.slow
def test_an_alarm_is_said_even_where_nothing_can_be_remembered(house: House) -> None:
    house.aged(7)
    (house.installation.root / ".archon" / "alerts.json").mkdir()
    for times in (1, 2):
        done = house.alert().ended(6)
        assert "Backup aging" in done.stderr
        assert "not written down: " in done.stderr
        assert len(house.logged()) == times


def test_watching_goes_on_until_it_is_stopped(house: House) -> None:
    watching = house.installation.spawn("alert", "--watch", "--every", "1")
    watching.wait_for("looking every 1 s")
    house.aged(8)
    wait_until(house.logged, 20, "an alert")
    watching.send(signal.SIGTERM)
    assert watching.finish().returncode == 143
    assert len(house.logged()) == 1


@pytest.mark.parametrize(
    "args", [("--every", "0"), ("--watch", "--json"), ("--also", "nope"), ("--also", "ftp://x/")]
)
def test_what_makes_no_sense_is_refused(house: House, args: tuple[str, ...]) -> None:
    house.alert(*args).ended(2)


@pytest.mark.slow
def test_a_watchdog_is_told_of_every_run(house: House, server: Web) -> None:
    house.configure(f'ping = "{server.url}/key/{{source}}-{{action}}?create=1"')
    done = house.installation.run("backup").ok()
    assert "watchdog" not in done.stderr
    assert server.paths() == ["/key/demo-backup/start", "/key/demo-backup"]
    rids = {re.search(r"create=1&rid=([0-9a-f-]{36})$", path)[1] for _, path, _ in server.asked}  # type: ignore[index]
    assert len(rids) == 1
    run = max((house.installation.backups / ".ops" / "runs").iterdir()).stem
    assert server.asked[-1][2] == f"{run} backup of demo: done, exit code 0"
    dump = house.installation.latest_dump()
    dump.write_bytes(dump.read_bytes()[:-1])
    house.installation.run("verify", "latest").ended(4)
    assert server.paths()[-2:] == ["/key/demo-verify/start", "/key/demo-verify/fail"]


@pytest.mark.slow
def test_a_dead_watchdog_fails_no_backup_and_is_seen(house: House, server: Web) -> None:
    server.answers["/x"] = Answer(status=503)
    for url in (f"{server.url}/x", "http://127.0.0.1:1/secret"):
        house.configure(f'ping = "{url}"')
        done = house.installation.run("backup").ok()
        assert "the watchdog was not told" in done.stderr
        assert "secret" not in done.stderr
        (ping,) = house.status()["channels"]  # type: ignore[misc]
        assert (ping["channel"], ping["arrived"]) == ("ping", False)
    assert "last run" not in house.installation.run("status").ok().stdout


@pytest.mark.slow
def test_an_api_elsewhere_is_watched_too(house: House, server: Web) -> None:
    path = "/api/backup/status"
    server.answers[path] = Answer(
        json.dumps(
            {
                "age_hours": 7.7,
                "size_human": "457.4 KB",
                "count": 5,
                "max_retention": 10,
                "health": "aging",
                "health_message": "Backup is aging\x1b[2J\n[ERROR] (7.7h old)",
            }
        ).encode()
    )
    house.configure(
        "[monitor.remotes.local-ai]",
        f'url = "http://me:pass-word@{server.url.removeprefix("http://")}{path}"',
        'display_name = "Local AI Platform"',
    )
    said = house.alert().ended(6).stderr
    line = r"Local AI Platform: Backup aging\x1b[2J\n[ERROR] (7.7h old, status: aging)"
    assert said == f"[WARN] {line}\n"
    assert len(house.logged()) == 1
    assert server.headers[0]["Authorization"].startswith("Basic ")
    server.answers[path] = Answer(status=500)
    said = house.alert().ended(7).stderr
    assert said == "[WARN] Local AI Platform: API unavailable (it answers HTTP 500)\n"
    house.configure("[monitor.remotes.demo]", 'url = "http://127.0.0.1/"')
    assert "cannot be a remote" in house.alert().ended(2).stderr


def test_the_two_files_of_the_document(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archon_ops.notify import log

    monkeypatch.setenv("HOME", str(tmp_path))
    assert log.places(None) == (
        Path("/var/log/archon-monitoring.log"),
        tmp_path / "archon-monitoring.log",
    )
    files = (tmp_path / "none" / "a.log", tmp_path / "b.log")
    assert log.append(files, ("one", "two")) == ""
    assert files[1].read_text() == "one\ntwo\n"
    assert "No such file" in log.append(files[:1], ("one",))
