"""What goes wrong on the way, or over there, is refused loudly, and nothing is lost by it."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest

from archon_ops.storage import copies
from tests.direct import error_of
from tests.disks import small_disk
from tests.integration.test_offsite import records
from tests.s3 import SECRET, Cut, Proxy, Refuse, S3Server, age_key, proxied
from tests.support import Completed, Installation, require

pytestmark = pytest.mark.xdist_group("s3")


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    folder = tmp_path / "nas"
    folder.mkdir()
    return folder


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with proxied(s3_server) as between:
        yield between


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.bucket("faults")


@dataclass(frozen=True)
class Copied:
    """Copies of the module's backup, to be damaged: one as it is, one encrypted.

    Attributes:
        folder: with the places `plain` and `age`.
        key: file of the private key.
    """

    folder: Path
    key: Path

    def to(self, place: Path, how: str) -> Path:
        """A place of one's own with such a copy in it."""
        shutil.copytree(self.folder / how, place, dirs_exist_ok=True)
        return place


@pytest.fixture(scope="module")
def copied(module_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Copied:
    folder = tmp_path_factory.mktemp("copied")
    key, public = age_key(folder)
    for how, more in (("plain", ()), ("age", ("--recipient", public))):
        (folder / how).mkdir()
        module_installation.run("offsite.push", "--to", str(folder / how), *more).ok()
    return Copied(folder, key)


def push(installation: Installation, server: S3Server, url: str, *more: str) -> Completed:
    return installation.run("offsite.push", "--to", url, *more, env=server.environment)


# --- on the way ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_overloaded_server_is_asked_again(
    module_installation: Installation, s3_server: S3Server, proxy: Proxy, bucket: str
) -> None:
    refused: list[str] = []

    def first_two(method: str, _path: str) -> Refuse | None:
        if method == "PUT" and len(refused) < 2:
            refused.append(method)
            return Refuse(503, "SlowDown")
        return None

    proxy.misbehave = first_two
    push(module_installation, s3_server, s3_server.at(bucket, "slow", proxy.url)).ok()
    assert len(refused) == 2


@pytest.mark.slow
def test_a_server_that_stays_overloaded_is_given_up(
    module_installation: Installation, s3_server: S3Server, proxy: Proxy, bucket: str
) -> None:
    files = module_installation.files()
    proxy.misbehave = lambda method, _path: Refuse(503, "SlowDown") if method == "PUT" else None
    url = s3_server.at(bucket, "ill", proxy.url)
    env = {"ARCHON_OFFSITE__ILL__URL": url, "ARCHON_OFFSITE__ILL__TRIES": "2"}
    done = module_installation.run("offsite.push", env={**s3_server.environment, **env})
    assert "overloaded or ill (SlowDown), 2 tries" in error_of(done, 1)
    assert module_installation.files() == files
    assert not [key for key in s3_server.objects(bucket) if key.startswith("ill/")]
    record = records(module_installation)[-1]
    assert (record["result"], record["exit_code"]) == ("failed", 1)
    assert SECRET not in json.dumps(record) + done.stderr


@pytest.mark.slow
def test_a_cut_upload_and_a_lost_answer_end_well(
    module_installation: Installation, s3_server: S3Server, proxy: Proxy, bucket: str
) -> None:
    cut: list[str] = []

    def once_each(method: str, path: str) -> Cut | None:
        if method == "PUT" and path not in cut:
            cut.append(path)
            return Cut()
        return None

    proxy.misbehave = once_each
    push(module_installation, s3_server, s3_server.at(bucket, "cut", proxy.url)).ok()
    assert len(cut) == 3


@pytest.mark.slow
@pytest.mark.parametrize("how", ["age", "gpg"])
def test_a_ciphertext_waits_for_the_push_that_goes_on(
    module_installation: Installation,
    s3_server: S3Server,
    proxy: Proxy,
    bucket: str,
    tmp_path: Path,
    how: str,
) -> None:
    _, public = age_key(tmp_path)
    url = s3_server.at(bucket, f"waits-{how}", proxy.url)
    env = {**s3_server.environment, "ARCHON_OFFSITE__W__URL": url, "ARCHON_OFFSITE__W__TRIES": "1"}
    if how == "age":
        env["ARCHON_OFFSITE__W__RECIPIENTS"] = json.dumps([public])
    else:
        require(which("gpg"), "the package gnupg")
        env["ARCHON_OFFSITE__W__PASSPHRASE"] = "a word"  # noqa: S105 - of this test
    refused = Refuse(503, "SlowDown")
    proxy.misbehave = lambda method, path: (
        refused if method == "PUT" and "copies/a" in path else None
    )
    error_of(module_installation.run("offsite.push", env=env), 1)
    objects = {k: v for k, v in s3_server.objects(bucket).items() if k.startswith(f"waits-{how}/")}
    waiting = sorted((module_installation.backups / ".ops" / "outbox").iterdir())
    assert len(objects) == len(waiting) == 2
    proxy.misbehave = lambda _method, _path: None
    if how == "gpg":  # of another passphrase it would be of no use
        other = {**env, "ARCHON_OFFSITE__W__PASSPHRASE": "another"}
        done = module_installation.run("offsite.push", env=other)
        assert "OTHER content" in error_of(done, 4)
    module_installation.run("offsite.push", env=env).ok()
    after = s3_server.objects(bucket)
    assert {key: after[key] for key in objects} == objects
    assert not list((module_installation.backups / ".ops" / "outbox").iterdir())


@pytest.mark.slow
def test_a_cut_download_goes_on_where_it_was(
    module_installation: Installation, s3_server: S3Server, proxy: Proxy, bucket: str, nas: Path
) -> None:
    push(module_installation, s3_server, s3_server.at(bucket, "download")).ok()
    cut: list[str] = []

    def dumps_twice(method: str, path: str) -> Cut | None:
        if method == "GET" and path.endswith(".dump") and len(cut) < 2:
            cut.append(path)
            return Cut(100_000)
        return None

    proxy.misbehave = dumps_twice
    dump = module_installation.latest_dump()
    url = s3_server.at(bucket, "download", proxy.url)
    args = ("offsite.pull", dump.name, "--from", url, "--backup-dir", str(nas))
    module_installation.run(*args, env=s3_server.environment).ok()
    assert len(cut) == 2
    assert (nas / dump.name).read_bytes() == dump.read_bytes()


@pytest.mark.slow
def test_a_server_that_is_not_there_is_named(
    module_installation: Installation, s3_server: S3Server
) -> None:
    url = s3_server.at("bucket", "x", "http://127.0.0.1:9")
    done = module_installation.run("offsite.list", "--from", url, env=s3_server.environment)
    assert "the server cannot be reached" in error_of(done, 1)


# --- over there ----------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replace_copy(path: Path) -> None:
    """Let what is written down agree with a dump that was exchanged: only its digest tells."""
    written = next((path.parent / "copies").iterdir())
    document = json.loads(written.read_text())
    written.write_text(json.dumps({**document, "size_bytes": document["size_bytes"] + 1}))


def reseal_copy(path: Path) -> None:
    """The same, with a new digest: only the signature tells, as it does where the key is known."""
    written = next((path.parent / "copies").iterdir())
    document = {**json.loads(written.read_text()), "label": "not-what-was-pushed"}
    signature = document.pop("signature")
    del document["digest"]
    digest = copies._digest(document)
    written.write_text(json.dumps({**document, "digest": digest, "signature": signature}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "encrypted"),
    [
        *((flip, True), (truncate, True), (flip, False), (Path.unlink, False)),
        *((replace_copy, False), (reseal_copy, True)),
    ],
)
def test_a_damaged_copy_is_refused_and_leaves_nothing(
    module_installation: Installation,
    copied: Copied,
    nas: Path,
    tmp_path: Path,
    damage: object,
    encrypted: bool,
) -> None:
    copied.to(nas, "age" if encrypted else "plain")
    dump = module_installation.latest_dump()
    assert callable(damage)
    damage(nas / "demo" / f"{dump.name}{'.age' if encrypted else ''}")
    into = tmp_path / "into"
    key = ("--identity", str(copied.key))
    args = ("offsite.pull", "latest", "--from", str(nas), "--backup-dir", str(into), *key)
    error_of(module_installation.run(*args), 4)
    left = [p for p in into.rglob("*") if p.is_file() and "runs" not in p.parts]
    assert [p.name for p in left if p.name not in ("lock", "offsite")] == []
    if damage in (flip, reseal_copy):
        done = module_installation.run("offsite.verify", "latest", "--from", str(nas), *key)
        error_of(done, 4)
        assert dump.name in done.stderr


def test_history_that_was_overwritten_is_told_loudly(installation: Installation, nas: Path) -> None:
    dump = installation.latest_dump()
    (nas / "demo").mkdir()
    (nas / "demo" / dump.name).write_bytes(b"something else")
    done = installation.run("offsite.push", "--to", str(nas))
    assert "is there already with OTHER content" in error_of(done, 4)
    assert (nas / "demo" / dump.name).read_bytes() == b"something else"


@pytest.mark.slow
def test_a_second_push_claims_nothing_of_bytes_that_it_did_not_read(
    module_installation: Installation, copied: Copied, nas: Path
) -> None:
    copied.to(nas, "plain")
    push = ("offsite.push", "--to", str(nas))
    dump = module_installation.latest_dump()
    copy = nas / "demo" / dump.name
    flip(copy)
    said = module_installation.run(*push).ok().stderr
    assert "whole" not in said
    assert "inv offsite.verify reads it" in said
    listed = module_installation.run("offsite.list", "--from", str(nas)).ok()
    assert "whole" not in listed.stdout
    assert "full length, signed" in listed.stdout
    # Once it was found to be damaged, no push passes over it; it is replaced when asked to.
    error_of(module_installation.run("offsite.verify", "latest", "--from", str(nas)), 4)
    done = module_installation.run(*push)
    assert "is damaged: inv offsite.verify found that at" in error_of(done, 4)
    assert f"--backup {dump.name} --to PLACE --replace-damaged" in done.stderr
    damaged = copy.read_bytes()
    done = module_installation.run(*push, "--replace-damaged")
    assert "only when somebody confirms it" in error_of(done, 3)
    assert copy.read_bytes() == damaged
    done = module_installation.run(*push, "--replace-damaged", "--yes", "--json").ok()
    assert done.json["places"][0]["replaced"] == [dump.name]
    assert copy.read_bytes() == dump.read_bytes()
    done = module_installation.run(*push, "--replace-damaged", "--yes", "--json").ok()
    assert done.json["places"][0]["replaced"] == []


@pytest.mark.slow
def test_what_is_locked_there_is_not_replaced(
    module_installation: Installation, s3_server: S3Server
) -> None:
    bucket = s3_server.bucket("faults-locked", locking=True)
    url = s3_server.at(bucket, "x")
    env = {
        **s3_server.environment,
        "ARCHON_OFFSITE__L__URL": url,
        "ARCHON_OFFSITE__L__LOCK_DAYS": "1",
    }
    module_installation.run("offsite.push", env=env).ok()
    dump = module_installation.latest_dump()
    key = f"x/demo/{dump.name}"
    s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"theirs")
    done = module_installation.run("offsite.push", env=env)
    assert "was overwritten later; its version" in error_of(done, 4)
    done = module_installation.run("offsite.push", "--replace-damaged", "--yes", env=env)
    assert "locked there until" in error_of(done, 3)
    assert s3_server.objects(bucket)[key] == b"theirs"


def test_a_copy_whose_signature_was_taken_away_is_named(
    module_installation: Installation, copied: Copied, nas: Path
) -> None:
    copied.to(nas, "plain")
    written = next((nas / "demo" / "copies").iterdir())
    document = json.loads(written.read_text())
    del document["signature"]
    written.write_text(json.dumps(document))
    done = module_installation.run("offsite.verify", "latest", "--from", str(nas)).ok()
    assert "what is written down of it is not signed" in done.stdout


@pytest.mark.slow
def test_the_wrong_key_opens_nothing(
    module_installation: Installation, copied: Copied, nas: Path, tmp_path: Path
) -> None:
    copied.to(nas, "age")
    other, _ = age_key(tmp_path)
    args = ("offsite.pull", "latest", "--from", str(nas), "--backup-dir", str(tmp_path / "into"))
    done = module_installation.run(*args, "--identity", str(other))
    assert "was not encrypted for the key in" in error_of(done, 3)
    done = module_installation.run(*args)
    assert "no key was given" in error_of(done, 3)
    assert not list((tmp_path / "into").glob("*.dump"))


@pytest.mark.slow
def test_two_pushes_at_once_do_not_meet(installation: Installation, nas: Path) -> None:
    first = installation.spawn("offsite.push", "--to", str(nas), pause_at="offsite.send")
    first.wait_paused("offsite.send")
    env = {"ARCHON_DEADLINES__LOCK": "0.2"}
    second = installation.run("offsite.push", "--to", str(nas), env=env)
    assert "(offsite) since" in error_of(second, 11)
    # A backup is not kept waiting by a push.
    installation.run("backup", "--quiet", env=env).ok()
    first.go_on()
    first.finish().ok()


def test_a_full_disk_leaves_nothing_of_a_pull(
    module_installation: Installation, copied: Copied, nas: Path, tmp_path: Path
) -> None:
    copied.to(nas, "age")
    with small_disk(tmp_path / "disk", 1) as disk:
        args = ("offsite.pull", "latest", "--from", str(nas), "--backup-dir", str(disk))
        done = module_installation.run(*args)
        assert "not enough room in" in error_of(done, 3)
        assert "because it is decrypted here" in done.stderr
        left = [p.name for p in disk.rglob("*") if p.is_file() and "runs" not in p.parts]
        assert set(left) <= {"lock", "offsite"}


@pytest.mark.slow
def test_what_is_here_is_never_overwritten_by_a_pull(installation: Installation, nas: Path) -> None:
    installation.run("offsite.push", "--to", str(nas)).ok()
    dump = installation.latest_dump()
    flip(dump)
    before = dump.read_bytes()
    done = installation.run("offsite.pull", "latest", "--from", str(nas))
    assert "it was not touched" in error_of(done, 3)
    assert dump.read_bytes() == before


@pytest.mark.slow
def test_credentials_are_nowhere(
    installation: Installation, s3_server: S3Server, bucket: str
) -> None:
    word = "cana-ry-PASSPHRASE"
    config = f'[offsite.s3]\nurl = "s3://{bucket}/hidden"\nendpoint = "{s3_server.url}"\n'
    (installation.root / "archon.toml").write_text(config + "path_style = true\n")
    env = {**s3_server.environment, "ARCHON_OFFSITE__S3__PASSPHRASE": word}
    done = installation.run("offsite.push", "--verbose", env=env).ok()
    wrong = installation.run("offsite.list", "--from", f"s3://x:{SECRET}@{bucket}", "--verbose")
    assert "holds no credentials" in error_of(wrong, 2)
    said = done.stdout + done.stderr + wrong.stderr
    files = b"".join(p.read_bytes() for p in installation.backups.rglob("*") if p.is_file())
    stored = b"".join(s3_server.objects(bucket).values())
    for secret in (SECRET, word):
        assert secret not in said
        for text in (secret.encode(), base64.b64encode(secret.encode())):
            assert text not in files + stored
