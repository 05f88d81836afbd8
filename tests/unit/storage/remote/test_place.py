from __future__ import annotations

from pathlib import Path

import pytest

from archon_ops.errors import UsageError
from archon_ops.storage.remote.place import parse_place

ROOT = Path("/srv/archon")


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("/mnt/nas", "folder", "/mnt/nas"),
        ("nas/copies", "folder", "/srv/archon/nas/copies"),
        ("file:///mnt/nas", "folder", "/mnt/nas"),
        ("./a:b", "folder", "/srv/archon/a:b"),
        ("rclone:drive:copies/archon/", "rclone", "rclone:drive:copies/archon"),
        ("s3://bucket", "s3", "s3://bucket"),
        ("gs://bucket/a/", "gs", "gs://bucket/a"),
        ("az://container/a?account=x", "az", "az://container/a"),
        ("s3://bucket/a/b/", "s3", "s3://bucket/a/b"),
        ("s3://bucket/a?endpoint=http://127.0.0.1:9000&path_style=true", "s3", "s3://bucket/a"),
    ],
)
def test_a_url_means_a_place(url: str, kind: str, shown: str) -> None:
    place = parse_place(url, ROOT)
    assert (place.kind, place.shown) == (kind, shown)


@pytest.mark.parametrize(
    "url",
    [
        *("", " ", "a\nb", "ftp://host/x", "https://host/bucket", "s3://", "s3:///x"),
        *(
            "s3://b/x?password=cana-ry",
            "s3://b#x",
            "gs://b?account=x",
            "az://b?account_key=cana-ry",
            "s3://key:cana-ry@bucket/x",
            "s3://bucket:9000/x",
        ),
    ],
)
def test_what_is_no_place_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_place(url, ROOT)
    assert "cana-ry" not in told.value.message + told.value.hint
