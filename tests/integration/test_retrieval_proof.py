"""The proof of a restore, as an operator sees it, covers what searches answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from archon_ops.model.backup import Manifest
from archon_ops.storage import manifest as manifests
from archon_ops.storage.names import manifest_path
from tests.support import Installation

pytestmark = pytest.mark.slow

VERIFY = ("verify", "latest", "--restore", "--json")


def rewrite(installation: Installation, change: Callable[[Manifest], Manifest]) -> None:
    """Seal another manifest in place of that of the latest backup."""
    dump = installation.latest_dump()
    made = manifests.read(dump)
    assert made is not None
    manifest_path(dump).write_bytes(manifests.encode(change(made)))


def other_answer(manifest: Manifest) -> Manifest:
    """Let one neighbour of one answer be another row."""
    assert manifest.retrieval is not None
    first, *more = manifest.retrieval.searches
    answer, *answers = first.answers
    changed = replace(answer, nearest=("0", *answer.nearest[1:]))
    search = replace(first, answers=(changed, *answers))
    return replace(manifest, retrieval=replace(manifest.retrieval, searches=(search, *more)))


def test_a_restore_tells_what_it_asked(installation: Installation) -> None:
    done = installation.run("restore", "latest", "--scope", "database", "--yes", "--json").ok()
    retrieval = done.json["proof"]["retrieval"]
    assert (retrieval["equal"], retrieval["differences"]) == (True, [])
    assert retrieval["questions"] > 10
    assert (len(retrieval["recall"]), len(retrieval["functions"])) == (8, 8)
    assert retrieval["credentials"] == "decrypted"


def test_an_answer_that_differs_fails_the_proof(installation: Installation) -> None:
    rewrite(installation, other_answer)
    done = installation.run("verify", "latest", "--restore").ended(4)
    assert "1 of 1 answers differ" in done.stderr
    before = installation.content()
    refused = installation.run("restore", "latest", "--scope", "database", "--yes").ended(4)
    assert "nothing was switched" in refused.stderr
    assert installation.content() == before


def test_a_backup_older_than_the_record_still_reads(installation: Installation) -> None:
    rewrite(installation, lambda made: replace(made, retrieval=None))
    manifest = manifest_path(installation.latest_dump())
    manifest.write_bytes(without_the_field(manifest.read_bytes()))
    assert installation.run("verify", "latest").ok()
    (found,) = installation.run(*VERIFY).ended(5).json["backups"]
    assert found["not_proven"] == ["search answers: the backup is older than the record of them"]


def without_the_field(data: bytes) -> bytes:
    """The manifest as versions wrote it that knew nothing of retrieval."""

    document = json.loads(data)
    del document["retrieval"], document["digest"]
    return json.dumps({**document, "digest": manifests._digest(document)}).encode()


def test_the_key_at_hand_is_tried_on_what_was_restored(installation: Installation) -> None:
    site = installation.site()
    env = site.settings.home(site.name) / ".env"
    env.write_text('ENCRYPTION_KEY="another one"\n')
    (found,) = installation.run(*VERIFY).ended(5).json["backups"]
    assert found["proof"]["retrieval"]["credentials"] == "not decrypted"
    assert "ENCRYPTION_KEY decrypts 0 of 1" in found["not_proven"][0]
    assert "another one" not in str(found)
    env.unlink()
    done = installation.run("restore", "latest", "--scope", "database", "--yes", "--json").ok()
    assert done.json["proof"]["retrieval"]["credentials"] == "not checked"
