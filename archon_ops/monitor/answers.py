"""The bodies of the API, as its OpenAPI document describes them: its fields, then ours."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

LevelName = Literal["healthy", "aging", "outdated", "critical", "missing"]
TrustName = Literal["unmanaged", "checked", "restored", "failed"]
_NO_ZONE = "UTC, without a zone"


class Known(BaseModel):
    """What is known of a backup beyond its file."""

    trust: TrustName | None
    problems: list[str] = Field(description="why it cannot be trusted")
    verified_at: datetime | None
    verified_how: str | None
    rows: int | None
    archon_rows: int | None
    label: str | None
    not_covered: list[str]
    safety: bool


class Entry(Known):
    """One backup of a list."""

    filename: str
    timestamp: str = Field(description=_NO_ZONE)
    age_hours: float
    size_bytes: int
    size_human: str
    path: str
    timestamp_utc: datetime


class Ignored(BaseModel):
    """Something that bears a dump's name and is none."""

    name: str
    what: str


class PitrBackup(BaseModel):
    """One backup of point-in-time recovery."""

    label: str = Field(description="as pgBackRest calls it")
    kind: Literal["pitr-full", "pitr-diff", "pitr-incr"]
    repository: int
    timestamp_utc: datetime
    age_hours: float
    database_bytes: int
    stored_bytes: int
    seconds: float
    prior: str | None
    chain: list[str] = Field(description="all that a restore of it reads, itself last")
    proven: bool = Field(description="whether the content at its point was fingerprinted")
    damaged: bool
    timeline: int | None
    other_branch: bool = Field(description="whether it is of no use to the server's own timeline")


class PitrGap(BaseModel):
    """Moments that cannot be restored, because WAL is missing."""

    since: datetime | None = Field(description="the last commit before it")
    until: datetime | None = Field(description="the end of the first backup behind it")
    after_wal: str
    before_wal: str | None


class Pitr(BaseModel):
    """What was last seen of point-in-time recovery."""

    stanza: str
    as_of: datetime
    earliest: datetime | None
    latest: datetime | None = Field(description="the last archived commit")
    gaps: list[PitrGap]
    timeline: int | None = Field(description="the one that the window is of")
    trouble: str | None
    damaged: list[str]
    archiving: bool | None
    wal_waiting_bytes: int | None
    last_archived: datetime | None
    backups: list[PitrBackup]


class Listing(BaseModel):
    """All backups of a source, newest first."""

    count: int
    backups: list[Entry]
    total_size_bytes: int
    total_size_human: str
    safety_backups: list[Entry]
    safety_size_bytes: int
    source: str
    ignored: list[Ignored]
    pitr_backups: list[PitrBackup]


class Thresholds(BaseModel):
    """From which ages on the levels count."""

    aging_hours: float
    outdated_hours: float
    critical_hours: float
    basis: str = Field(description="where they come from: defaults, settings or schedule")


class Failing(BaseModel):
    """An action whose last run failed."""

    action: str
    at: datetime | None
    result: str | None
    reason: str


class Drill(BaseModel):
    """The last drill."""

    at: datetime
    runbook: str | None
    verdict: Literal["PASS", "FAIL", "INCONCLUSIVE"]
    recovery_seconds: float | None


class Channel(BaseModel):
    """A way in which messages are sent, and whether its last one arrived."""

    channel: str
    arrived: bool
    problem: str
    at: datetime


class Status(Known):
    """The state of a source's backups."""

    source: str
    latest_backup: str | None = Field(description=_NO_ZONE)
    age_hours: float | None
    size_bytes: int
    size_human: str
    count: int
    max_retention: int
    health: LevelName
    health_message: str
    location: str
    disk_usage_percent: float | None
    health_reasons: list[str]
    latest_filename: str | None
    latest_backup_utc: datetime | None
    newest_trustworthy: str | None
    managed_count: int
    unmanaged_count: int
    safety_count: int
    total_size_bytes: int
    safety_size_bytes: int
    last_success: datetime | None
    last_failure: str | None
    failing: list[Failing]
    last_drill: Drill | None
    channels: list[Channel]
    kept: dict[str, object] | None = Field(description="what the last restore keeps for an undo")
    display_name: str
    thresholds: Thresholds
    encryption_key_changed: bool | None
    ignored_count: int
    pitr: Pitr | None


class Verdict(BaseModel):
    """The short answer for probes; the HTTP status is 200 also when it is bad."""

    healthy: bool
    status: LevelName
    message: str
    age_hours: float | None
    reasons: list[str]
    source: str
    trust: TrustName | None


class Service(BaseModel):
    """How this service itself is."""

    status: Literal["healthy"]
    service: Literal["archon-ops"]
    version: str
    sources: list[str]


class NotFound(BaseModel):
    """There is no such source."""

    detail: str
