from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from archon_ops.model.backup import Backup
from archon_ops.model.catalog import Catalog
from archon_ops.model.documents import health_document, list_document, status_document
from archon_ops.model.health import Thresholds, assess, assess_catalog

Make = Callable[..., Backup]
STATUS = [
    "source",
    "latest_backup",
    "age_hours",
    "size_bytes",
    "size_human",
    "count",
    "max_retention",
    "health",
    "health_message",
    "location",
    "disk_usage_percent",
]
ENTRY = ["filename", "timestamp", "age_hours", "size_bytes", "size_human", "path"]


def _status(catalog: Catalog, now: datetime) -> dict[str, object]:
    return status_document(
        "archon",
        catalog,
        assess_catalog(catalog, Thresholds(), now),
        max_retention=10,
        location="/app/backups",
        disk_usage_percent=31.5,
        now=now,
    )


def test_status_begins_with_the_documents_answer(backup: Make, now: datetime) -> None:
    catalog = Catalog(tuple(backup(7.7 + n) for n in range(5)))
    document = _status(catalog, now)
    assert list(document)[: len(STATUS)] == STATUS
    assert [document[key] for key in STATUS] == [
        "archon",
        "2025-12-17T02:24:48",
        7.7,
        468381,
        "457.4 KB",
        5,
        10,
        "aging",
        "Backup is aging (7.7h old)",
        "/app/backups",
        31.5,
    ]


def test_status_goes_on_with_what_we_know(backup: Make, now: datetime) -> None:
    document = _status(Catalog((backup(3, kind="restored", label="release"),)), now)
    expected = {
        "latest_backup_utc": "2025-12-17T07:06:48Z",
        "trust": "restored",
        "verified_at": "2025-12-17T07:07:48Z",
        "verified_how": "restore",
        "rows": 15,
        "archon_rows": 12,
        "label": "release",
        "not_covered": ["schema cron"],
        "safety": False,
    }
    assert {key: document[key] for key in expected} == expected


def test_a_backup_is_verified_when_it_was_read_back(backup: Make, now: datetime) -> None:
    document = _status(Catalog((backup(3),)), now)
    assert (document["verified_at"], document["verified_how"]) == ("2025-12-17T07:06:52Z", "backup")


def test_status_without_backups_has_every_key(backup: Make, now: datetime) -> None:
    empty, full = _status(Catalog(()), now), _status(Catalog((backup(1),)), now)
    assert list(empty) == list(full)
    assert empty["health"] == "missing"
    assert empty["latest_backup"] is None
    assert (empty["size_bytes"], empty["size_human"], empty["count"]) == (0, "0 B", 0)


def test_list_is_the_documents_list(backup: Make, now: datetime) -> None:
    newer, older = backup(7.7), backup(30, kind="unmanaged", size=1877200)
    document = list_document(Catalog((older, newer)), "/app/backups/", now)
    assert list(document)[:4] == ["count", "backups", "total_size_bytes", "total_size_human"]
    assert (document["count"], document["total_size_bytes"]) == (2, 2345581)
    assert document["total_size_human"] == "2.2 MB"
    backups = document["backups"]
    assert isinstance(backups, list)
    first, second = backups
    assert list(first)[: len(ENTRY)] == ENTRY
    assert first["path"] == "/app/backups/archon_postgres-20251217_022448.dump"
    assert first["timestamp"] == "2025-12-17T02:24:48"
    assert (second["trust"], second["rows"], second["verified_at"]) == ("unmanaged", None, None)


def test_safety_backups_are_listed_apart(backup: Make, now: datetime) -> None:
    catalog = Catalog((backup(2), backup(1, safety=True)))
    document = list_document(catalog, "/b", now)
    assert document["count"] == _status(catalog, now)["count"] == 1
    apart = document["safety_backups"]
    assert isinstance(apart, list)
    assert apart[0]["path"].startswith("/b/safety/archon_postgres-")
    assert apart[0]["safety"] is True


def test_problems_are_shown(backup: Make, now: datetime) -> None:
    odd = replace(backup(2), verify_problem="results cannot be read")
    document = _status(Catalog((odd,)), now)
    assert document["problems"] == ["results cannot be read"]
    assert document["trust"] == "checked"
    assert _status(Catalog((backup(1, kind="failed"),)), now)["problems"] == ["checksum differs"]


def test_everything_is_json(backup: Make, now: datetime) -> None:
    catalog = Catalog((backup(2), backup(1, safety=True), backup(3, kind="edited")))
    assert json.loads(json.dumps(list_document(catalog, "/b", now)))
    assert json.loads(json.dumps(_status(catalog, now)))


def test_health_is_the_documents_answer() -> None:
    assert health_document(assess(7.7111, Thresholds())) == {
        "healthy": False,
        "status": "aging",
        "message": "Backup is aging (7.7h old)",
        "age_hours": 7.7,
        "reasons": [],
    }
    assert health_document(assess(None, Thresholds()))["age_hours"] is None
