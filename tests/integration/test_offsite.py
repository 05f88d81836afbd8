"""Everything here is lost, and comes back from elsewhere with nothing but the URL and the key."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from archon_ops.postgres.tools import wheel_tools
from tests.direct import error_of
from tests.s3 import KEY, SECRET, S3Server, age_key
from tests.support import Completed, Installation, require

pytestmark = pytest.mark.xdist_group("s3")


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    """A folder on another disk, as far as a test has one."""
    folder = tmp_path / "nas"
    folder.mkdir()
    return folder


@pytest.fixture
def elsewhere() -> Iterator[Installation]:
    """A machine on which nothing is yet."""
    made = Installation.make()
    try:
        yield made
    finally:
        made.teardown()


def records(installation: Installation, action: str = "offsite") -> list[dict[str, object]]:
    """The run records of an action, oldest first."""
    files = sorted((installation.backups / ".ops" / "runs").glob("*.json"))
    found = [json.loads(file.read_text()) for file in files]
    return [record for record in found if record["action"] == action]


def listed(installation: Installation, *more: str, env: dict[str, str] | None = None) -> Completed:
    return installation.run("offsite.list", "--json", *more, env=env).ok()


@pytest.mark.slow
def test_a_copy_in_a_folder_is_a_backup_that_pg_restore_reads(
    module_installation: Installation, nas: Path
) -> None:
    done = module_installation.run("offsite.push", "--to", str(nas), "--json").ok()
    dump = module_installation.latest_dump()
    assert done.json["places"][0]["sent"] == [dump.name]
    assert (nas / "demo" / dump.name).read_bytes() == dump.read_bytes()
    listing = wheel_tools().argv("pg_restore", "--list", str(nas / "demo" / dump.name))
    subprocess.run(listing, check=True, capture_output=True)
    again = module_installation.run("offsite.push", "--to", str(nas), "--json").ok()
    place = again.json["places"][0]
    assert (place["sent"], place["there"], place["bytes"]) == ([], [dump.name], 0)
    record = records(module_installation)[-1]
    assert record["details"] == {"verb": "push", "to": str(nas), "backups": [dump.name]}


def test_what_age_opens_by_hand_passes_pg_restore(
    module_installation: Installation, nas: Path, tmp_path: Path
) -> None:
    age = which("age")
    require(age, "the package age")
    assert age
    path, public = age_key(tmp_path)
    module_installation.run("offsite.push", "--to", str(nas), "--recipient", public).ok()
    dump = module_installation.latest_dump()
    sealed = nas / "demo" / f"{dump.name}.age"
    opened = tmp_path / "opened.dump"
    subprocess.run([age, "-d", "-i", path, "-o", opened, sealed], check=True)
    listing = wheel_tools().argv("pg_restore", "--list", str(opened))
    subprocess.run(listing, check=True, capture_output=True)
    assert opened.read_bytes() == dump.read_bytes()
    assert not list((module_installation.backups / ".ops" / "outbox").iterdir())
    # The listing needs no key, and tells nothing of the content.
    outside = next((nas / "demo" / "copies").iterdir()).read_text()
    assert "archon_tasks" not in outside


def test_what_gpg_opens_by_hand_passes_pg_restore(
    module_installation: Installation, nas: Path, tmp_path: Path
) -> None:
    gpg = which("gpg")
    require(gpg, "the package gnupg")
    assert gpg
    env = {"ARCHON_OFFSITE__N__URL": str(nas), "ARCHON_OFFSITE__N__PASSPHRASE": "a pass phrase"}
    module_installation.run("offsite.push", env=env).ok()
    dump = module_installation.latest_dump()
    (tmp_path / "word").write_text("a pass phrase\n")
    (tmp_path / "home").mkdir(mode=0o700)
    opened = tmp_path / "opened.dump"
    word = ("--batch", "--pinentry-mode", "loopback", "--passphrase-file", str(tmp_path / "word"))
    own = ("--homedir", str(tmp_path / "home"), "--no-autostart")
    sealed = str(nas / "demo" / f"{dump.name}.gpg")
    subprocess.run([gpg, *own, *word, "-o", str(opened), "--decrypt", sealed], check=True)
    listing = wheel_tools().argv("pg_restore", "--list", str(opened))
    subprocess.run(listing, check=True, capture_output=True)
    assert opened.read_bytes() == dump.read_bytes()


@pytest.mark.slow
def test_local_retention_leaves_every_copy(installation: Installation, nas: Path) -> None:
    installation.run("backup", "--quiet").ok()
    installation.run("offsite.push", "--backup", "all", "--to", str(nas)).ok()
    names = {dump.name for dump in installation.dumps()}
    installation.run("prune", "--retention", "1", "--yes").ok()
    assert len(installation.dumps()) == 1
    copies = listed(installation, "--from", str(nas)).json["copies"]
    assert {copy["filename"] for copy in copies} == names
    assert all(copy["sound"] for copy in copies)
    lost = min(names)
    pulled = installation.run("offsite.pull", lost, "--from", str(nas), "--json").ok().json
    assert pulled["fetched"]
    installation.run("verify", lost, "--quiet").ok()
    # Only when it is asked for, by a policy of its own; the newest is read first.
    newest = next((nas / "demo").glob(f"{max(names)}"))
    sound = newest.read_bytes()
    newest.write_bytes(sound[:-1] + b"?")
    prune = ("offsite.prune", "--from", str(nas), "--retention", "1", "--yes")
    assert "is not what was pushed" in error_of(installation.run(*prune), 4)
    assert (nas / "demo" / lost).exists()
    newest.write_bytes(sound)
    installation.run(*prune).ok()
    assert [
        copy["filename"] for copy in listed(installation, "--from", str(nas)).json["copies"]
    ] == [max(names)]
    left = sorted(p.name for p in (nas / "demo").rglob("*") if p.is_file())
    assert all(name.startswith(max(names).removesuffix(".dump")) for name in left)


@pytest.mark.slow
def test_a_clean_machine_gets_its_backup_from_s3(
    installation: Installation, elsewhere: Installation, s3_server: S3Server, tmp_path: Path
) -> None:
    bucket = s3_server.bucket("complete-loss", locking=True)
    path, public = age_key(tmp_path)
    config = f"""
        [offsite.s3]
        url = "s3://{bucket}/archon"
        endpoint = "{s3_server.url}"
        path_style = true
        recipients = ["{public}"]
        lock_days = 1
    """
    (installation.root / "archon.toml").write_text(config)
    env = {
        "ARCHON_OFFSITE__S3__ACCESS_KEY": KEY,
        "ARCHON_OFFSITE__S3__SECRET_KEY": SECRET,
    }
    before = installation.content()
    pushed = installation.run("backup", "--offsite", "--json", env=env).ok()
    assert pushed.json["offsite"] == [f"s3://{bucket}/archon"]
    dump = installation.latest_dump()
    manifest = dump.with_suffix(".json").read_bytes()
    content = dump.read_bytes()
    # Nobody deletes there what is locked, and nothing was asked of what is here.
    installation.run("backup", "--offsite", "--quiet", env=env).ok()
    pruned = installation.run("offsite.prune", "--retention", "1", "--yes", "--json", env=env).ok()
    decisions = pruned.json["places"][0]["decisions"]
    assert [d["action"] for d in decisions] == ["keep", "keep"]
    assert decisions[1]["reasons"][0].startswith("locked there until")
    dump, older = installation.latest_dump(), dump
    manifest, content = dump.with_suffix(".json").read_bytes(), dump.read_bytes()
    # Now everything here is lost, and on the new machine only the URL and the key are known.
    url = s3_server.at(bucket, "archon")
    found = listed(elsewhere, "--from", url, env=s3_server.environment).json["copies"]
    assert [copy["filename"] for copy in found] == [dump.name, older.name]
    args = ("restore", "offsite:latest", "--from", url, "--identity", str(path))
    more = ("--create-roles", "--yes", "--json")
    restored = elsewhere.run(*args, *more, env=s3_server.environment).ok()
    assert restored.json["proof"]["equal"]
    assert "passwords are in no dump" in restored.stderr
    assert elsewhere.content().tables == before.tables
    there = elsewhere.latest_dump()
    assert (there.read_bytes(), there.with_suffix(".json").read_bytes()) == (content, manifest)
    assert there.stat().st_mode & 0o777 == 0o600
    checked = ("offsite.verify", "all", "--from", url, "--identity", str(path))
    elsewhere.run(*checked, env=s3_server.environment).ok()
    for done in (pushed, restored):
        assert SECRET not in done.stdout + done.stderr


@pytest.mark.slow
def test_the_handbooks_encrypted_dump_restores_directly(
    installation: Installation, nas: Path
) -> None:
    require(which("gpg"), "the package gnupg")
    dump = installation.latest_dump()
    word = nas / "word"
    word.write_text("a pass phrase\n")
    with word.open() as file:
        sealed = installation.inherit("encrypt", str(dump), "--json", fd=file.fileno()).ok().json
    moved = nas / f"{dump.name}.gpg"
    Path(sealed["path"]).rename(moved)
    shutil.copy(dump.with_suffix(".json"), nas)
    installation.psql("DELETE FROM public.archon_tasks")
    restore = ("restore", str(moved), "--yes", "--json")
    assert "wants a passphrase" in error_of(installation.run(*restore[:-1]), 3)
    with word.open() as file:
        done = installation.inherit(*restore, fd=file.fileno()).ok()
    assert done.json["proof"]["equal"]
    assert installation.psql("SELECT count(*) > 0 FROM public.archon_tasks") == "True"
    assert not list((installation.backups / ".ops").glob("opened-*"))


@pytest.mark.slow
def test_a_place_that_fails_leaves_the_backup_good_and_the_status_not(
    installation: Installation, nas: Path
) -> None:
    env = {
        "ARCHON_OFFSITE__NAS__URL": str(nas / "not-mounted"),
        "ARCHON_OFFSITE__NAS__AFTER_BACKUP": "true",
    }
    done = installation.run("backup", env=env)
    dump = installation.latest_dump()
    assert f"the backup {dump.name} is good, but not copied" in error_of(done, 3)
    installation.run("verify", dump.name, "--quiet").ok()
    state = installation.run("status", "--json", "--fail-on", "aging").ended(6).json
    assert state["health_message"].startswith("Backup is not copied offsite")
    assert "is its disk mounted" in state["offsite"][0]["reason"]
    (nas / "not-mounted").mkdir()
    installation.run("offsite.push", env=env).ok()
    installation.run("status", "--fail-on", "aging").ok()


@pytest.mark.slow
def test_old_backups_move_to_a_place_and_evidence_travels_along(
    installation: Installation, nas: Path
) -> None:
    old = installation.latest_dump().name
    installation.run("backup", "--quiet").ok()
    run = installation.root / "reports" / "20260101T000000Z-drill"
    run.mkdir(parents=True)
    (run / "SHA256SUMS").write_text("sealed\n")
    head = '{"number": 7, "run": "x", "sha256": "0123456789abcdef"}'
    (installation.root / ".archon" / "evidence-head.json").write_text(head)
    env = {"ARCHON_OFFSITE__NAS__URL": str(nas)}
    installation.run("offsite.push", "--quiet", env=env).ok()
    evidence = sorted(p.name for p in (nas / "demo" / "evidence").iterdir())
    assert evidence == ["20260101T000000Z-drill.tar", "head-000007-0123456789ab.json"]
    prune = ("prune", "--archive-to", "nas", "--older-than", "0h", "--yes", "--json")
    (nas / "demo" / old).write_bytes(b"of somebody else")
    assert "OTHER content" in installation.run(*prune, env=env).ended(4).stdout
    assert old in {dump.name for dump in installation.dumps()}
    (nas / "demo" / old).unlink()
    assert installation.run(*prune, env=env).ok().json["archived"] == [old]
    assert old not in {dump.name for dump in installation.dumps()}
    installation.run("offsite.pull", old, "--quiet", env=env).ok()
    installation.run("verify", old, "--quiet").ok()


def test_nothing_is_pushed_of_a_damaged_backup(installation: Installation, nas: Path) -> None:
    dump = installation.latest_dump()
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    done = installation.run("offsite.push", "--to", str(nas))
    assert "not what its manifest says (checksum)" in error_of(done, 4)
    assert [p for p in nas.rglob("*") if p.is_file()] == []
    assert records(installation)[-1]["result"] == "failed"


@pytest.mark.slow
def test_where_no_place_is_known_it_says_how_to_name_one(
    module_installation: Installation,
) -> None:
    for verb in ("push", "list"):
        done = module_installation.run(f"offsite.{verb}")
        assert "no place offsite is configured" in error_of(done, 3)
    assert "[offsite.NAME]" in done.stderr


@pytest.mark.slow
def test_a_place_that_is_away_hides_no_copy_at_another(
    module_installation: Installation, nas: Path
) -> None:
    module_installation.run("offsite.push", "--to", str(nas)).ok()
    places = ("--from", str(nas / "unplugged"), "--from", str(nas))
    done = module_installation.run("offsite.list", *places)
    assert "is its disk mounted?" in error_of(done, 3)
    assert f"Copies of demo in {nas}" in done.stdout
    assert "full length, signed" in done.stdout
    document = module_installation.run("offsite.list", "--json", *places).ended(3).json
    assert document["error"]["code"] == 3


@pytest.mark.slow
def test_a_place_that_is_away_keeps_no_other_from_being_read(
    module_installation: Installation, nas: Path
) -> None:
    places = ("--from", str(nas), "--from", str(nas.with_name("not-mounted")))
    module_installation.run("backup").ok()
    module_installation.run("offsite.push", "--to", str(nas)).ok()
    done = module_installation.run("offsite.verify", "all", *places).ended(3)
    assert "passed" in done.stdout
    assert "[WARN]" in done.stderr
    assert "not-mounted does not exist" in done.stderr.splitlines()[-2]
    told = module_installation.run("offsite.verify", "all", *places, "--json").ended(3).json
    assert (told["passed"], [copy["passed"] for copy in told["copies"]]) == (
        False,
        [True] * len(told["copies"]),
    )
    assert "not-mounted does not exist" in told["not_read"]


@pytest.mark.slow
def test_a_mistyped_name_of_a_place_is_told(module_installation: Installation) -> None:
    refused = module_installation.run("offsite.push", "--to", "nsa").ended(2)
    assert "no place offsite is called 'nsa'" in refused.stderr


@pytest.mark.slow
def test_another_sources_copies_are_named(module_installation: Installation, nas: Path) -> None:
    module_installation.run("offsite.push", "--to", str(nas)).ok()
    done = module_installation.run("offsite.list", "--source", "archon", "--from", str(nas))
    assert "no copies of source archon" in error_of(done, 3)
    assert "--source demo" in done.stderr
