from __future__ import annotations

import subprocess
import sys

import pytest

from archon_ops.rig import corpus

DIGEST = """
import hashlib
from archon_ops.rig import corpus
print(hashlib.sha256("".join(map(repr, corpus.pages())).encode()).hexdigest())
"""


@pytest.mark.slow
def test_same_pages_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=240,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


@pytest.mark.slow
def test_pages_are_many_and_their_addresses_unique() -> None:
    pages = list(corpus.pages())
    assert len({page.url for page in pages}) == len(pages) > 100
    assert sum(len(page.chunks) for page in pages) > 500
    assert sum(len(page.examples) for page in pages) > 1000


def test_text_fits_postgresql_and_chunks_have_their_size() -> None:
    for page in corpus.pages():
        assert page.chunks
        for text in (page.text, *page.chunks, *(e.code + e.summary for e in page.examples)):
            assert "\0" not in text
            text.encode()
        assert max(map(len, page.chunks)) <= corpus.CHUNK_CHARACTERS + 2
        assert all(len(e.code) <= corpus.MAX_CODE_CHARACTERS for e in page.examples)


def test_chunks_hold_the_whole_text() -> None:
    text = "\n\n".join(f"Paragraph {n}: " + "word " * n for n in range(0, 400, 7))
    chunks = corpus.chunked(text)
    assert "".join("".join(chunks).split()) == "".join(text.split())
    assert len(chunks) > 10


def test_a_text_without_content_has_no_chunks() -> None:
    assert corpus.chunked("") == corpus.chunked("\n\n\n") == ()
