from __future__ import annotations

from itertools import islice

import pytest

from archon_ops.rig import corpus, pieces


def test_as_many_as_asked_for() -> None:
    assert [piece.number for piece in pieces.chunks(37)] == list(range(37))
    assert list(pieces.examples(0)) == []


@pytest.mark.slow
def test_addresses_stay_unique_when_the_text_begins_anew() -> None:
    in_all = sum(len(page.chunks) for page in corpus.pages())
    found = list(pieces.chunks(2 * in_all + 5))
    assert len({(piece.url, piece.position) for piece in found}) == len(found)
    assert {piece.edition for piece in found} == {0, 1, 2}
    assert found[in_all].content == found[0].content
    assert found[in_all].url != found[0].url


def test_more_rows_do_not_change_the_first_ones() -> None:
    assert list(pieces.examples(50)) == list(islice(pieces.examples(500), 50))


def test_every_dimension_occurs_and_1536_prevails() -> None:
    found = [piece.dimension for piece in pieces.chunks(32)]
    assert set(found) == set(pieces.MODELS)
    assert found.count(1536) > 20
