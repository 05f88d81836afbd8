"""Point-in-time recovery of a source: what can be configured, and of its repositories."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from archon_ops.settings.types import FROZEN


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

    model_config = FROZEN
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

    model_config = FROZEN
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
