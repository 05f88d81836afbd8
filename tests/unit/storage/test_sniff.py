from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.storage.sniff import CUSTOM_FORMAT, require_custom_format, what_is
from tests.support import TMP, require


def tar_bytes() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("toc.dat"), io.BytesIO(b""))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PGDMP\x01\x10", CUSTOM_FORMAT),
        (b"", "an empty file"),
        (bytes(9000), "a file of zero bytes"),
        (gzip.compress(b"x", mtime=0), "a gzip file"),
        (b"\x28\xb5\x2f\xfd1234", "a zstd file"),
        (b"age-encryption.org/v1\n-> X", "a file encrypted with age"),
        (b"-----BEGIN PGP MESSAGE-----\n", "a file encrypted with gpg"),
        (b"\x8c\x0d\x04\x09\x03\x02ab", "a file encrypted with gpg"),
        (b"\x85\x01\x0c\x03abcd", "a file encrypted with gpg"),
        (tar_bytes(), "a tar file (perhaps a dump made with pg_dump -Ft)"),
        (b"--\n-- PostgreSQL database dump\n--\n", "plain SQL text"),
        (b"CREATE TABLE x();\n", "plain SQL text"),
        (b"hello there\n", "plain text"),
        ("я".encode() * 2047 + b"xyz", "plain text"),
        (b"\xff\xfe\x00\x01" * 40, "binary data of an unknown kind"),
        (b"text\x00with zero", "binary data of an unknown kind"),
    ],
)
def test_what_a_file_looks_like(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.dump"
    path.write_bytes(data)
    assert what_is(path) == said
    if said == CUSTOM_FORMAT:
        require_custom_format(path)
    else:
        with pytest.raises(UntrustworthyError, match="not a custom-format dump") as caught:
            require_custom_format(path)
        assert said in caught.value.message


def test_a_character_cut_by_the_head_is_still_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 4095 + "я".encode())
    assert what_is(tmp_path / "a") == "plain text"


def test_what_gpg_really_writes(tmp_path: Path) -> None:
    require(shutil.which("gpg"), "the package gnupg")
    (tmp_path / "a").write_bytes(b"PGDMP")
    with tempfile.TemporaryDirectory(prefix="gpg-", dir=TMP) as home:
        argv = ["gpg", "--homedir", home, "--batch", "--passphrase", "x"]
        argv += ["--pinentry-mode", "loopback", "--symmetric", str(tmp_path / "a")]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
        stop = ["gpgconf", "--homedir", home, "--kill", "all"]  # the agent that gpg started
        subprocess.run(stop, check=True, capture_output=True, timeout=60)
    assert what_is(tmp_path / "a.gpg") == "a file encrypted with gpg"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dump")
    with pytest.raises(PreconditionError, match="named pipe"):
        what_is(tmp_path / "pipe.dump")
