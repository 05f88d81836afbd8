"""What can be configured, group by group, with the defaults."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from archon_ops.errors import UsageError
from archon_ops.model import schedule
from archon_ops.model.units import parse_age

_FROZEN = ConfigDict(frozen=True, extra="forbid")


def _age(value: object) -> object:
    try:
        return parse_age(value) if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(f"{error.message}: {error.hint}") from error


Age = Annotated[timedelta, BeforeValidator(_age)]


def _entry(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return schedule.parse(value) if value.strip() else None
    except UsageError as error:
        raise ValueError(f"{error.message}: {error.hint}") from error


Entry = Annotated[schedule.Entry | None, BeforeValidator(_entry)]


class RetentionSettings(BaseModel):
    """How many backups `prune` keeps; the calendar rules are off until they are set."""

    model_config = _FROZEN
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

    model_config = _FROZEN
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

    model_config = _FROZEN
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

    model_config = _FROZEN
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

    model_config = _FROZEN
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

    model_config = _FROZEN
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

    model_config = _FROZEN
    connect: float = Field(10, gt=0)
    lock: float = Field(10, gt=0)
    stall: float = Field(120, gt=0)
    proof: float = Field(3600, gt=0)
    restore: float = Field(6 * 3600, gt=0)
    stop: float = Field(10, gt=0)
    well: float = Field(120, gt=0)
    runbook: float = Field(12 * 3600, gt=0)


class OffsiteRetentionSettings(RetentionSettings):
    """How many copies `offsite.prune` keeps: more than lie here, for they are the last resort."""

    last: int = Field(30, ge=1)
    labelled: int = Field(30, ge=0)


class OffsiteSettings(BaseModel):
    """One place that copies of backups go to.

    Attributes:
        url: a folder, s3://…, gs://…, az://… or rclone:remote:path; never with credentials in it.
        after_backup: whether every `inv backup` pushes there right after it.
        recipients: who can read the copies: age1… or ssh-… (age), anything else is a gpg key;
            none: they are not encrypted, unless there is a passphrase.
        passphrase: of gpg's symmetric encryption; better in the environment.
        identity: file with the private age key, for pull, verify and restore; relative to the root.
        endpoint: of an object store that is not its maker's own.
        region, path_style, profile: of S3.
        access_key, secret_key: of S3, or Azure's account and its key; empty: the usual chain.
        lock_days, lock_mode: how long the bucket refuses to delete what is put (S3 object lock).
        timeout: seconds for the next bytes of an answer.
        tries: how often a request is made, before a server that is overloaded is given up.
        retention: what `offsite.prune` keeps there.
    """

    model_config = _FROZEN
    url: str = Field(min_length=1)
    after_backup: bool = False
    recipients: tuple[str, ...] = ()
    passphrase: SecretStr = SecretStr("")
    identity: Path | None = None
    endpoint: str = ""
    region: str = ""
    path_style: bool = False
    profile: str = ""
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    lock_days: int = Field(0, ge=0, le=36_500)
    lock_mode: Literal["governance", "compliance"] = "governance"
    timeout: float = Field(60, gt=0)
    tries: int = Field(6, ge=1, le=20)
    retention: OffsiteRetentionSettings = OffsiteRetentionSettings()

    @model_validator(mode="after")
    def _one_way_of_encryption(self) -> Self:
        if self.recipients and self.passphrase.get_secret_value():
            raise ValueError("recipients and a passphrase exclude each other")
        return self


class RepositorySettings(BaseModel):
    """One repository of pgBackRest's.

    Attributes:
        url: a folder of the database's host (inside of its container), or s3://bucket/folder.
        endpoint: host of the S3 server, without scheme; `port` where it is not 443.
        region, path_style, access_key, secret_key: of S3.
        verify_tls: whether the server's certificate is checked.
        ca_file: the authority that signed it, a file of this machine, relative to the root;
            `inv pitr.setup` puts it beside pgBackRest's configuration.
        cipher_pass: encrypts the repository; better in the environment, and never to be lost.
        retention_full, retention_diff: how many backups of the kind are kept.
        bundle: whether small files are put together.
        block: whether incremental backups hold changed blocks alone (needs `bundle`).
    """

    model_config = _FROZEN
    url: str = Field(min_length=1)
    endpoint: str = ""
    port: int | None = Field(None, ge=1, le=65535)
    region: str = "us-east-1"
    path_style: bool = False
    verify_tls: bool = True
    ca_file: Path | None = None
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    cipher_pass: SecretStr = SecretStr("")
    retention_full: int = Field(2, ge=1)
    retention_diff: int | None = Field(None, ge=1)
    bundle: bool = True
    block: bool = True

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.block and not self.bundle:
            raise ValueError("block needs bundle")
        if not self.url.startswith(("/", "s3://")):
            raise ValueError("url is a folder beginning with /, or s3://bucket/folder")
        if self.url.startswith("s3://") and not self.endpoint:
            raise ValueError("an s3:// url wants its endpoint")
        return self


class PitrSettings(BaseModel):
    """Point-in-time recovery of one source with pgBackRest; off until `repo1` is there.

    Attributes:
        stanza: pgBackRest's name for the server; by default the source's.
        repo1, repo2, repo3: where backups and WAL go.
        user: the operating system's user that PostgreSQL runs as on its host.
        role: role that pgBackRest connects as; empty: the source's.
        socket_folder: where the server's socket is; empty: as the server says.
        config: file of pgBackRest's configuration, on the database's host.
        spool: its folder for WAL under way.
        scratch: folder of this machine in which clusters of a direct source are recovered; the user
            who runs PostgreSQL has to get in there.
        zone: time zone of moments that are typed without one; empty: those are refused.
        process_max: processes at once.
        compress: zst, lz4, gz or none.
        asynchronous: whether a process beside the server sends WAL; where PostgreSQL is a
            container's process 1 its failure would restart the server, so only with `init: true`.
        queue_max: WAL that may wait while a repository is away; beyond it is dropped, and a new
            backup is needed, but the disk does not fill.
    """

    model_config = _FROZEN
    stanza: str = Field("", pattern=r"^([a-z0-9][a-z0-9_-]{0,39})?$")
    repo1: RepositorySettings | None = None
    repo2: RepositorySettings | None = None
    repo3: RepositorySettings | None = None
    user: str = Field("postgres", pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    role: str = ""
    socket_folder: str = ""
    config: str = Field("/etc/pgbackrest/pgbackrest.conf", pattern=r"^/.+/[^/]+$")
    spool: str = Field("/var/spool/pgbackrest", pattern="^/.+")
    scratch: Path = Path("/var/tmp")  # noqa: S108 - a 0700 folder of a random name is made in it
    zone: str = ""
    process_max: int = Field(2, ge=1, le=999)
    compress: Literal["zst", "lz4", "gz", "none"] = "zst"
    asynchronous: bool = False
    queue_max: str = Field("4GiB", pattern=r"^([1-9][0-9]{0,9}(B|KiB|MiB|GiB|TiB))?$")

    @property
    def repositories(self) -> dict[int, RepositorySettings]:
        """Those that are there, by their number."""
        found = {1: self.repo1, 2: self.repo2, 3: self.repo3}
        return {number: repository for number, repository in found.items() if repository}


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

    model_config = _FROZEN
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
