from __future__ import annotations

from dataclasses import replace

import pytest

from archon_ops.errors import UsageError
from archon_ops.model.pitr.config import (
    S3,
    Config,
    Repository,
    fitting,
    masked,
    render,
    size_of,
)

FOLDER = Repository(1, "/repo", cipher_pass="pass one", retention_full=3)
BUCKET = Repository(
    2,
    "/deep",
    S3("bucket", "s3.example", "eu-1", path_style=True, access_key="AK", secret_key="SK"),
    block=False,
)
CONFIG = Config("archon", "/data", (FOLDER, BUCKET), port=5433, queue_max="1GiB")


def test_what_pgbackrest_is_told() -> None:
    lines = render(CONFIG).splitlines()
    assert lines[0] == "[global]"
    for line in (
        "repo1-path=/repo",
        "repo1-cipher-type=aes-256-cbc",
        "repo1-cipher-pass=pass one",
        "repo1-retention-full=3",
        "repo1-block=y",
        "repo2-type=s3",
        "repo2-path=/deep",
        "repo2-s3-uri-style=path",
        "repo2-s3-key-secret=SK",
        "repo2-storage-verify-tls=y",
        "repo2-block=n",
        "archive-push-queue-max=1GiB",
        "archive-async=n",
    ):
        assert line in lines
    # With it an incremental backup reads every file again, instead of those that changed.
    assert not any(line.startswith("delta") for line in lines)
    own = lines[lines.index("[archon]") :]
    assert own == ["[archon]", "pg1-path=/data", "pg1-port=5433"]
    asking = lines.index("[global:info]")
    assert lines[asking + 1] == "io-timeout=10"


def test_what_is_not_set_is_left_to_it() -> None:
    text = render(replace(CONFIG, repositories=(Repository(1, "/repo"),), queue_max=""))
    for name in ("cipher", "retention-diff", "queue-max", "s3", "socket"):
        assert name not in text


def test_shown_without_secrets() -> None:
    shown = masked(render(CONFIG))
    assert not any(secret in shown for secret in ("pass one", "AK", "SK"))
    assert shown.count("***") == 3
    assert "repo1-path=/repo" in shown
    assert "pass one" not in repr(CONFIG)
    assert "SK" not in repr(CONFIG)
    assert BUCKET.shown == "s3://bucket/deep at s3.example"


@pytest.mark.parametrize("value", ["two\nlines", " led by a space", "ended by one "])
def test_what_cannot_stand_in_a_line(value: str) -> None:
    broken = replace(CONFIG, repositories=(replace(FOLDER, cipher_pass=value),))
    with pytest.raises(UsageError, match="repo1-cipher-pass") as failed:
        render(broken)
    assert value not in failed.value.message


def test_sizes_as_pgbackrest_takes_them() -> None:
    assert [size_of(text) for text in ("4GiB", "10B", "")] == [4 << 30, 10, None]


@pytest.mark.parametrize("version", ["2.45", "2.9.1"])
def test_an_old_pgbackrest_is_not_told_what_it_does_not_know(version: str) -> None:
    text = render(fitting(CONFIG, version))
    assert "block=" not in text
    assert "repo2-bundle=y" in text


@pytest.mark.parametrize("version", ["2.46", "2.55.1", "3.0", ""])
def test_a_newer_one_is_told_all(version: str) -> None:
    assert fitting(CONFIG, version) is CONFIG
