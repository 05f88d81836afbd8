from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.model.backup import Manifest
from archon_ops.storage import manifest as manifests
from archon_ops.storage.keys import Keys
from archon_ops.storage.names import manifest_path

RUN = "20251217T100648Z-0a1b"
Document = dict[str, Any]


@pytest.fixture
def dump(tmp_path: Path, manifest: Manifest) -> Path:
    path = tmp_path / manifest.name
    manifests.write(path, manifest, RUN)
    return path


def change(dump: Path, edit: Callable[[Document], object], *, seal: bool = False) -> None:
    path = manifest_path(dump)
    document = json.loads(path.read_text())
    edit(document)
    if seal:
        document.pop("digest", None)
        document["digest"] = manifests._digest(document)
    path.write_text(json.dumps(document))


def test_a_manifest_comes_back_as_it_was(dump: Path, manifest: Manifest) -> None:
    assert manifests.read(dump) == manifest
    text = manifest_path(dump).read_text()
    assert "\n  " in text
    assert stat.S_IMODE(manifest_path(dump).stat().st_mode) == 0o600


def test_it_is_never_overwritten(dump: Path, manifest: Manifest) -> None:
    with pytest.raises(PreconditionError, match="exists already"):
        manifests.write(dump, manifest, RUN)


def test_none_where_there_is_none(tmp_path: Path) -> None:
    assert manifests.read(tmp_path / "x.dump") is None


def test_other_white_space_is_no_edit(dump: Path, manifest: Manifest) -> None:
    change(dump, lambda _: None)
    assert manifests.read(dump) == manifest


EDITS: list[Callable[[Document], object]] = [
    lambda d: d.update(size_bytes=4),
    lambda d: d.update(sha256="00" * 32),
    lambda d: d["tables"][0].update(rows=11),
    lambda d: d["inventory"].clear(),
    lambda d: d.update(extra=1),
    lambda d: d.pop("roles"),
    lambda d: d.pop("digest"),
    lambda d: d.update(digest=None),
    lambda d: d.update(database_bytes=float("nan"), digest=None),
]


@pytest.mark.parametrize("edit", EDITS)
def test_any_edit_shows(dump: Path, edit: Callable[[Document], object]) -> None:
    change(dump, edit)
    with pytest.raises(UntrustworthyError, match="changed after it was written"):
        manifests.read(dump)


FORGERIES: list[Callable[[Document], object]] = [
    lambda d: d.update(size_bytes="3"),
    lambda d: d.update(size_bytes=-1),
    lambda d: d.update(sha256="xyz"),
    lambda d: d.update(snapshot_at="2025-12-17T10:00:00"),
    lambda d: d.update(snapshot_at=5),
    lambda d: d.pop("tables"),
    lambda d: d["server"].pop("major"),
    lambda d: d.update(tables={}),
]


@pytest.mark.parametrize("edit", FORGERIES)
def test_a_sealed_one_must_still_make_sense(dump: Path, edit: Callable[[Document], object]) -> None:
    change(dump, edit, seal=True)
    with pytest.raises(UntrustworthyError, match=r"malformed|cannot be"):
        manifests.read(dump)


def test_one_of_another_backup_shows(dump: Path) -> None:
    other = dump.with_name("archon_postgres-20251217_100649.dump")
    manifest_path(dump).rename(manifest_path(other))
    with pytest.raises(UntrustworthyError, match="another backup"):
        manifests.read(other)


@pytest.mark.parametrize(
    ("number", "said"), [(2, "newer archon_ops"), (0, "no format"), ("1", "no format")]
)
def test_other_formats(dump: Path, number: object, said: str) -> None:
    change(dump, lambda document: document.update(format=number), seal=True)
    with pytest.raises(UntrustworthyError, match=said):
        manifests.read(dump)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 9999],
)
def test_rubbish_is_said_to_be_rubbish(dump: Path, data: bytes) -> None:
    manifest_path(dump).write_bytes(data)
    with pytest.raises(UntrustworthyError, match="manifest archon_postgres"):
        manifests.read(dump)


def test_a_pipe_or_a_link_in_its_place_is_not_opened(dump: Path, tmp_path: Path) -> None:
    path = manifest_path(dump)
    path.rename(tmp_path / "real.json")
    path.symlink_to(tmp_path / "real.json")
    with pytest.raises(UntrustworthyError, match="symbolic link"):
        manifests.read(dump)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UntrustworthyError, match="named pipe"):
        manifests.read(dump)


def test_one_too_long_is_not_read(dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "SIZE_LIMIT", 100)
    with pytest.raises(UntrustworthyError, match="longer"):
        manifests.read(dump)


def _signed(folder: Path, dump: Path, manifest: Manifest) -> Keys:
    keys = Keys(folder / "state")
    manifests.write(dump, manifest, RUN, keys.sign)
    return keys


def test_a_signature_is_known_by_its_key_and_does_not_change_the_manifest(
    tmp_path: Path, manifest: Manifest
) -> None:
    dump = tmp_path / manifest.name
    keys = _signed(tmp_path, dump, manifest)
    assert manifests.read(dump) == manifest
    signed = manifests.signed_by(dump, keys.known())
    assert signed is not None
    assert (signed.known, len(signed.key)) == (True, 16)
    stranger = manifests.signed_by(dump, ())
    assert stranger == manifests.Signed(signed.key, known=False)


def test_a_manifest_that_was_changed_with_its_digest_is_told_by_its_signature(
    tmp_path: Path, manifest: Manifest
) -> None:
    dump = tmp_path / manifest.name
    keys = _signed(tmp_path, dump, manifest)
    path = manifest_path(dump)
    document = json.loads(path.read_bytes())
    signature = document.pop("signature")
    del document["digest"]
    document["label"] = "forged"
    forged = {**document, "digest": manifests._digest(document), "signature": signature}
    path.write_text(json.dumps(forged))
    assert manifests.read(dump) == replace(manifest, label="forged")
    with pytest.raises(UntrustworthyError, match="did not make"):
        manifests.signed_by(dump, keys.known())


def test_an_unsigned_manifest_is_nobodys(tmp_path: Path, manifest: Manifest) -> None:
    dump = tmp_path / manifest.name
    manifests.write(dump, manifest, RUN)
    assert manifests.signed_by(dump, ()) == manifests.Signed("", known=False)
    assert manifests.signed_by(tmp_path / "none.dump", ()) is None
