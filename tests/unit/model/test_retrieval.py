from __future__ import annotations

from dataclasses import replace

import pytest

from archon_ops.model.retrieval import (
    Answer,
    Credentials,
    FoundRetrieval,
    FunctionLook,
    IndexLook,
    Retrieval,
    Search,
    VectorIndex,
    found_of,
    same,
)
from archon_ops.model.retrieval_proof import compare

ANSWER = Answer("7", ("7", "3", "9"), (0.0, 0.25, 0.5))
SEARCH = Search("public", "pages", "embedding_384", "<=>", "", (ANSWER,))
INDEX = VectorIndex("public.i", "CREATE INDEX i ON public.pages USING ivfflat (e) WITH (lists='9')")
LOOK = IndexLook(INDEX.name, INDEX.definition, True, True, 0, (0.9,))
EXPECTED = Retrieval((SEARCH,), (INDEX,))
FOUND = FoundRetrieval(
    (SEARCH,),
    (LOOK,),
    (FunctionLook("public.match_archon_pages()", 10),),
    Credentials(1, "ENCRYPTION_KEY", 1),
)


def notes(found: FoundRetrieval, expected: Retrieval | None = EXPECTED) -> tuple[str, ...]:
    """What is not proven where nothing differs."""
    proof, found_notes = compare(expected, found, same_major=True, unchanged=())
    assert proof.equal
    return found_notes


def differences(found: FoundRetrieval, *, same_major: bool = True) -> tuple[str, ...]:
    proof, _ = compare(EXPECTED, found, same_major=same_major, unchanged=())
    assert proof.equal == (not proof.differences)
    return proof.differences


def test_the_same_is_equal_and_tells_what_was_asked() -> None:
    proof, unproven = compare(EXPECTED, FOUND, same_major=True, unchanged=())
    assert unproven == ()
    assert proof.document() == {
        "equal": True,
        "differences": [],
        "questions": 1,
        "recall": {"public.i": 0.9},
        "functions": {"public.match_archon_pages()": 10},
        "credentials": "decrypted",
    }


@pytest.mark.parametrize(
    ("nearest", "distances", "equal"),
    [
        (("7", "3", "9"), (0.0, 0.250001, 0.5), True),  # another processor
        (("7", "3", "8"), (0.0, 0.25, 0.5), False),  # with so few, nobody was cut off
        (("7", "9", "3"), (0.0, 0.25, 0.5), False),
        (("7", "3", "8"), (0.0, 0.25, 0.4), False),
        (("7", "3", "9"), (0.0, 0.26, 0.5), False),
        (("7", "3"), (0.0, 0.25), False),
        ((), (), False),
    ],
)
def test_only_what_is_equally_far_away_may_change_places(
    nearest: tuple[str, ...], distances: tuple[float, ...], equal: bool
) -> None:
    other = Answer("7", nearest, distances)
    assert (same(ANSWER, other), same(other, ANSWER)) == (equal, equal)


def test_ties_change_places_and_stand_for_each_other_at_the_edge() -> None:
    a = Answer("0", tuple("0123456789"), (0.0, 0.4, 0.4, *(0.5,) * 7))
    assert same(a, replace(a, nearest=tuple("0213456789")))
    assert same(a, replace(a, nearest=tuple("012345678x")))
    assert not same(a, replace(a, nearest=tuple("01x3456789")))


def test_an_index_may_find_another_row_that_is_as_near() -> None:
    assert found_of(ANSWER, [("7", 0.0), ("x", 0.5), ("y", 0.5), ("z", 0.5), ("far", 0.6)]) == 3
    assert found_of(ANSWER, [("7", 0.0), ("far", 0.6)]) == 1


@pytest.mark.parametrize(
    ("look", "line"),
    [
        (replace(LOOK, valid=False), "not valid"),
        (replace(LOOK, used=False), "the planner does not use it"),
        (replace(LOOK, missed=2), "2 nearest neighbours are not in it"),
        (
            replace(LOOK, recalls=(0.3, 0.9, 0.8, 0.9, 0.9)),
            "it finds 30% of the nearest neighbours, the median of 5 builds 90%",
        ),
        (
            replace(LOOK, definition=INDEX.definition.replace("9", "8")),
            f"is {INDEX.definition.replace('9', '8')}, was {INDEX.definition}",
        ),
    ],
)
def test_an_index_that_is_not_sound(look: IndexLook, line: str) -> None:
    assert differences(replace(FOUND, indexes=(look,))) == (f"vector index public.i: {line}",)


def test_a_poor_build_among_poor_ones_is_as_good_as_they_are() -> None:
    assert not differences(replace(FOUND, indexes=(replace(LOOK, recalls=(0.4, 0.5, 0.6)),)))


def test_another_major_prints_definitions_otherwise() -> None:
    other = replace(FOUND, indexes=(replace(LOOK, definition="CREATE INDEX otherwise"),))
    assert not differences(other, same_major=False)
    assert differences(other)


def test_what_is_not_there_any_more() -> None:
    assert differences(FoundRetrieval()) == (
        "search of public.pages by embedding_384 <=>: there is no such column any more",
        "vector index public.i: missing",
    )
    silent = replace(SEARCH, answers=())
    assert "answers differ" in differences(replace(FOUND, searches=(silent,)))[0]
    broken = replace(SEARCH, answers=(), unanswered="no")
    assert differences(replace(FOUND, searches=(broken,)))[0].endswith("<=>: no")


def test_what_was_no_answer_then_is_none_now() -> None:
    silent = Retrieval((replace(SEARCH, answers=(), unanswered="no key"),), (INDEX,))
    assert notes(FOUND, silent) == ("search of public.pages by embedding_384 <=>: no key",)


@pytest.mark.parametrize(
    ("credentials", "answer", "line"),
    [
        (Credentials(0, None, 0), "none", ""),
        (Credentials(2, "ENCRYPTION_KEY", 2), "decrypted", ""),
        (Credentials(2, None, 0), "not checked", ""),
        (Credentials(2, "ENCRYPTION_KEY", 1), "not decrypted", "decrypts 1 of 2"),
    ],
)
def test_credentials_stop_no_restore_but_are_told(
    credentials: Credentials, answer: str, line: str
) -> None:
    found = replace(FOUND, credentials=credentials)
    told = notes(found)
    assert len(told) == bool(line)
    assert line in "".join(told)
    proof, _ = compare(EXPECTED, found, same_major=True, unchanged=())
    assert proof.credentials == answer
