from __future__ import annotations

import pytest

from archon_ops.model.pitr.verified import parse_verify

MB = 1 << 20
# As pgBackRest 2.55.1 printed it.
DAMAGED = """\
2026-11-24 15:27:11.150 P02   INFO: invalid checksum '20261124-151537F/bundle/1'
2026-11-24 15:27:11.694 P00 DETAIL: archiveId: 17-1, wal start: 000000010000000000000001, wal stop\
: 000000010000000000000003
stanza: archon
status: error
  archiveId: 17-1, total WAL checked: 3, total valid WAL: 3
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261124-151537F, status: invalid, total files checked: 1095, total valid files: 1094
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
"""
WELL = (
    DAMAGED.partition("\n")[2].replace("status: error", "status: ok").replace("invalid,", "valid,")
)


def test_all_is_as_written() -> None:
    found = parse_verify(WELL, 16 * MB)
    assert found.problems == ()
    assert found.backups == {"20261124-151537F": True}
    assert found.files == 1095


def test_what_is_damaged_is_named() -> None:
    found = parse_verify(DAMAGED, 16 * MB)
    assert found.problems == (
        "invalid checksum: 20261124-151537F/bundle/1",
        "backup 20261124-151537F is not valid",
    )


def test_a_gap_in_the_wal() -> None:
    later = WELL.replace("000000010000000000000001", "000000010000000000000005")
    later = later.replace("000000010000000000000003", "000000010000000000000009")
    (problem,) = parse_verify(WELL + later, 16 * MB).problems
    assert "missing between 000000010000000000000003 and 000000010000000000000005" in problem
    # That of the server before an upgrade ended wherever it did.
    assert parse_verify(WELL.replace("17-1", "15-1") + later, 16 * MB).problems == ()
    # Another timeline may begin anywhere.
    other = later.replace("wal start: 00000001", "wal start: 00000002")
    assert parse_verify(WELL + other.replace("stop: 00000001", "stop: 00000002"), MB).problems == ()


@pytest.mark.parametrize("text", ["", WELL.replace("status: ok", "status: error", 1)])
def test_it_never_passes_over_what_it_does_not_understand(text: str) -> None:
    assert parse_verify(text, 16 * MB).problems != ()
