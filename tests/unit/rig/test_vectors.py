from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from archon_ops.rig import vectors

CLUSTERS = np.repeat(np.arange(20), 10)


@pytest.mark.parametrize("dimension", [384, 768, 1024, 1536, 3072])
def test_unit_length_and_shape(dimension: int) -> None:
    made = vectors.embeddings(CLUSTERS, dimension, seed=(0, 1))
    assert made.shape == (200, dimension)
    assert made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)


def test_same_seed_same_vectors_another_seed_others() -> None:
    first = vectors.embeddings(CLUSTERS, 384, seed=(7, 1))
    np.testing.assert_array_equal(first, vectors.embeddings(CLUSTERS, 384, seed=(7, 1)))
    assert not np.allclose(first, vectors.embeddings(CLUSTERS, 384, seed=(8, 1)))
    assert not np.allclose(first, vectors.embeddings(CLUSTERS, 384, seed=(7, 2)))


def test_nearest_neighbours_share_the_cluster_also_across_batches() -> None:
    made = np.vstack([vectors.embeddings(CLUSTERS, 1536, seed=(0, 1, b)) for b in (0, 1)])
    cosine = made @ made.T
    np.fill_diagonal(cosine, -1)
    nearest = np.argsort(-cosine, axis=1)[:, :5]
    of = np.tile(CLUSTERS, 2)
    assert (of[nearest] == of[:, np.newaxis]).all()


def test_clusters_wrap_around() -> None:
    low = vectors.embeddings(np.array([3]), 384, seed=(0, 1))
    high = vectors.embeddings(np.array([3 + vectors.CLUSTERS]), 384, seed=(0, 1))
    np.testing.assert_array_equal(low, high)


def test_cannot_be_compressed() -> None:
    raw = b"".join(vectors.wire(vectors.embeddings(CLUSTERS, 1536, seed=(0, 1))))
    assert len(zlib.compress(raw, 9)) > 0.9 * len(raw)


def test_wire_is_dimension_zero_and_big_endian_floats() -> None:
    made = np.array([[1.0, -2.5]], dtype=np.float32)
    assert vectors.wire(made) == [struct.pack(">hhff", 2, 0, 1.0, -2.5)]
