"""What was last seen of point-in-time recovery, wherever it is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from archon_ops.cli.state import status_rows
from archon_ops.model.pitr.labels import Label
from archon_ops.model.pitr.state import Archiver, State
from archon_ops.model.schedule import parse
from archon_ops.monitor.alerts import alert, worst
from archon_ops.monitor.answers import Listing, Status
from archon_ops.monitor.metrics import exposition
from archon_ops.monitor.panel import panel
from archon_ops.monitor.pitr import rows, window_text
from archon_ops.monitor.snapshot import Reader
from archon_ops.monitor.view import View, local_view
from archon_ops.settings import load
from archon_ops.storage import pitr as kept
from archon_ops.storage.directory import Directory
from tests.unit.storage.conftest import Put

RUN = "20251217T030648Z-0001"


def state(now: datetime) -> State:
    began = now - timedelta(hours=2)
    full = Label(
        "20251217-080000F", "full", 1, began, began, 100, 100, 30, None, (), "", "", annotations={}
    )
    later = replace(
        full, name=f"{full.name}_20251217-090000I", kind="incr", prior=full.name, stored_bytes=2
    )
    archiver = Archiver(now - timedelta(minutes=1), None, None, 0, 0, 1 << 30)
    return State(
        now, "archon", (full, later), (full.name,), began, now - timedelta(minutes=1), archiver
    )


def look(reader: Reader, directory: Directory, seen: State, now: datetime) -> View:
    kept.remember(directory, seen, RUN)
    return local_view(reader.read(now))


def test_it_is_shown_as_a_kind_of_its_own(
    reader: Reader, put: Put, directory: Directory, now: datetime
) -> None:
    put(1)
    view = look(reader, directory, state(now), now)
    found = view.snapshot
    assert found is not None
    status = Status.model_validate(found.status, strict=False)
    assert status.pitr is not None
    assert status.pitr.archiving is True
    assert status.pitr.latest == now.replace(microsecond=0) - timedelta(minutes=1)
    assert status.count == 1  # a dump is another thing
    listed = Listing.model_validate(found.listing, strict=False).pitr_backups
    assert [(b.kind, b.proven, len(b.chain)) for b in listed] == [
        ("pitr-incr", False, 1),
        ("pitr-full", True, 1),
    ]
    rows = dict(status_rows(found))
    assert "any moment can be restored from" in rows["any moment"]
    assert any("any moment" in line.text for line in panel([view], 100))
    told = exposition([found]).decode()
    assert 'archon_backup_pitr_stored{kind="incr",source="archon"} 1' in told
    assert 'archon_backup_pitr_stored_bytes{source="archon"} 32' in told
    assert 'archon_backup_pitr_archiving{source="archon"} 1' in told
    assert worst([view]).value == "healthy"


def test_a_backup_of_another_branch_is_marked(
    reader: Reader, put: Put, directory: Directory, now: datetime
) -> None:
    """A recovered cluster was backed up, and then the old one was put back into service."""
    put(1)
    seen = state(now)
    full, other = seen.labels
    other = replace(other, wal_stop="000000020000000000000005")
    seen = replace(seen, labels=(full, other), timeline=1, elsewhere=(other.name,))
    found = look(reader, directory, seen, now).snapshot
    assert found is not None
    status = Status.model_validate(found.status, strict=False).pitr
    assert status is not None
    assert status.timeline == 1
    assert [(b.timeline, b.other_branch) for b in status.backups] == [(2, True), (None, False)]
    assert [row[1] for row in rows(seen, now)] == ["incr, other branch", "full"]
    assert window_text(seen).endswith("; on timeline 1, others by --timeline 2")
    assert "timeline" not in window_text(state(now))


def test_an_archiver_that_fails_is_said_once_and_taken_back(
    reader: Reader, put: Put, directory: Directory, now: datetime
) -> None:
    put(1)
    well = state(now)
    assert well.archiver is not None
    late = replace(
        well.archiver,
        last_archived_at=now - timedelta(hours=3),
        last_failed_at=now,
        last_failed_wal="000000010000000000000007",
    )
    view = look(reader, directory, replace(well, archiver=late), now)
    assert worst([view]).value == "critical"
    (directory.path.parent / "archon.toml").write_text('[monitor]\nlog = "alerts.log"\n')
    settings = load(directory.path.parent, source="archon")
    (message,) = alert(settings, [view], now).messages
    assert message.severity == "ERROR"
    assert "WAL has not been archived for 3 h" in message.text
    assert "archon_backup_pitr_archiving{source=" in exposition([view.snapshot]).decode()  # type: ignore[list-item]
    assert alert(settings, [view], now).messages == ()
    (message,) = alert(settings, [look(reader, directory, well, now)], now).messages
    assert message.severity == "INFO"
    assert "WAL is archived" in message.text


def test_a_state_that_cannot_be_read_is_none(directory: Directory, now: datetime) -> None:
    kept.remember(directory, state(now), RUN)
    assert kept.recall(directory) == state(now)
    (directory.ops / "pitr.json").write_text("{}")
    assert kept.recall(directory) is None


def test_what_the_schedule_left_out_is_shown_and_said(
    reader: Reader, put: Put, directory: Directory, now: datetime
) -> None:
    put(1)
    watched = replace(reader.watched, pitr_due={"full": parse("03:00")})
    before = local_view(Reader(watched).read(now))
    assert worst([before]).value == "critical"
    assert any("none is known here" in line.text for line in panel([before], 100))
    kept.remember(directory, state(now), RUN)
    assert worst([local_view(Reader(watched).read(now))]).value == "healthy"
    later = local_view(Reader(watched).read(now + timedelta(hours=30)))
    assert later.snapshot is not None
    assert "newest full backup is 1 d 8 h old" in dict(status_rows(later.snapshot))["any moment"]
    told = exposition([later.snapshot]).decode()
    assert 'archon_backup_pitr_backup_timestamp_seconds{kind="full",source="archon"} 1.76' in told
    assert 'archon_backup_pitr_concern{source="archon"} 1' in told
    (directory.path.parent / "archon.toml").write_text('[monitor]\nlog = "alerts.log"\n')
    settings = load(directory.path.parent, source="archon")
    said = [one.text for one in alert(settings, [later], now + timedelta(hours=30)).messages]
    assert [text for text in said if "newest full backup" in text]


def test_only_a_source_with_a_repository_has_such_backups(tmp_path: Path) -> None:
    (tmp_path / "archon.toml").write_text(
        """[schedule]
pitr_incr = "01:00"
[sources.demo.pitr.repo1]
url = "/var/lib/pgbackrest"
"""
    )
    settings = load(tmp_path)
    assert settings.pitr_due("archon") == {}
    assert {kind: str(entry) for kind, entry in settings.pitr_due("demo").items()} == {
        "incr": "01:00"
    }
