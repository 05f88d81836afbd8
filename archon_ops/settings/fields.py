"""What can be configured, group by group, with the defaults."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, SecretStr

from archon_ops.settings.pitr import PitrSettings
from archon_ops.settings.types import FROZEN, Age, Entry


class RetentionSettings(BaseModel):
    """How many backups `prune` keeps; the calendar rules are off until they are set."""

    model_config = FROZEN
    last: int = Field(10, ge=1)
    daily: int = Field(0, ge=0)
    weekly: int = Field(0, ge=0)
    monthly: int = Field(0, ge=0)
    yearly: int = Field(0, ge=0)
    labelled: int = Field(10, ge=0)
    safety: int = Field(3, ge=0)
    zone: str = "UTC"


class HealthSettings(BaseModel):
    """Ages at which a newest backup stops being fresh; what is not set follows the schedule."""

    model_config = FROZEN
    aging: Age | None = None
    outdated: Age | None = None
    critical: Age | None = None


class ScheduleSettings(BaseModel):
    """When things are done by themselves; what is not set is not expected to be done.

    Attributes:
        backup, offsite, verify, drill, alert, pitr_full, pitr_incr: an entry each, as
            model/schedule.py reads it.
        zone: time zone in which the entries are meant; empty: that of the machine.
    """

    model_config = FROZEN
    backup: Entry = None
    offsite: Entry = None
    verify: Entry = None
    drill: Entry = None
    alert: Entry = None
    pitr_full: Entry = None
    pitr_incr: Entry = None
    zone: str = ""


class RemoteSettings(BaseModel):
    """Backups somewhere else, watched through a monitoring API as the document describes it.

    Attributes:
        url: the whole URL of its status (…/api/backup/status); may hold a user and password.
        display_name: its name for people.
    """

    model_config = FROZEN
    url: SecretStr
    display_name: str = ""


class MonitorSettings(BaseModel):
    """What is watched, besides the source that a command works on.

    Attributes:
        sources: names of the sources that metrics, dashboard and alerts are about; the default
            source where none is named.
        remotes: others, watched through their API, by name.
        repeat: how long until an alarm that lasts is said again.
        log: the file of alerts, relative to the root; by default that of the document.
        channels: URLs of apprise; secrets.
        ping: URL that is told of every run; a secret. {action} and {source} are filled in.
    """

    model_config = FROZEN
    sources: tuple[str, ...] = ()
    remotes: dict[str, RemoteSettings] = Field(default_factory=dict)
    repeat: Age = timedelta(hours=24)
    log: Path | None = None
    channels: tuple[SecretStr, ...] = ()
    ping: SecretStr = SecretStr("")


class ObjectiveSettings(BaseModel):
    """What a recovery promises.

    Attributes:
        recovery_time: how long it may take.
        recovery_point: how old the newest data may be that it brings back.
        backup_time: how long a backup may take; growth says when it will take longer.
    """

    model_config = FROZEN
    recovery_time: Age = timedelta(minutes=10)
    recovery_point: Age = timedelta(hours=24)
    backup_time: Age = timedelta(minutes=10)


class DeadlineSettings(BaseModel):
    """Seconds that we wait for others.

    Attributes:
        connect: for a connection to be made.
        lock: for a table lock on the live database, and for another run of ours.
        stall: for the next byte of a running pg_dump, and for a catalogue query.
        proof: for reading one whole table.
        restore: for one section of a restore.
        stop: for a service to end by itself, before the engine insists.
        well: for all services to be healthy again.
        runbook: for a whole runbook.
    """

    model_config = FROZEN
    connect: float = Field(10, gt=0)
    lock: float = Field(10, gt=0)
    stall: float = Field(120, gt=0)
    proof: float = Field(3600, gt=0)
    restore: float = Field(6 * 3600, gt=0)
    stop: float = Field(10, gt=0)
    well: float = Field(120, gt=0)
    runbook: float = Field(12 * 3600, gt=0)


class SourceSettings(BaseModel):
    """One database with its backup directory.

    Attributes:
        kind: how the database is reached.
        database: its name; for `direct` the DSN's own by default.
        container: name of the container (kind container).
        user: role to connect as; empty: the kind's own default.
        dsn: connection string or URI (kind direct).
        password: never shown, never passed on a command line.
        backup_dir: where its backups lie, relative to the root.
        archon_home: where Archon's own .env lies, relative to the root.
        exclude_schemas, exclude_tables: what backups leave out and name as not covered.
        services: names of the containers that a restore stops and starts again.
        services_project: compose project whose containers are services too.
        archon_compose: folder with Archon's compose file (default: archon_home).
        database_compose: folder with the compose file of the project that holds the database.
        database_services: services of that project that a recovery brings up; empty: all of them.
        archon_url: where archon-server answers.
        pitr: point-in-time recovery.
    """

    model_config = FROZEN
    kind: Literal["container", "direct", "embedded"]
    display_name: str = ""
    database: str = ""
    container: str = ""
    user: str = ""
    dsn: SecretStr = SecretStr("")
    password: SecretStr = SecretStr("")
    backup_dir: Path | None = None
    archon_home: Path | None = None
    exclude_schemas: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    services_project: str = ""
    archon_compose: Path | None = None
    database_compose: Path | None = None
    database_services: tuple[str, ...] = ()
    archon_url: str = ""
    pitr: PitrSettings = PitrSettings()


BUILT_IN: dict[str, dict[str, Any]] = {
    "archon": {
        "kind": "container",
        "display_name": "Archon Knowledge Base",
        "container": "supabase-ai-db",
        "database": "postgres",
        "user": "postgres",
        "backup_dir": "backups",
        "services": ("archon-server", "archon-mcp", "archon-ui"),
        "database_services": ("supabase-ai-db", "supabase-ai-kong"),
        "archon_url": "http://localhost:8181",
    },
    "demo": {
        "kind": "embedded",
        "display_name": "Demo Knowledge Base",
        "database": "postgres",
        "user": "postgres",
        "backup_dir": ".archon/demo/backups",
        "archon_home": ".archon/demo/home",
    },
}
