from __future__ import annotations

from pathlib import Path

from archon_ops.storage.names import (
    dump_of,
    is_dump_file,
    is_temporary,
    manifest_path,
    printable,
    shown,
    verify_path,
)


def test_what_lies_beside_a_dump() -> None:
    dump = Path("/b/archon_postgres-20251217_100000-x.dump")
    assert manifest_path(dump) == Path("/b/archon_postgres-20251217_100000-x.json")
    assert verify_path(dump) == Path("/b/archon_postgres-20251217_100000-x.verify.json")


def test_the_dump_of_a_sidecar_of_ours() -> None:
    dump = "archon_postgres-20251217_100000.dump"
    assert dump_of("archon_postgres-20251217_100000.json") == dump
    assert dump_of("archon_postgres-20251217_100000.verify.json") == dump
    for other in ("package.json", "x.verify.json", dump, "archon_postgres-BEFORE.json"):
        assert dump_of(other) is None


def test_which_names_are_dumps() -> None:
    assert is_dump_file("anything.dump")
    assert not is_dump_file(".tmp-x.dump")
    assert not is_dump_file("a.dump.gpg")
    assert is_temporary(".tmp-x")


def test_names_that_cannot_be_shown() -> None:
    assert printable("наш dump.dump")
    assert not printable("a\x1b[31m.dump")
    assert not printable("a\udcff.dump")
    assert shown("a\n") == "'a\\n'"
    assert shown("plain") == "plain"
