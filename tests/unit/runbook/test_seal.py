"""Seals: every change of a past run is found and named, without any database."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from archon_ops.errors import ExitCode, PreconditionError
from archon_ops.runbook import seal
from archon_ops.runbook.checking import Checked, Finding, check
from archon_ops.storage.keys import PUBLIC, Keys, PublicKey, read_public
from tests.support import CHECKOUT, MB

RUNS = ("20260101T000000Z-drill-aaaa", "20260201T000000Z-drill-bbbb", "20260301T000000Z-drill-cccc")


@dataclass
class House:
    """Three sealed runs, and what is kept apart from them."""

    reports: Path
    state: Path

    @property
    def key(self) -> PublicKey:
        key = Keys(self.state).public()
        assert key is not None
        return key

    def add(self, name: str) -> None:
        making = self.reports / f".making-{name}"
        making.mkdir()
        (making / "evidence.json").write_text(f'{{"run": "{name}"}}\n')
        (making / "report.html").write_text("<p>PASS</p>\n")
        with seal.sealing(self.state):
            head = seal.seal(making, self.reports / name, self.state, "test")
            making.rename(self.reports / name)
            seal.remember(head, self.state, "test")

    def check(self) -> Checked:
        return check(self.reports, (self.key,), seal.head_of(self.state))


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "reports", tmp_path / "state")
    made.reports.mkdir()
    for name in RUNS:
        made.add(name)
    return made


def test_what_nobody_touched_is_unchanged(house: House) -> None:
    checked = house.check()
    assert (checked.runs, checked.findings, checked.not_checked) == (3, (), ())
    assert checked.exit_code == ExitCode.DONE
    assert checked.head == seal.head_of(house.state)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", ["evidence.json", "report.html", "chain.json", "SHA256SUMS.sig"])
def test_one_character_is_found_and_named(house: House, run: str, name: str) -> None:
    path = house.reports / run / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    checked = house.check()
    assert checked.exit_code == ExitCode.FAILED
    assert (run, name) in {(f.run, f.file) for f in checked.findings}


@pytest.mark.parametrize("run", RUNS)
def test_a_character_in_the_digests_is_found(house: House, run: str) -> None:
    path = house.reports / run / "SHA256SUMS"
    path.write_text(path.read_text().replace("a", "b", 1))
    assert run in {f.run for f in house.check().findings}


@pytest.mark.parametrize("run", RUNS)
def test_a_run_that_was_taken_away_is_named(house: House, run: str) -> None:
    shutil.rmtree(house.reports / run)
    assert run in {f.run for f in house.check().findings}


def test_a_cut_tail_shows_only_by_the_head(house: House) -> None:
    shutil.rmtree(house.reports / RUNS[2])
    (house.state / seal.HEAD).unlink()
    checked = house.check()
    assert checked.findings == ()
    assert checked.exit_code == ExitCode.INCONCLUSIVE
    assert "tail not checked" in checked.not_checked[0]


def test_a_run_after_a_cut_tail_does_not_hide_it(house: House) -> None:
    shutil.rmtree(house.reports / RUNS[2])
    house.add("20260401T000000Z-drill-dddd")
    assert [f.run for f in house.check().findings] == [RUNS[2]]


def _rewritten(folder: Path) -> None:
    """Change a file and write its new digest, as somebody without the key can."""
    (folder / "evidence.json").write_text('{"verdict": "PASS"}\n')
    names = sorted(p for p in folder.iterdir() if not p.name.startswith("SHA256SUMS"))
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.mark.parametrize("run", RUNS)
def test_digests_rewritten_without_the_key_are_found(house: House, run: str) -> None:
    _rewritten(house.reports / run)
    assert (run, "SHA256SUMS.sig") in {(f.run, f.file) for f in house.check().findings}


def test_digests_rewritten_and_signed_by_another_key_are_found(
    house: House, tmp_path: Path
) -> None:
    folder = house.reports / RUNS[1]
    _rewritten(folder)
    signature, _ = Keys(tmp_path / "other").sign((folder / "SHA256SUMS").read_bytes())
    (folder / "SHA256SUMS.sig").write_bytes(signature)
    assert (RUNS[1], "SHA256SUMS.sig") in {(f.run, f.file) for f in house.check().findings}


def _swap(reports: Path) -> None:
    (reports / RUNS[0]).rename(reports / "x")
    (reports / RUNS[1]).rename(reports / RUNS[0])
    (reports / "x").rename(reports / RUNS[1])


def _renumber(reports: Path) -> None:
    for run, number in ((RUNS[0], 2), (RUNS[1], 1)):
        path = reports / run / "chain.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "number": number}))


def _double(reports: Path) -> None:
    shutil.copytree(reports / RUNS[0], reports / "20260102T000000Z-drill-eeee")


def _add(reports: Path) -> None:
    (reports / RUNS[0] / "note.txt").write_text("nothing to see\n")


def _unseal(reports: Path) -> None:
    (reports / RUNS[1] / "SHA256SUMS").unlink()


def _link(reports: Path) -> None:
    path = reports / RUNS[1] / "evidence.json"
    path.rename(reports / "elsewhere.json")
    path.symlink_to(reports / "elsewhere.json")


@pytest.mark.parametrize("change", [_swap, _renumber, _double, _add, _unseal, _link])
def test_runs_that_were_moved_doubled_or_added_to_are_found(
    house: House, change: Callable[[Path], None]
) -> None:
    change(house.reports)
    assert house.check().exit_code == ExitCode.FAILED


def signed_anew(house: House, run: str, by: Keys) -> None:
    """Let a run's signature be by another key."""
    sums = house.reports / run / "SHA256SUMS"
    (house.reports / run / "SHA256SUMS.sig").write_bytes(by.sign(sums.read_bytes())[0])


def test_a_key_that_is_known_for_backups_forges_no_evidence(house: House, tmp_path: Path) -> None:
    """Another installation's key may lie beside ours, so that its backups are known here."""
    elsewhere = Keys(tmp_path / "elsewhere")
    other = elsewhere.sign(b"")[1]
    (Keys(house.state).folder / "other.pub.pem").write_bytes(other.pem)
    signed_anew(house, RUNS[2], elsewhere)
    checked = check(house.reports, (house.key,), seal.head_of(house.state), others=(other,))
    assert [(f.run, f.file) for f in checked.findings] == [(RUNS[2], "SHA256SUMS.sig")]
    for run in RUNS[:2]:
        signed_anew(house, run, elsewhere)
    checked = check(house.reports, (house.key,), seal.head_of(house.state), others=(other,))
    assert checked.exit_code == ExitCode.INCONCLUSIVE
    assert other.fingerprint in checked.not_checked[0]


def test_a_key_that_was_replaced_stays_good_for_what_it_signed(
    house: House, tmp_path: Path
) -> None:
    before = Keys(tmp_path / "before")
    old = before.sign(b"")[1]
    for run in RUNS[:2]:
        signed_anew(house, run, before)
    checked = check(house.reports, (house.key,), seal.head_of(house.state), others=(old,))
    assert (checked.findings, checked.not_checked) == ((), ())


@pytest.mark.parametrize("text", ["[" * 100_000, '{"number": []}', "[1]", '{"previous": 1}'])
def test_a_place_in_the_chain_that_makes_no_sense_is_found(house: House, text: str) -> None:
    (house.reports / RUNS[1] / "chain.json").write_text(text)
    assert (RUNS[1], "chain.json") in {(f.run, f.file) for f in house.check().findings}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"number": []}', "[1]", '{"sha256": null}'])
def test_a_head_that_makes_no_sense_is_refused(house: House, text: str) -> None:
    (house.state / seal.HEAD).write_text(text)
    with pytest.raises(PreconditionError, match="cannot be read"):
        house.check()


def test_without_a_public_key_it_says_what_was_not_checked(house: House) -> None:
    checked = check(house.reports, (), seal.head_of(house.state))
    assert checked.exit_code == ExitCode.INCONCLUSIVE
    assert checked.not_checked == ("signatures not checked: no public key is known here",)


def test_a_part_of_a_chain_may_be_checked_by_itself(house: House) -> None:
    shutil.rmtree(house.reports / RUNS[0])
    assert check(house.reports, (house.key,), None, whole=False).findings == ()
    gone = Finding(RUNS[0], "", f"is missing (1 run(s) before {RUNS[1]})")
    assert check(house.reports, (house.key,), None).findings == (gone,)


def test_a_run_that_was_sealed_but_not_remembered_is_followed(house: House) -> None:
    kept = (house.state / seal.HEAD).read_bytes()
    house.add("20260401T000000Z-drill-dddd")
    (house.state / seal.HEAD).write_bytes(kept)  # killed in between
    assert house.check().findings == ()
    house.add("20260501T000000Z-drill-eeee")
    assert house.check().findings == ()


def test_sha256sum_and_openssl_alone_can_check_a_run(house: House) -> None:
    folder = house.reports / RUNS[1]
    sums = ["sha256sum", "--quiet", "-c", "SHA256SUMS"]
    subprocess.run(sums, cwd=folder, check=True)
    key = house.state / "keys" / PUBLIC
    argv = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key), "-rawin"]
    argv += ["-in", "SHA256SUMS", "-sigfile", "SHA256SUMS.sig"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
    assert "Verified Successfully" in done.stdout


def test_keys_are_private_and_their_fingerprint_is_that_of_the_file(house: House) -> None:
    folder = house.state / "keys"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o600}
    assert read_public(folder / PUBLIC) == house.key


def test_the_examples_are_what_they_were() -> None:
    folder = CHECKOUT / "reports" / "examples"
    keys = sorted(folder.glob("*.pub.pem"))
    assert keys
    for key in keys:
        chain = folder / key.name.removesuffix(".pub.pem")
        checked = check(chain, (read_public(key),), None)
        assert checked.runs > 0
        assert checked.findings == ()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size < 2 * MB
