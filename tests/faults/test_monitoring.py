"""Backup directories as they should not be, under the eyes of those who watch them."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from archon_ops.model.health import Thresholds
from archon_ops.monitor import kept
from archon_ops.monitor.alerts import alert
from archon_ops.monitor.kept import Kept
from archon_ops.monitor.metrics import exposition
from archon_ops.monitor.panel import panel
from archon_ops.monitor.snapshot import Reader, Snapshot
from archon_ops.monitor.view import local_view
from archon_ops.monitor.watched import Watched
from archon_ops.settings import load
from archon_ops.storage.directory import Directory

NOW = datetime(2025, 12, 17, 10, 6, 48, tzinfo=UTC)
NAMES = (
    "a\nb.dump",
    "\x1b[2J\x1b]0;owned\x07.dump",
    "\u202egpj.dump",
    "$(touch owned).dump",
    "--help.dump",
    "'; DROP TABLE x; --.dump",
    "ü数据库🔥.dump",
    "<script>alert(1)<.dump",
    'quote"back\\slash{}.dump',
)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    directory = Directory(tmp_path / "backups")
    directory.prepare()
    return Watched("archon", "Archon Knowledge Base", directory, Thresholds(), 10, {}, tmp_path)


def _dump(watched: Watched, name: str | bytes, hours: float = 1.0) -> None:
    path = watched.directory.path / os.fsdecode(name)
    path.write_bytes(b"PGDMP")
    at = (NOW - timedelta(hours=hours)).timestamp()
    os.utime(path, (at, at))


def _everything_said(found: Snapshot) -> dict[str, str]:
    """The same snapshot through every door."""
    view = local_view(found)
    return {
        "status": json.dumps(found.status),
        "list": json.dumps(found.listing),
        "health": json.dumps(found.verdict),
        "metrics": exposition([found]).decode(),
        "panel": "\n".join(line.text for line in panel([view], 80)),
    }


@pytest.mark.parametrize("name", NAMES)
def test_names_never_act_wherever_they_are_shown(watched: Watched, name: str) -> None:
    _dump(watched, name, hours=1)
    _dump(watched, "sound.dump", hours=2)
    found = Reader(watched).look(NOW)
    for where, text in _everything_said(found).items():
        acting = [char for char in text if not char.isprintable() and char != "\n"]
        assert acting == [], where
    assert found.status["count"] == (2 if name.isprintable() else 1)
    assert found.status["ignored_count"] == (0 if name.isprintable() else 1)


def test_bytes_that_are_no_text(watched: Watched) -> None:
    _dump(watched, b"\xff\xfe.dump")
    found = Reader(watched).look(NOW)
    said = _everything_said(found)
    assert all(text.encode() for text in said.values())
    assert r"\udcff" in str(found.listing["ignored"])
    assert found.status["ignored_count"] == 1


def test_alerts_of_hostile_names_are_one_line(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "archon.toml").write_text('[monitor]\nlog = "alerts.log"\n')
    hostile = replace(watched, display_name="Archon\n[ERROR] \x1b[31m")
    view = local_view(Reader(hostile).look(NOW))
    sent = alert(load(tmp_path), [view], NOW)
    (line,) = (tmp_path / "alerts.log").read_text().splitlines()
    assert line.isprintable()
    assert sent.messages[0].console.isprintable()


@pytest.mark.slow
def test_ten_thousand_files(watched: Watched) -> None:
    folder = watched.directory.path
    for number in range(10_000):
        (folder / f"old-{number:05}.dump").touch()
    reader = Reader(watched)
    assert reader.look(NOW).status["count"] == 10_000
    began = time.process_time()
    assert reader.look(NOW).status["count"] == 10_000
    assert time.process_time() - began < 5


def test_files_that_vanish_while_they_are_read(watched: Watched) -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for number in range(50):
                _dump(watched, f"{number}.dump")
            for path in watched.directory.path.glob("*.dump"):
                path.unlink()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        reader = Reader(watched)
        looks = [reader.look(NOW) for _ in range(200)]
    finally:
        stop.set()
        thread.join()
    assert [look.trouble for look in looks if look.trouble] == []
    assert len({look.status["count"] for look in looks}) > 1


def test_clocks(watched: Watched) -> None:
    _dump(watched, "future.dump", hours=-3)
    reader = Reader(watched)
    found = reader.look(NOW)
    assert (found.status["health"], found.status["age_hours"]) == ("healthy", 0.0)
    assert "3.0h in the future" in str(found.status["health_reasons"])
    before = reader.look(NOW - timedelta(days=365 * 30))
    assert before.status["age_hours"] == 0.0
    later = reader.look(NOW + timedelta(days=365 * 30))
    assert later.status["health"] == "critical"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Apia"])
def test_a_change_of_summer_time_changes_no_age(
    watched: Watched, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for day in (datetime(2025, 3, 30), datetime(2025, 10, 26), datetime(2025, 11, 2)):
            midnight = day.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
            dump = watched.directory.path / "x.dump"
            dump.touch()
            os.utime(dump, (midnight.timestamp(),) * 2)
            found = Reader(watched).look(midnight + timedelta(hours=5))
            assert found.status["age_hours"] == 5.0
            assert found.status["latest_backup"] == f"{midnight:%Y-%m-%dT%H:%M:%S}"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_is_not_allowed_is_critical_and_is_not_hidden(watched: Watched) -> None:
    for wrong in ("a file", "a link to itself"):
        path = watched.directory.path
        path.rmdir() if path.is_dir() else path.unlink()
        if wrong == "a file":
            path.write_text("")
        else:
            path.symlink_to(path)
        found = Reader(watched).look(NOW)
        assert found.status["health"] == "critical"
        assert found.status["health_message"] == "Backup directory cannot be read"
        assert found.status["health_reasons"] != []
        assert str(path) in str(found.status["location"])


def test_a_disk_that_does_not_answer_keeps_nobody_waiting(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    class Stuck(Reader):
        def look(self, now: datetime) -> Snapshot:
            released.wait(30)
            return super().look(now)

    async def ask() -> list[str]:
        source = Kept(Stuck(watched), lambda: NOW)
        answers = await asyncio.gather(*(source.answers() for _ in range(20)))
        threads = [t for t in threading.enumerate() if t.name.startswith("asyncio")]
        assert len(threads) == 1  # the others did not go and wait for the disk as well
        released.set()
        return [str(answer.snapshot.status["health_reasons"]) for answer in answers]

    monkeypatch.setattr(kept, "ANSWER_SECONDS", 0.2)
    assert all("did not answer within" in reasons for reasons in asyncio.run(ask()))


def test_nothing_is_written_by_looking(watched: Watched) -> None:
    _dump(watched, "x.dump")
    folder = watched.directory.path

    def state() -> list[tuple[str, int]]:
        return [(str(p), p.lstat().st_mtime_ns) for p in sorted([folder, *folder.rglob("*")])]

    before = state()
    _everything_said(Reader(watched).look(NOW))
    assert state() == before
