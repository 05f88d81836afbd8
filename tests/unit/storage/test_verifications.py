from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from archon_ops.errors import UntrustworthyError
from archon_ops.model.backup import Verification
from archon_ops.storage.names import verify_path
from archon_ops.storage.verifications import KEPT, append_verification, read_verifications

RUN = "20251217T100648Z-0a1b"


@pytest.fixture
def look(now: datetime) -> Verification:
    return Verification(now, "checksum", False, ("checksum differs",), "ab" * 32, 1.5, ("index",))


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return tmp_path / "archon_postgres-20251217_100648.dump"


def test_looks_are_added_up(dump: Path, look: Verification) -> None:
    assert read_verifications(dump) == ()
    later = replace(look, at=look.at + timedelta(hours=1), passed=True, problems=())
    append_verification(dump, look, RUN)
    append_verification(dump, later, RUN)
    assert read_verifications(dump) == (look, later)


def test_the_last_proof_outlives_many_looks(dump: Path, look: Verification) -> None:
    proof = replace(look, method="restore", passed=True, problems=())
    for number in (proof, *[look] * (KEPT + 5)):
        append_verification(dump, number, RUN)
    found = read_verifications(dump)
    assert found[0] == proof
    assert len(found) == KEPT + 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"format": 9, "verifications": []}',
        b'{"format": 1}',
        b'{"format": 1, "verifications": [{"at": 1}]}',
        b'{"format": 1, "verifications": [{"at": "2025-12-17T10:00:00", "method": "checksum",'
        b' "passed": true, "problems": [], "sha256": "", "seconds": 1.0}]}',
    ],
)
def test_damaged_results_are_said_and_begun_anew(
    dump: Path, look: Verification, data: bytes
) -> None:
    verify_path(dump).write_bytes(data)
    with pytest.raises(UntrustworthyError, match="cannot be read"):
        read_verifications(dump)
    append_verification(dump, look, RUN)
    assert read_verifications(dump) == (look,)
