from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from archon_ops.errors import UntrustworthyError
from archon_ops.model.copies import Copy, StoredFile
from archon_ops.storage.copies import decode, encode, name_of, path_of

AT = datetime(2025, 12, 17, 10, tzinfo=UTC)
NAME = "archon_postgres-20251217_100000.dump"
COPY = Copy(
    name=NAME,
    source="demo",
    display_name="Demo „база“",
    label=None,
    snapshot_at=AT,
    pushed_at=AT,
    size_bytes=3,
    database_bytes=4,
    cipher="age",
    readers=("age1x",),
    manifest_sha256="ab" * 32,
    files=(
        StoredFile("dump", f"{NAME}.age", 5, "cd" * 32, "v1"),
        StoredFile("manifest", "archon_postgres-20251217_100000.json.age", 6, "ef" * 32),
    ),
    tool="1",
)


def sealed(**changes: Any) -> bytes:
    return encode(replace(COPY, **changes))


def test_what_is_written_down_is_read_again() -> None:
    assert decode(encode(COPY), NAME) == COPY
    assert name_of(path_of(NAME)) == NAME


@pytest.mark.parametrize("key", sorted(set(json.loads(encode(COPY))) - {"digest", "format"}))
def test_an_edit_shows(key: str) -> None:
    document = json.loads(encode(COPY))
    document[key] = 7
    with pytest.raises(UntrustworthyError, match="was changed after it was written"):
        decode(json.dumps(document).encode(), NAME)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/b", "..", "", "archon_postgres-x/../y", "x\n"]
)
def test_a_copy_names_nothing_beyond_its_place(name: str) -> None:
    files = (replace(COPY.files[0], name=name), COPY.files[1])
    with pytest.raises(UntrustworthyError, match="values that cannot be"):
        decode(sealed(files=files), NAME)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"[" * 90_000, b"\xff", b'{"a":NaN}'])
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(UntrustworthyError):
        decode(data, NAME)


def test_another_backups_is_refused() -> None:
    with pytest.raises(UntrustworthyError, match="belongs to another backup"):
        decode(encode(COPY), "archon_postgres-20251218_100000.dump")
