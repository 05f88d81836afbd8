"""Places that copies of backups go to: what can be configured of one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from archon_ops.settings.fields import RetentionSettings
from archon_ops.settings.types import FROZEN


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

    model_config = FROZEN
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
