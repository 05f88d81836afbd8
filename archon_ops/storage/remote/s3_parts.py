"""Sending one object in parts, several at a time; what a cut-off run sent is not sent again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from archon_ops.errors import OpsError
from archon_ops.storage.remote.source import Source

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 << 20
# S3 allows 10,000; a size that was only estimated may turn out a little larger.
_MOST_PARTS = 9_000
AT_ONCE = 4
# Bytes of parts in memory together, however large one must be.
IN_MEMORY = 64 << 20


@dataclass(frozen=True)
class Sent:
    """What was sent.

    Attributes:
        etag: what the server must call the whole: MD5, of the parts' MD5s where there are parts.
        size: number of bytes.
        upload: the upload that waits for its completion.
        parts: what completes it.
    """

    etag: str
    size: int
    upload: str = ""
    parts: tuple[CompletedPartTypeDef, ...] = ()


@dataclass(frozen=True)
class _Part:
    """One part: MD5 in hexadecimal, number of bytes, and what the server calls it."""

    number: int
    md5: str
    size: int
    etag: str


def md5_base64(data: bytes, *, as_hex: bool = False) -> str:
    """MD5, which is how S3 tells damage on the way; nothing secret rests on it."""
    digest = hashlib.md5(data, usedforsecurity=False)
    return digest.hexdigest() if as_hex else base64.b64encode(digest.digest()).decode()


def part_bytes(about: int) -> int:
    """How large a part must be, so that their number suffices."""
    least = -(-about // _MOST_PARTS)
    return max(PART_BYTES, -(-least // PART_BYTES) * PART_BYTES)


def send_parts(
    client: S3Client, bucket: str, key: str, source: Source, lock: Mapping[str, Any]
) -> Sent:
    """Send all bytes; the object appears only when the upload is completed.

    Args:
        client: boto3's.
        bucket: where to.
        key: under which name.
        source: the bytes.
        lock: how the object is to be locked.
    """
    upload, there = _begun(client, bucket, key, lock)
    length = part_bytes(source.about)
    at_once = max(1, min(AT_ONCE, IN_MEMORY // length))

    def send(number: int, body: bytes) -> _Part:
        md5 = hashlib.md5(body, usedforsecurity=False)
        part = _Part(number, md5.hexdigest(), len(body), f'"{md5.hexdigest()}"')
        if there.get(number) == (part.md5, part.size):
            return part
        answer = client.upload_part(
            Bucket=bucket,
            Key=key,
            UploadId=upload,
            PartNumber=number,
            Body=body,
            ContentMD5=base64.b64encode(md5.digest()).decode(),
        )
        _require_equal(answer["ETag"], part.md5, answer.get("ServerSideEncryption"))
        return replace(part, etag=answer["ETag"])

    with ThreadPoolExecutor(at_once, thread_name_prefix="part") as pool:
        waiting: set[Future[_Part]] = set()
        done: list[_Part] = []
        try:
            for number, body in _bodies(source, length):
                waiting.add(pool.submit(send, number, body))
                if len(waiting) >= at_once:
                    ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    done.extend(future.result() for future in ended)
            done.extend(future.result() for future in waiting)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return _sent(upload, sorted(done, key=lambda part: part.number))


def _bodies(source: Source, length: int) -> Iterator[tuple[int, bytes]]:
    number = 0
    while body := source.read(number * length, length):
        number += 1
        yield number, body
        if len(body) < length:
            return


def _begun(
    client: S3Client, bucket: str, key: str, lock: Mapping[str, Any]
) -> tuple[str, dict[int, tuple[str, int]]]:
    """An upload of this key that was cut off, with its parts; else a new one."""
    begun = client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", [])
    for upload in sorted(begun, key=lambda u: u["Initiated"], reverse=True):
        if upload["Key"] == key:
            return upload["UploadId"], _parts(client, bucket, key, upload["UploadId"])
    new = client.create_multipart_upload(Bucket=bucket, Key=key, **lock)
    return new["UploadId"], {}


def _parts(client: S3Client, bucket: str, key: str, upload: str) -> dict[int, tuple[str, int]]:
    pages = client.get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=upload)
    return {
        part["PartNumber"]: (part["ETag"].strip('"'), part["Size"])
        for page in pages
        for part in page.get("Parts", ())
    }


def _require_equal(etag: str, md5: str, encrypted: str | None) -> None:
    if etag.strip('"') != md5 and encrypted in (None, "AES256"):
        raise OpsError(
            "the server answers that a part arrived other than it was sent", "run it again"
        )


def _sent(upload: str, done: list[_Part]) -> Sent:
    digests = b"".join(bytes.fromhex(part.md5) for part in done)
    return Sent(
        etag=f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(done)}",
        size=sum(part.size for part in done),
        upload=upload,
        parts=tuple({"PartNumber": part.number, "ETag": part.etag} for part in done),
    )
