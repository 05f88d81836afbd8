"""Both ways of encryption: what is ours is opened by age and gpg themselves, and the reverse."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest
from pydantic import SecretStr

from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError, UsageError
from archon_ops.storage.cipher import Cipher, Keys, cipher_for, decrypt, encrypted_with
from tests.s3 import age_key
from tests.support import TMP, require, wait_until

CONTENT = b"PGDMP" + os.urandom(300_000)
WORD = SecretStr('a pass\\phrase „äöü“ $(id)"')


@dataclass(frozen=True)
class Way:
    """A way of encryption: how to encrypt, with what to decrypt, and what does not."""

    cipher: Cipher
    keys: Keys
    wrong: Keys


@pytest.fixture(scope="module")
def keyring() -> Iterator[str]:
    """A keyring of gpg with one key of its own; the address of the key."""
    require(which("gpg"), "the package gnupg")
    with pytest.MonkeyPatch.context() as patch, gpg_home() as home:
        patch.setenv("GNUPGHOME", str(home))
        say = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key"]
        subprocess.run([*say, "ops@example.org", "rsa2048", "encr", "never"], check=True)
        kill_agent(home)
        yield "ops@example.org"


@pytest.fixture(params=["age", "gpg", "gpg-symmetric"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    if request.param == "age":
        path, public = age_key(tmp_path)
        (tmp_path / "other").mkdir()
        return made([public], None, Keys(path), Keys(age_key(tmp_path / "other")[0]))
    keyring = request.getfixturevalue("keyring")
    if request.param == "gpg":
        return made([keyring], None, Keys(), Keys())
    return made([], WORD, Keys(passphrase=WORD), Keys(passphrase=SecretStr("cana-ry")))


def made(recipients: list[str], word: SecretStr | None, keys: Keys, wrong: Keys) -> Way:
    cipher = cipher_for(recipients, word)
    assert cipher is not None
    return Way(cipher, keys, wrong)


@contextmanager
def gpg_home() -> Iterator[Path]:
    """An empty folder for gpg, whose daemon has ended when it is removed."""
    with tempfile.TemporaryDirectory(prefix="gpg-", dir=TMP) as name:
        try:
            yield Path(name)
        finally:
            kill_agent(Path(name))


def kill_agent(home: Path) -> None:
    say = ["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"]
    subprocess.run(say, check=True)
    wait_until(lambda: not agents(home), 30, "gpg-agent has ended")


def agents(home: Path) -> list[str]:
    """The processes that serve a folder of gpg."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"gpg-agent") and str(home).encode() in argv:
                found.append(process.name)
    return found


def encrypt(way: Way, folder: Path, content: bytes = CONTENT) -> Path:
    plain, sealed = folder / "x.dump", folder / f"x.dump{way.cipher.suffix}"
    plain.write_bytes(content)
    with sealed.open("wb") as file:
        way.cipher.encrypt(plain, file.write)
    return sealed


def opened(path: Path, keys: Keys) -> bytes:
    data = bytearray()
    decrypt(path, keys, data.extend)
    return bytes(data)


@pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=["empty", "small", "large"])
def test_what_was_encrypted_comes_back(way: Way, tmp_path: Path, content: bytes) -> None:
    sealed = encrypt(way, tmp_path, content)
    assert encrypted_with(sealed) == way.cipher.name
    assert content != CONTENT or content[:50] not in sealed.read_bytes()
    assert opened(sealed, way.keys) == content


def test_no_bit_may_flip(way: Way, tmp_path: Path) -> None:
    sealed = encrypt(way, tmp_path)
    data = sealed.read_bytes()
    for place in (len(data) // 2, len(data) - 1):
        sealed.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(UntrustworthyError, match="damaged or cut short"):
            opened(sealed, way.keys)


def test_nothing_may_be_cut_off(way: Way, tmp_path: Path) -> None:
    sealed = encrypt(way, tmp_path)
    data = sealed.read_bytes()
    for length in (len(data) - 65_600, len(data) - 1):
        sealed.write_bytes(data[:length])
        with pytest.raises(UntrustworthyError, match="damaged or cut short"):
            opened(sealed, way.keys)


def test_another_key_opens_nothing(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = encrypt(way, tmp_path)
    with gpg_home() as home:
        if way.cipher.readers == ("ops@example.org",):
            monkeypatch.setenv("GNUPGHOME", str(home))
        with pytest.raises(PreconditionError) as told:
            opened(sealed, way.wrong)
    assert "x.dump" in told.value.message
    assert "cana-ry" not in told.value.message


def test_a_full_disk_is_not_taken_for_damage(way: Way, tmp_path: Path) -> None:
    def full(_block: bytes) -> None:
        raise OpsError("no space left")

    sealed = encrypt(way, tmp_path)
    with pytest.raises(OpsError, match="no space left"):
        way.cipher.encrypt(sealed, full)
    with pytest.raises(OpsError, match="no space left"):
        decrypt(sealed, way.keys, full)


def test_age_itself_reads_what_we_write_and_we_what_it_writes(tmp_path: Path) -> None:
    age = which("age")
    require(age, "the package age")
    assert age
    path, public = age_key(tmp_path)
    ours = encrypt(made([public], None, Keys(path), Keys()), tmp_path)
    said = subprocess.run([age, "-d", "-i", path, ours], check=True, capture_output=True)
    assert said.stdout == CONTENT
    theirs = tmp_path / "theirs.age"
    plain = tmp_path / "x.dump"
    subprocess.run([age, "-r", public, "-o", theirs, plain], check=True)
    assert opened(theirs, Keys(path)) == CONTENT


@pytest.mark.slow
def test_gpg_itself_reads_what_we_write_and_we_what_the_handbook_writes(
    keyring: str, tmp_path: Path
) -> None:
    gpg = which("gpg")
    assert gpg
    word = tmp_path / "word"
    word.write_text(WORD.get_secret_value())
    say = [gpg, "--batch", "--pinentry-mode", "loopback", "--passphrase-file", str(word)]
    ours = encrypt(made([], WORD, Keys(), Keys()), tmp_path)
    done = subprocess.run([*say, "--decrypt", ours], check=True, capture_output=True)
    assert done.stdout == CONTENT
    ours.unlink()
    plain = str(tmp_path / "x.dump")
    subprocess.run([*say, "--symmetric", "--cipher-algo", "AES256", plain], check=True)
    assert opened(tmp_path / "x.dump.gpg", Keys(passphrase=WORD)) == CONTENT


def test_a_passphrase_is_asked_for_where_somebody_is_there(keyring: str, tmp_path: Path) -> None:
    sealed = encrypt(made([], WORD, Keys(), Keys()), tmp_path)
    asked: list[str] = []

    def ask(prompt: str) -> SecretStr:
        asked.append(prompt)
        return WORD

    assert opened(sealed, Keys(ask=ask)) == CONTENT
    assert asked == ["Passphrase of x.dump.gpg: "]
    with pytest.raises(PreconditionError, match="wants a passphrase") as told:
        opened(sealed, Keys())
    assert "--passphrase-fd" in told.value.hint


def test_gpgs_daemon_starts_only_for_private_keys_and_knows_nothing_of_ours(
    keyring: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(os.environ["GNUPGHOME"])
    kill_agent(home)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "cana-ry")
    with_word = made([], WORD, Keys(passphrase=WORD), Keys())
    opened(encrypt(with_word, tmp_path), with_word.keys)
    sealed = encrypt(made([keyring], None, Keys(), Keys()), tmp_path)
    assert agents(home) == []
    assert opened(sealed, Keys()) == CONTENT
    # Whoever began it has ended by then, and may still be there for a moment.
    wait_until(lambda: len(agents(home)) == 1, 30, "one gpg-agent")
    (agent,) = agents(home)
    told = Path("/proc", agent, "environ").read_bytes()
    assert f"GNUPGHOME={home}".encode() in told
    assert b"cana-ry" not in told


def test_an_armoured_file_wants_a_passphrase_only_if_one_opens_it(
    keyring: str, tmp_path: Path
) -> None:
    say = ["gpg", "--batch", "--quiet", "--armor", "--trust-model", "always"]
    plain = tmp_path / "x.dump"
    plain.write_bytes(CONTENT)
    subprocess.run([*say, "--recipient", keyring, "--encrypt", str(plain)], check=True)
    assert opened(tmp_path / "x.dump.asc", Keys()) == CONTENT
    (tmp_path / "x.dump.asc").unlink()
    word = ["--pinentry-mode", "loopback", "--passphrase", "cana-ry"]
    subprocess.run([*say, *word, "--symmetric", str(plain)], check=True)
    with pytest.raises(PreconditionError, match="wants a passphrase"):
        opened(tmp_path / "x.dump.asc", Keys())
    assert opened(tmp_path / "x.dump.asc", Keys(passphrase=SecretStr("cana-ry"))) == CONTENT


@pytest.mark.parametrize(
    "recipients", [["age1nonsense"], ["age1x", "ops@example.org"], ["--output=/etc/x"], [""]]
)
def test_what_is_no_recipient_is_refused(recipients: list[str]) -> None:
    with pytest.raises(UsageError):
        cipher_for(recipients, None)


def test_gpg_does_not_know_everybody(keyring: str, tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="does not know a recipient"):
        encrypt(made(["nobody@example.org"], None, Keys(), Keys()), tmp_path)
