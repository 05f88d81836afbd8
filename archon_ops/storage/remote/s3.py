"""S3 and what speaks it: parts in parallel, create-only, resumed, checked, locked, versioned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.settings import OffsiteSettings
from archon_ops.storage.files import BLOCK
from archon_ops.storage.remote.base import (
    ABANDONED,
    Check,
    Entry,
    Stored,
    Write,
    is_ours,
    taken,
)
from archon_ops.storage.remote.place import Place
from archon_ops.storage.remote.s3_errors import ABSENT, TAKEN, code_of, explained_s3
from archon_ops.storage.remote.s3_parts import PART_BYTES, Sent, md5_base64, send_parts
from archon_ops.storage.remote.source import Source

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

_BROKEN_READS = 5


def client_of(place: Place, given: OffsiteSettings) -> S3Client:
    """A client for a place; credentials from its settings, else from the usual AWS chain."""
    options = place.options
    path_style = options.get("path_style", str(given.path_style)).lower() in ("1", "true", "yes")
    config = Config(
        connect_timeout=10,
        read_timeout=given.timeout,
        retries={"mode": "standard", "total_max_attempts": given.tries},
        max_pool_connections=8,
        # Content-MD5 says the same, and every server knows it; hashing twice more costs.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if path_style else "auto",
            "payload_signing_enabled": False,
        },
    )
    key, secret = given.access_key.get_secret_value(), given.secret_key.get_secret_value()
    with explained_s3("reach", place.shown):
        session = boto3.Session(profile_name=given.profile or None)
        return session.client(
            "s3",
            endpoint_url=options.get("endpoint") or given.endpoint or None,
            region_name=options.get("region") or given.region or session.region_name or "us-east-1",
            aws_access_key_id=key or None,
            aws_secret_access_key=secret or None,
            config=config,
        )


@dataclass(frozen=True)
class S3:
    """A bucket, or a prefix in it, as a place offsite.

    Attributes:
        client: boto3's.
        place: bucket and prefix.
        lock_days: how long the bucket refuses to delete what is put; 0: not at all.
        lock_mode: "GOVERNANCE" or "COMPLIANCE".
    """

    client: S3Client
    place: Place
    lock_days: int = 0
    lock_mode: str = "GOVERNANCE"

    @property
    def shown(self) -> str:
        """The URL without its options."""
        return self.place.shown

    def list(self, prefix: str = "") -> list[Entry]:
        """Everything whose name begins with `prefix`."""
        found: list[Entry] = []
        start = len(self._key(""))
        with explained_s3("list", self.shown):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.place.bucket, Prefix=self._key(prefix)):
                found.extend(
                    Entry(item["Key"][start:], item["Size"]) for item in page.get("Contents", ())
                )
        return found

    def current(self, name: str) -> Stored | None:
        """Which version bears a name now."""
        head = self._head(name)
        return None if head is None else Stored(head.get("VersionId", ""))

    def put(self, name: str, source: Source, check: Check) -> Stored:
        """Store an object, in parts where it is large, and compare what the server has."""
        if (there := self._head(name)) is not None:
            check()
            return self._same(name, source, there)
        whole = source.read(0, PART_BYTES)
        if len(whole) < PART_BYTES:
            check()
            sent = Sent(md5_base64(whole, as_hex=True), len(whole))
            created = self._created(lambda: self._put_whole(name, whole))
        else:
            with explained_s3("write to", self.shown):
                sent = send_parts(
                    self.client, self.place.bucket, self._key(name), source, self._lock()
                )
            check()
            created = self._created(lambda: self._complete(name, sent))
        head = self._head(name)
        if head is None:
            raise OpsError(f"{self.shown}: {name} has vanished right after it was written")
        if created is None:
            return self._same(name, source, head)
        self._compare(name, source, head, sent)
        self._require_lock(name, head)
        return Stored(head.get("VersionId", ""))

    def get(self, name: str, write: Write, version: str = "") -> None:
        """Hand over the bytes of an object; a broken connection is taken up where it broke."""
        done, broken = 0, 0
        with explained_s3(f"read {name} of", self.shown):
            size = self.client.head_object(**self._named(name, version))["ContentLength"]
            while done < size:
                before = done
                try:
                    done = self._get_from(name, version, done, write)
                except (BotoCoreError, HTTPError) as error:
                    done = getattr(error, "arrived", done)
                    broken = 0 if done > before else broken + 1
                    if broken >= _BROKEN_READS:
                        raise OpsError(
                            f"cannot read {name} of {self.shown}: the connection keeps breaking",
                            "look at the network, then run it again",
                        ) from error

    def delete(self, name: str, version: str = "") -> None:
        """Remove an object, and this version of it for good."""
        with explained_s3(f"delete {name} in", self.shown):
            self.client.delete_object(**self._named(name, version))

    def locked_until(self, name: str, version: str = "") -> datetime | None:
        """Until when the bucket refuses to delete it."""
        head = self._head(name, version)
        until = head.get("ObjectLockRetainUntilDate") if head else None
        if head and head.get("ObjectLockLegalHoldStatus") == "ON":
            return datetime.max.replace(tzinfo=UTC)
        return until if until and until > datetime.now(UTC) else None

    def sweep(self) -> int:
        """Give up our uploads in parts that were cut off long ago: their parts cost money."""
        before, start = datetime.now(UTC) - ABANDONED, len(self._key(""))
        pages = self.client.get_paginator("list_multipart_uploads")
        gone = 0
        with explained_s3("look for cut-off uploads in", self.shown):
            for page in pages.paginate(Bucket=self.place.bucket, Prefix=self._key("")):
                for upload in page.get("Uploads", ()):
                    key = upload["Key"]
                    if upload["Initiated"] < before and is_ours(key[start:]):
                        self.client.abort_multipart_upload(
                            Bucket=self.place.bucket, Key=key, UploadId=upload["UploadId"]
                        )
                        gone += 1
        return gone

    def _get_from(self, name: str, version: str, start: int, write: Write) -> int:
        """Read from `start` to the end; an error tells by `arrived` how far it came."""
        done = start
        answer = self.client.get_object(**self._named(name, version), Range=f"bytes={start}-")
        try:
            for block in answer["Body"].iter_chunks(BLOCK):
                write(block)
                done += len(block)
        except (BotoCoreError, HTTPError) as error:
            error.arrived = done  # type: ignore[union-attr]
            raise
        finally:
            answer["Body"].close()
        return done

    def _created(self, create: Callable[[], None]) -> bool | None:
        """Create, and None where the name was taken meanwhile, perhaps by our own lost answer."""
        with explained_s3("write to", self.shown):
            try:
                create()
            except ClientError as error:
                if code_of(error) in TAKEN:
                    return None
                raise
        return True

    def _put_whole(self, name: str, body: bytes) -> None:
        self.client.put_object(
            Bucket=self.place.bucket,
            Key=self._key(name),
            Body=body,
            ContentMD5=md5_base64(body),
            IfNoneMatch="*",
            **self._lock(),
        )

    def _complete(self, name: str, sent: Sent) -> None:
        self.client.complete_multipart_upload(
            Bucket=self.place.bucket,
            Key=self._key(name),
            UploadId=sent.upload,
            MultipartUpload={"Parts": list(sent.parts)},
            IfNoneMatch="*",
        )

    def _same(self, name: str, source: Source, head: HeadObjectOutputTypeDef) -> Stored:
        """What is there already must be what would have been sent."""
        sha256, size = source.digest()
        version = head.get("VersionId", "")
        if head["ContentLength"] != size or self._read_back(name, version) != sha256:
            raise taken(self.shown, name)
        return Stored(version, sent=False)

    def _compare(
        self, name: str, source: Source, head: HeadObjectOutputTypeDef, sent: Sent
    ) -> None:
        """The server's own sum over what it has, else all of it read back."""
        sha256, size = source.digest()
        equal = head["ContentLength"] == size == sent.size
        if equal and head["ETag"].strip('"') != sent.etag:  # encrypted at rest by another's key
            equal = self._read_back(name, head.get("VersionId", "")) == sha256
        if not equal:
            raise OpsError(
                f"{self.shown}: {name} is not what was sent",
                "do not count on it; run inv offsite.verify all and look at that server",
            )

    def _read_back(self, name: str, version: str) -> str:
        hashed = hashlib.sha256()
        self.get(name, hashed.update, version)
        return hashed.hexdigest()

    def _require_lock(self, name: str, head: HeadObjectOutputTypeDef) -> None:
        """Make sure of the lock that was asked for: some servers forget it on parts."""
        if not self.lock_days or "ObjectLockRetainUntilDate" in head:
            return
        lock = self._lock()
        with explained_s3("lock what was written to", self.shown):
            self.client.put_object_retention(
                **self._named(name, head.get("VersionId", "")),
                Retention={
                    "Mode": lock["ObjectLockMode"],
                    "RetainUntilDate": lock["ObjectLockRetainUntilDate"],
                },
            )
        if self.locked_until(name, head.get("VersionId", "")) is None:
            raise PreconditionError(
                f"{self.shown} does not lock objects", "make a bucket with object lock"
            )

    def _lock(self) -> dict[str, Any]:
        if not self.lock_days:
            return {}
        until = datetime.now(UTC) + timedelta(days=self.lock_days)
        return {"ObjectLockMode": self.lock_mode, "ObjectLockRetainUntilDate": until}

    def _head(self, name: str, version: str = "") -> HeadObjectOutputTypeDef | None:
        with explained_s3("read", self.shown):
            try:
                return self.client.head_object(**self._named(name, version))
            except ClientError as error:
                if code_of(error) not in ABSENT:
                    raise
        self._require_bucket()
        return None

    def _require_bucket(self) -> None:
        """A missing object and a missing bucket look the same in the answer to a question."""
        with explained_s3("reach", self.shown), suppress(StopIteration):
            self.client.list_objects_v2(Bucket=self.place.bucket, MaxKeys=1)

    def _named(self, name: str, version: str) -> dict[str, Any]:
        named = {"Bucket": self.place.bucket, "Key": self._key(name)}
        return {**named, "VersionId": version} if version else named

    def _key(self, name: str) -> str:
        return f"{self.place.path}/{name}" if self.place.path else name
