"""pgBackRest's configuration: what it holds, and its text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from archon_ops.errors import UsageError

NAME = "pgbackrest.conf"
# Folder in a data directory in which a whole other cluster waits to serve, or to serve again.
ASIDE = "archon_ops"
_CIPHER = "aes-256-cbc"
# What reads has to say soon that nobody answers, where a minute of silence is usual: it asks three
# times, and is asked again by us.
_READING: dict[str, list[tuple[str, object]]] = {
    "global:info": [("io-timeout", 10)],
    "global:restore": [("io-timeout", 20)],
}
_SHIFT = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
# Since this version incremental backups can hold changed blocks alone; what an older one does not
# know, it complains of with every segment that it archives.
_BLOCKS_SINCE = (2, 46)


@dataclass(frozen=True)
class S3:
    """A bucket and how it is reached.

    Attributes:
        bucket: its name.
        endpoint: host of the server.
        region: as it wants to hear it.
        path_style: whether the bucket stands in the path instead of the host's name.
        port: None: what https uses.
        verify_tls: whether its certificate is checked.
        ca_file: certificate authorities, as the database's host sees the file; empty: its own.
        access_key, secret_key: never shown.
    """

    bucket: str
    endpoint: str
    region: str
    path_style: bool = False
    port: int | None = None
    verify_tls: bool = True
    ca_file: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Repository:
    """One place that backups and WAL go to.

    Attributes:
        number: 1 to 3; the lowest is read first.
        path: folder, on the database's host or in the bucket.
        s3: the bucket; None: `path` is a folder of the host.
        cipher_pass: encrypts all of it; empty: it is not encrypted. Never shown.
        retention_full, retention_diff: how many are kept; None: all differential ones.
        bundle: whether small files are put together.
        block: whether incremental backups hold the changed blocks of a file alone; None: pgBackRest
            knows no such thing.
    """

    number: int
    path: str
    s3: S3 | None = None
    cipher_pass: str = field(default="", repr=False)
    retention_full: int = 2
    retention_diff: int | None = None
    bundle: bool = True
    block: bool | None = True

    @property
    def shown(self) -> str:
        """Where it is, without a secret."""
        if self.s3 is None:
            return self.path
        return f"s3://{self.s3.bucket}{self.path} at {self.s3.endpoint}"


@dataclass(frozen=True)
class Config:
    """All that pgBackRest has to know of one server.

    Attributes:
        stanza: its name for the server.
        data_folder: PostgreSQL's data directory, as its host sees it.
        repositories: at least one.
        socket_folder: where the server's socket is; empty: the default.
        port: of the server.
        user: role that it connects as, a superuser or one with the rights for backups.
        database: that it connects to.
        process_max: processes at once.
        compress: "zst", "lz4", "gz" or "none".
        asynchronous: whether WAL is sent by a process of its own, many segments at once.
        queue_max: how much WAL may wait ("4GiB"); beyond that it is dropped; empty: all waits.
        spool, locks: its folders on the host.
    """

    stanza: str
    data_folder: str
    repositories: tuple[Repository, ...]
    socket_folder: str = ""
    port: int = 5432
    user: str = ""
    database: str = ""
    process_max: int = 2
    compress: str = "zst"
    asynchronous: bool = False
    queue_max: str = ""
    spool: str = "/var/spool/pgbackrest"
    locks: str = "/tmp/pgbackrest"  # noqa: S108 - pgBackRest's own default, on the database's host


def fitting(config: Config, version: str) -> Config:
    """The configuration without what a version of pgBackRest does not know.

    Args:
        config: all that is wanted.
        version: as it prints it ("2.55.1"); empty where it is not known.
    """
    numbers = re.findall(r"\d+", version)[:2]
    if not numbers or tuple(map(int, numbers)) >= _BLOCKS_SINCE:
        return config
    repositories = tuple(replace(one, block=None) for one in config.repositories)
    return replace(config, repositories=repositories)


def render(config: Config) -> str:
    """The text of its configuration file; it holds secrets, and belongs into a 0600 file.

    Raises:
        UsageError: a value cannot stand in such a file.
    """
    general: list[tuple[str, object]] = [
        ("process-max", config.process_max),
        ("compress-type", config.compress),
        ("start-fast", "y"),
        ("archive-async", _yes(config.asynchronous)),
        ("spool-path", config.spool),
        ("lock-path", config.locks),
        ("log-level-file", "off"),
        ("log-level-console", "off"),
        ("log-level-stderr", "warn"),
    ]
    # What a recovery builds, and keeps, in the data directory is no part of the cluster.
    general.append(("exclude", ASIDE))
    if config.queue_max:
        general.append(("archive-push-queue-max", config.queue_max))
    for repository in config.repositories:
        general += _repository(repository)
    server: list[tuple[str, object]] = [
        ("pg1-path", config.data_folder),
        ("pg1-port", config.port),
        ("pg1-socket-path", config.socket_folder),
        ("pg1-user", config.user),
        ("pg1-database", config.database),
    ]
    sections = {"global": general, **_READING, config.stanza: server}
    return "\n".join(f"[{name}]\n{_lines(pairs)}" for name, pairs in sections.items())


def size_of(text: str) -> int | None:
    """Bytes of a size as pgBackRest takes it ("4GiB"); None of an empty one."""
    found = re.fullmatch(r"(\d+)(B|KiB|MiB|GiB|TiB)", text)
    return int(found[1]) << _SHIFT[found[2]] if found else None


def masked(text: str) -> str:
    """The text of a configuration with every secret replaced, to be shown."""
    hidden = ("cipher-pass=", "s3-key=", "s3-key-secret=")
    lines = []
    for line in text.splitlines():
        name = next((word for word in hidden if word in line), None)
        lines.append(f"{line.partition('=')[0]}=***" if name else line)
    return "\n".join(lines) + "\n"


def _repository(repository: Repository) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [("path", repository.path)]
    if repository.s3:
        found += _s3(repository.s3)
    if repository.cipher_pass:
        found += [("cipher-type", _CIPHER), ("cipher-pass", repository.cipher_pass)]
    found += [
        ("retention-full", repository.retention_full),
        ("retention-diff", repository.retention_diff),
        ("bundle", _yes(repository.bundle)),
        ("block", None if repository.block is None else _yes(repository.block)),
    ]
    return [(f"repo{repository.number}-{name}", value) for name, value in found]


def _s3(s3: S3) -> list[tuple[str, object]]:
    return [
        ("type", "s3"),
        ("s3-bucket", s3.bucket),
        ("s3-endpoint", s3.endpoint),
        ("s3-region", s3.region),
        ("s3-uri-style", "path" if s3.path_style else "host"),
        ("s3-key", s3.access_key),
        ("s3-key-secret", s3.secret_key),
        ("storage-port", s3.port),
        ("storage-verify-tls", _yes(s3.verify_tls)),
        ("storage-ca-file", s3.ca_file),
    ]


def _lines(pairs: list[tuple[str, object]]) -> str:
    """One line a setting; what is not set is left to pgBackRest."""
    return "".join(
        f"{name}={_value(name, value)}\n" for name, value in pairs if value or value == 0
    )


def _value(name: str, value: object) -> str:
    text = str(value)
    if text != text.strip() or not text.isprintable():
        raise UsageError(
            f"{name} of pgBackRest's configuration cannot begin or end with a space, nor hold a "
            "line end",
            "choose another value",
        )
    return text


def _yes(is_so: bool) -> str:
    return "y" if is_so else "n"
