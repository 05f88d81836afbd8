"""Drills from copies elsewhere, with nothing of the backups here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from shutil import which

import pytest

from tests.runbooks import evidence, facts
from tests.s3 import age_key
from tests.support import Installation, require

pytestmark = pytest.mark.slow


def test_a_copy_elsewhere_is_enough_for_a_drill_and_for_the_loss_of_all(
    installation: Installation, empty_installation: Installation, tmp_path: Path
) -> None:
    elsewhere = empty_installation
    require(which("gpg"), "the package gnupg")
    key, public = age_key(tmp_path)
    env = {}
    for name, how in (("AGE", ("RECIPIENTS", json.dumps([public]))), ("GPG", ("PASSPHRASE", "x"))):
        (tmp_path / name).mkdir()
        env[f"ARCHON_OFFSITE__{name}__URL"] = str(tmp_path / name)
        env[f"ARCHON_OFFSITE__{name}__{how[0]}"] = how[1]
    installation.run("backup", "--quiet").ok()
    installation.run("offsite.push", "--backup", "all", env=env).ok()
    dumps = sorted(installation.dumps())
    for dump in dumps:
        dump.unlink()
        dump.with_suffix(".json").unlink()
    # The newest one there is damaged: the one before it is taken, and the verdict says so.
    newest = tmp_path / "AGE" / "demo" / f"{dumps[-1].name}.age"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    drill = ("drill", "--from", "age", "--identity", str(key), "--json")
    found = evidence(installation.run(*drill, env=env).ended(5))
    (reason,) = found["reasons"]
    assert f"the copy {newest.name.removesuffix('.age')} in {tmp_path}/AGE/demo cannot" in reason
    assert found["backup"]["name"] == dumps[0].name
    assert found["backup"]["fetched_from"] == str(tmp_path / "AGE")
    assert found["integrity"]["proof"]["equal"]

    loss = ("runbook", "scenario-1-system-loss", "-p", "offsite=gpg", "--json")
    done = installation.run(*loss, env=env).ok()
    assert evidence(done)["verdict"] == "PASS"
    copy = facts(done, "copy")
    assert (copy["from"], copy["name"]) == (str(tmp_path / "GPG"), dumps[-1].name)
    assert copy["encrypted"] == "gpg"
    assert not list((installation.backups / ".ops").glob("opened-*"))
    assert installation.dumps() == ()
    # Evidence travels along, and comes back on a machine that has nothing but the public key.
    installation.run("backup", "--quiet").ok()
    installation.run("offsite.push", "--quiet", env=env).ok()
    pull = ("offsite.pull", "evidence", "--json", "--from")
    with_key = (str(tmp_path / "AGE"), "--identity", str(key))
    back = elsewhere.run(*pull, *with_key).ok().json
    assert len(back["fetched"]) == 2
    public_key = installation.root / ".archon" / "keys" / "signing-key.pub.pem"
    verify = ("evidence.verify", "--key", str(public_key), "--json")
    assert elsewhere.run(*verify).ok().json["head"] == back["head"]
    again = elsewhere.run(*pull, *with_key).ok().json
    assert (again["fetched"], again["there"]) == ([], back["fetched"])
    shutil.rmtree(elsewhere.root / "reports" / back["fetched"][-1])
    elsewhere.run(*verify).ended(1)
    elsewhere.run(*pull, *with_key).ok()
    elsewhere.run(*verify).ok()
    page = next((installation.root / "reports").glob("*-system-loss-*/report.html")).read_text()
    assert f"fetched from {tmp_path / 'GPG'}" in page


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--all", "--from", "x"), 2, "exclude each other"),
        (("--identity", "x"), 2, "add --from PLACE"),
        (("--from", "ftp://x"), 2, "no place that copies can go to"),
    ],
)
def test_what_no_drill_is_begun_for(
    module_installation: Installation, given: tuple[str, ...], code: int, said: str
) -> None:
    assert said in module_installation.run("drill", *given).ended(code).stderr
    assert not (module_installation.root / "reports").exists()
