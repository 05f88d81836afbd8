"""One suite for every kind of place: what callers rely on holds everywhere."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from shutil import which

import pytest

from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError
from archon_ops.settings import OffsiteSettings
from archon_ops.storage.remote import s3
from archon_ops.storage.remote.base import Remote, TakenError
from archon_ops.storage.remote.opened import opened
from archon_ops.storage.remote.place import parse_place
from archon_ops.storage.remote.source import BytesSource, FileSource, Source
from tests.objects import ACCOUNT, ACCOUNT_KEY, Azurite, azurite, google, google_key
from tests.s3 import KEY, NOBODY, SECRET, Cut, Proxy, Refuse, S3Server, proxied
from tests.support import require

pytestmark = pytest.mark.xdist_group("s3")
MB = 1 << 20
# Of more than one part on S3, and no multiple of anything. Other content ends otherwise.
LARGE = os.urandom(8 * MB + 12) + b"!"
numbers = itertools.count()


def unconcerned() -> None:
    """Nothing speaks against it."""


def objecting() -> None:
    raise UntrustworthyError("it is damaged")


@pytest.fixture(scope="module")
def buckets(s3_server: S3Server) -> dict[str, str]:
    """A bucket of each kind; every test has a prefix of its own in them."""
    return {
        "s3": s3_server.bucket("suite"),
        "s3-versions": s3_server.bucket("suite-versions", versions=True),
        "s3-locks": s3_server.bucket("suite-locks", locking=True),
    }


@pytest.fixture(scope="module")
def google_server(s3_server: S3Server) -> Iterator[Proxy]:
    with google(s3_server) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def azure() -> Iterator[Azurite]:
    program = which("azurite-blob")
    require(program, "azurite (npm install --global azurite)")
    assert program is not None
    with azurite(program) as server:
        server.container("suite")
        yield server


# Places that create a name only if it is free; rclone can only look beforehand.
EXCLUSIVE = ["folder", "s3", "s3-versions", "google", "azure"]


@pytest.fixture(params=[*EXCLUSIVE, "rclone"])
def remote(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Remote:
    kind = str(request.param)
    if kind == "folder":
        (tmp_path / "place").mkdir()
        return make(str(tmp_path / "place"))
    if kind == "rclone":
        require(which("rclone"), "the package rclone")
        monkeypatch.setenv("RCLONE_CONFIG", os.devnull)
        monkeypatch.setenv("RCLONE_CONFIG_DISK_TYPE", "local")
        return make(f"rclone:disk:{tmp_path}/place")
    if kind == "google":
        bucket = request.getfixturevalue("buckets")["s3"]
        url = request.getfixturevalue("google_server").url
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(google_key(tmp_path, url)))
        return make(f"gs://{bucket}/g{next(numbers)}?endpoint={url}")
    if kind == "azure":
        url = request.getfixturevalue("azure").url
        keys = {"access_key": ACCOUNT, "secret_key": ACCOUNT_KEY}
        return make(f"az://suite/a{next(numbers)}?endpoint={url}", **keys)
    server: S3Server = request.getfixturevalue("s3_server")
    return make(server.at(request.getfixturevalue("buckets")[kind], f"p{next(numbers)}"))


def make(url: str, **more: object) -> Remote:
    given = OffsiteSettings.model_validate(
        {"url": url, "access_key": KEY, "secret_key": SECRET, **more}
    )
    return opened(parse_place(url, Path("/")), given, "20251217T100648Z-0a1b")


def read(remote: Remote, name: str, version: str = "") -> bytes:
    data = bytearray()
    remote.get(name, data.extend, version)
    return bytes(data)


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["empty", "small", "large"])
def test_what_was_put_comes_back(remote: Remote, content: bytes) -> None:
    stored = remote.put("demo/a.dump", BytesSource(content), unconcerned)
    assert stored.sent
    assert read(remote, "demo/a.dump", stored.version) == content
    entries = remote.list("demo/")
    assert [(entry.name, entry.size_bytes) for entry in entries] == [("demo/a.dump", len(content))]
    assert remote.current("demo/a.dump") is not None


@pytest.mark.parametrize("content", [b"same", LARGE], ids=["small", "large"])
def test_the_same_content_again_is_not_sent_twice(remote: Remote, content: bytes) -> None:
    remote.put("a", BytesSource(content), unconcerned)
    assert not remote.put("a", BytesSource(content), unconcerned).sent


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"before", LARGE], ids=["small", "large"])
def test_other_content_never_replaces_anything(remote: Remote, content: bytes) -> None:
    remote.put("a", BytesSource(content), unconcerned)
    other = content[:-1] + b"?"
    with pytest.raises(TakenError, match="OTHER content"):
        remote.put("a", BytesSource(other), unconcerned)
    assert read(remote, "a") == content


@pytest.mark.parametrize("content", [b"bad", LARGE], ids=["small", "large"])
def test_what_the_check_refuses_gets_no_name(remote: Remote, content: bytes) -> None:
    with pytest.raises(UntrustworthyError, match="it is damaged"):
        remote.put("a", BytesSource(content), objecting)
    assert remote.list() == []
    assert remote.current("a") is None


@pytest.mark.slow
@pytest.mark.parametrize("remote", EXCLUSIVE, indirect=True)
@pytest.mark.parametrize("content", [b"same", LARGE], ids=["small", "large"])
def test_of_two_at_once_one_writes_and_the_other_notices(remote: Remote, content: bytes) -> None:
    another = replace(remote, run_id="another") if hasattr(remote, "run_id") else remote

    def meanwhile(name: str, data: bytes) -> Callable[[], None]:
        left = [data]

        def write() -> None:
            if left:
                another.put(name, BytesSource(left.pop()), unconcerned)

        return write

    remote.put("a", BytesSource(content), meanwhile("a", content))
    assert read(remote, "a") == content
    other = content[:-1] + b"?"
    with pytest.raises(OpsError):
        remote.put("b", BytesSource(content), meanwhile("b", other))
    assert read(remote, "b") == other
    assert [entry.name for entry in remote.list()] == ["a", "b"]


class Torn:
    """A source that breaks in the middle, as a disk does."""

    about = len(LARGE)

    def read(self, offset: int, length: int) -> bytes:
        if offset >= 8 * MB:
            raise OpsError("the disk failed")
        return LARGE[offset : offset + length]

    def digest(self) -> tuple[str, int]:
        return hashlib.sha256(LARGE).hexdigest(), len(LARGE)


def test_half_an_object_gets_no_name_and_the_rest_can_follow(remote: Remote) -> None:
    torn: Source = Torn()
    with pytest.raises(OpsError, match="the disk failed"):
        remote.put("a", torn, unconcerned)
    assert remote.list() == []
    assert remote.put("a", BytesSource(LARGE), unconcerned).sent
    assert read(remote, "a") == LARGE


def test_what_is_deleted_is_gone(remote: Remote) -> None:
    stored = remote.put("a/b", BytesSource(b"x"), unconcerned)
    remote.delete("a/b", stored.version)
    remote.delete("a/b", stored.version)
    assert remote.list() == []
    with pytest.raises(PreconditionError):
        read(remote, "a/b")


@pytest.mark.slow
def test_a_prefix_is_no_pattern(remote: Remote) -> None:
    for name in ("demo/copies/a.json", "demo/copies/b.json", "demo2/copies/a.json", "demo/a"):
        remote.put(name, BytesSource(name.encode()), unconcerned)
    names = [entry.name for entry in remote.list("demo/copies/")]
    assert names == ["demo/copies/a.json", "demo/copies/b.json"]
    assert len(remote.list()) == 4
    assert remote.list("nothing/") == []


def test_a_file_is_sent_as_it_was_when_it_was_opened(remote: Remote, tmp_path: Path) -> None:
    path = tmp_path / "x.dump"
    path.write_bytes(LARGE)
    with FileSource(path) as source:
        path.unlink()
        remote.put("x", source, unconcerned)
    assert read(remote, "x") == LARGE


# --- what only one kind has ----------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="is its disk mounted"):
        make(str(tmp_path / "nas")).put("a", BytesSource(b"x"), unconcerned)
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_can_read_a_folder_of_copies(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        make(str(tmp_path)).put("demo/copies/a", BytesSource(b"x"), unconcerned)
    finally:
        os.umask(before)
    modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.rglob("*")}
    assert modes == {"demo": 0o700, "copies": 0o700, "a": 0o600}


def test_a_version_is_read_although_it_was_overwritten(
    s3_server: S3Server, buckets: dict[str, str]
) -> None:
    bucket = buckets["s3-versions"]
    remote = make(s3_server.at(bucket))
    stored = remote.put("a", BytesSource(b"ours"), unconcerned)
    s3_server.client().put_object(Bucket=bucket, Key="copies/a", Body=b"theirs")
    assert read(remote, "a") == b"theirs"
    assert read(remote, "a", stored.version) == b"ours"
    now = remote.current("a")
    assert now is not None
    assert now.version != stored.version


@pytest.mark.parametrize("content", [b"x", LARGE], ids=["small", "large"])
def test_what_is_locked_says_until_when(
    s3_server: S3Server, buckets: dict[str, str], content: bytes
) -> None:
    remote = make(s3_server.at(buckets["s3-locks"], f"p{next(numbers)}"), lock_days=3)
    stored = remote.put("a", BytesSource(content), unconcerned)
    assert remote.locked_until("a", stored.version) is not None
    with pytest.raises(OpsError):
        remote.delete("a", stored.version)
    assert read(remote, "a", stored.version) == content


def test_a_bucket_without_locks_is_refused_where_one_is_wanted(
    s3_server: S3Server, buckets: dict[str, str]
) -> None:
    remote = make(s3_server.at(buckets["s3"]), lock_days=3)
    with pytest.raises(OpsError, match=r"(?i)lock"):
        remote.put("a", BytesSource(b"x"), unconcerned)


def test_a_wrong_bucket_is_named(s3_server: S3Server) -> None:
    remote = make(s3_server.at("no-such-bucket"))
    asks: list[Callable[[], object]] = [
        remote.list,
        lambda: remote.current("a"),
        lambda: remote.put("a", BytesSource(b"x"), unconcerned),
    ]
    for ask in asks:
        with pytest.raises(PreconditionError, match="s3://no-such-bucket/copies: there is no such"):
            ask()


@pytest.mark.parametrize("kind", ["google", "azure"])
def test_a_wrong_bucket_or_key_of_google_or_azure_is_named(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "google":
        url = request.getfixturevalue("google_server").url
        key = google_key(tmp_path, url)
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(key))
        remote = make(f"gs://no-such-bucket/x?endpoint={url}", tries=1)
        key.write_text("cana-ry, and no JSON")
        with pytest.raises(PreconditionError, match="they cannot be read") as told:
            make(f"gs://no-such-bucket/x?endpoint={url}")
    else:
        url = request.getfixturevalue("azure").url
        keys = {"access_key": ACCOUNT, "secret_key": ACCOUNT_KEY}
        remote = make(f"az://no-such-bucket/x?endpoint={url}", **keys)
        wrong = "Y2FuYS1yeQ=="
        with pytest.raises(PreconditionError, match="access is denied") as told:
            make(f"az://suite/x?endpoint={url}", access_key=ACCOUNT, secret_key=wrong).list()
        assert wrong not in told.value.message
    assert "cana-ry" not in told.value.message + told.value.hint
    asks: list[Callable[[], object]] = [
        remote.list,
        lambda: remote.current("a"),
        lambda: remote.put("a", BytesSource(b"x"), unconcerned),
    ]
    for ask in asks:
        with pytest.raises(PreconditionError, match="no-such-bucket/x: there is no such"):
            ask()


def test_a_store_that_cannot_be_reached_is_named() -> None:
    keys = {"access_key": ACCOUNT, "secret_key": ACCOUNT_KEY, "tries": 1}
    with pytest.raises(OpsError, match="cannot be reached"):
        make(f"az://suite/x?endpoint={NOBODY}/{ACCOUNT}", **keys).list()


def test_without_credentials_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    with pytest.raises(PreconditionError, match="no credentials") as told:
        make("az://suite/x").list()
    assert "AZURE_STORAGE_ACCOUNT_NAME" in told.value.hint


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "RequestTimeTooSkewed", "the clock of this machine differs"),
        (403, "SignatureDoesNotMatch", "the secret key is not the right one"),
        (403, "AccessDenied", "access is denied"),
    ],
)
def test_what_can_be_put_right_is_said(
    s3_server: S3Server, buckets: dict[str, str], status: int, code: str, said: str
) -> None:
    with proxied(s3_server) as proxy:
        proxy.misbehave = lambda method, _path: None if method == "HEAD" else Refuse(status, code)
        remote = make(s3_server.at(buckets["s3"], endpoint=proxy.url))
        with pytest.raises(PreconditionError, match=said) as told:
            remote.put("a", BytesSource(b"x"), unconcerned)
    assert SECRET not in told.value.message + told.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "google"])
def test_a_part_that_is_cut_or_refused_is_sent_again(
    request: pytest.FixtureRequest,
    s3_server: S3Server,
    buckets: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    failed: list[str] = []

    def each_once(method: str, path: str) -> Refuse | Cut | None:
        if method == "PUT" and "partNumber" in path and path not in failed:
            failed.append(path)
            return Refuse(503, "SlowDown") if len(failed) == 1 else Cut()
        return None

    with google(s3_server) if kind == "google" else proxied(s3_server) as proxy:
        proxy.misbehave = each_once
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(google_key(tmp_path, proxy.url)))
        prefix = f"p{next(numbers)}"
        s3_url = s3_server.at(buckets["s3"], prefix, proxy.url)
        google_url = f"gs://{buckets['s3']}/{prefix}?endpoint={proxy.url}"
        remote = make(s3_url if kind == "s3" else google_url)
        assert remote.put("demo/a", BytesSource(LARGE), unconcerned).sent
        proxy.misbehave = lambda _method, _path: None
        assert read(remote, "demo/a") == LARGE
        assert [entry.name for entry in remote.list()] == ["demo/a"]
    assert len(failed) == 2


def test_parts_that_arrived_are_not_sent_twice(
    s3_server: S3Server, buckets: dict[str, str]
) -> None:
    with proxied(s3_server) as proxy:
        remote = make(s3_server.at(buckets["s3"], f"p{next(numbers)}", proxy.url), tries=1)
        proxy.misbehave = lambda _method, path: Cut() if "partNumber=2" in path else None
        with pytest.raises(OpsError):
            remote.put("a", BytesSource(LARGE), unconcerned)
        assert remote.current("a") is None
        proxy.misbehave = lambda _method, _path: None
        proxy.seen.clear()
        assert remote.put("a", BytesSource(LARGE), unconcerned).sent
        sent = [path for method, path in proxy.seen if method == "PUT"]
        assert read(remote, "a") == LARGE
    assert len(sent) == 1
    assert "partNumber=2" in sent[0]


def test_what_was_cut_off_long_ago_is_removed_and_only_what_is_ours(
    s3_server: S3Server, buckets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, bucket = s3_server.client(), buckets["s3"]
    prefix = f"p{next(numbers)}"
    names = ["demo/archon_postgres-x.dump", "demo/evidence/x.tar", "demo/somebody-elses"]
    for name in names:
        client.create_multipart_upload(Bucket=bucket, Key=f"{prefix}/{name}")

    def waiting() -> list[str]:
        found = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
        return [upload["Key"].removeprefix(f"{prefix}/") for upload in found]

    remote = make(s3_server.at(bucket, prefix))
    monkeypatch.setattr(s3, "ABANDONED", timedelta(days=-1))
    assert sorted(waiting()) == names
    assert remote.sweep() == 2
    assert waiting() == ["demo/somebody-elses"]
