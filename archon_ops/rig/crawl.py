"""The rows of the four tables that a crawl fills: sources, pages, chunks and code examples."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from archon_ops.rig import vectors
from archon_ops.rig.corpus import Page
from archon_ops.rig.pieces import MODELS, Piece, chunks, examples
from archon_ops.rig.table import Row, Table, columns, identity, moment

# Rows whose vectors are made at once: about 1.6 MB of float32.
_BATCH = 256
# A crawl takes its time: so far apart, in minutes, are rows that follow each other.
_STEP = 0.25

_SOURCE = columns(
    "source_id:text source_url:text source_display_name:text summary:text total_word_count:int4 "
    "title:text metadata:jsonb created_at:timestamptz updated_at:timestamptz"
)
_PAGE = columns(
    "id:uuid source_id:text url:text full_content:text section_title:text section_order:int4 "
    "word_count:int4 char_count:int4 chunk_count:int4 created_at:timestamptz "
    "updated_at:timestamptz metadata:jsonb"
)
_PIECE = columns(
    "id:int8 url:varchar chunk_number:int4 content:text metadata:jsonb source_id:text "
    "llm_chat_model:text embedding_model:text embedding_dimension:int4 created_at:timestamptz"
)
# A vector travels as the bytes that pgvector reads.
_EMBEDDINGS = {f"embedding_{dimension}": "bytea" for dimension in MODELS}


def sources(chunk_count: int, example_count: int) -> Table:
    """archon_sources: whatever the chunks and the code examples come from."""
    words: Counter[str] = Counter()
    titles: dict[str, Page] = {}
    for piece in itertools.chain(chunks(chunk_count), examples(example_count)):
        titles.setdefault(piece.page.source, piece.page)
        if piece.edition == 0 and not piece.summary:
            words[piece.page.source] += len(piece.content.split())
    rows = (
        _source(number, name, page, words[name])
        for number, (name, page) in enumerate(titles.items())
    )
    return Table("archon_sources", _SOURCE, rows)


def page_metadata(chunk_count: int, seed: int) -> Table:
    """archon_page_metadata: the pages that the chunks were cut from."""
    by_page = itertools.groupby(chunks(chunk_count), key=lambda piece: piece.url)
    rows = (_page(url, list(pieces), seed) for url, pieces in by_page)
    return Table("archon_page_metadata", _PAGE, rows)


def crawled_pages(count: int, seed: int, *, with_vectors: bool) -> Table:
    """archon_crawled_pages: `count` chunks with their embeddings."""
    rows = ((*_piece(piece), identity(seed, piece.url)) for piece in chunks(count))
    table = Table("archon_crawled_pages", {**_PIECE, "page_id": "uuid"}, rows)
    return _embedded(table, chunks(count), (seed, 1)) if with_vectors else table


def code_examples(count: int, seed: int, *, with_vectors: bool) -> Table:
    """archon_code_examples: `count` examples with their embeddings."""
    rows = ((*_piece(piece), piece.summary) for piece in examples(count))
    table = Table("archon_code_examples", {**_PIECE, "summary": "text"}, rows)
    return _embedded(table, examples(count), (seed, 2)) if with_vectors else table


def _source(number: int, name: str, page: Page, words: int) -> Row:
    site = page.url.rsplit("/", 1)[0]
    metadata = {"knowledge_type": "technical", "tags": ["python", name], "update_frequency": 7}
    summary = f"From the documentation of Python: {page.title}."
    at = moment(number * _STEP)
    return (name, site, name.replace("-", " "), summary, words, page.title, metadata, at, at)


def _page(url: str, pieces: list[Piece], seed: int) -> Row:
    first = pieces[0]
    page = first.page
    at = moment(first.number * _STEP)
    return (
        identity(seed, url),
        page.source,
        url,
        page.text,
        page.title,
        first.ordinal,
        len(page.text.split()),
        len(page.text),
        len(pieces),
        at,
        at,
        {"crawl_type": "sitemap", "edition": first.edition + 1},
    )


def _piece(piece: Piece) -> Row:
    metadata = {
        "title": piece.page.title,
        "source": piece.page.source,
        "chunk_size": len(piece.content),
        "language": "python" if piece.summary else "en",
    }
    return (
        piece.number + 1,
        piece.url,
        piece.position,
        piece.content,
        metadata,
        piece.page.source,
        "gpt-4o-mini",
        MODELS[piece.dimension],
        piece.dimension,
        moment(piece.number * _STEP),
    )


def _embedded(table: Table, pieces: Iterator[Piece], seed: tuple[int, ...]) -> Table:
    rows = (
        (*row, *embedding)
        for row, embedding in zip(table.rows, _embeddings(pieces, seed), strict=True)
    )
    return Table(table.name, {**table.columns, **_EMBEDDINGS}, rows)


def _embeddings(pieces: Iterator[Piece], seed: tuple[int, ...]) -> Iterator[Row]:
    """For each piece the values of the five embedding columns, all but one of them None."""
    for batch in itertools.count():
        part = list(itertools.islice(pieces, _BATCH))
        if not part:
            return
        rows: dict[int, Row] = {}
        for place, dimension in enumerate(MODELS):
            of_dimension = [piece for piece in part if piece.dimension == dimension]
            clusters = np.array([piece.ordinal for piece in of_dimension], dtype=np.int64)
            made = vectors.embeddings(clusters, dimension, seed=(*seed, batch))
            for piece, wire in zip(of_dimension, vectors.wire(made), strict=True):
                rows[piece.number] = tuple(wire if p == place else None for p in range(len(MODELS)))
        yield from (rows[piece.number] for piece in part)
