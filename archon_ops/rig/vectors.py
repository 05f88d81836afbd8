"""Embeddings that behave like real ones: unit length, in clusters, and not to be compressed.

Each vector is the centre of a cluster plus noise of about the same length, normalised: two of one
cluster have a cosine of about 0.6, two of different clusters of about 0.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CLUSTERS = 64
# Length of the noise as a share of the length of the centre.
SPREAD = 0.8

Vectors = NDArray[np.float32]


def embeddings(clusters: NDArray[np.int64], dimension: int, *, seed: tuple[int, ...]) -> Vectors:
    """One embedding for each entry of `clusters`.

    Args:
        clusters: shape (n,), numbers of clusters; taken modulo CLUSTERS.
        dimension: length d of the vectors.
        seed: the first number decides on the centres, all together on the noise. The same
            arguments always give the same vectors.

    Returns:
        Shape (n, d), float32, rows of unit length.
    """
    noise = np.random.default_rng([*seed, dimension])
    vectors = noise.standard_normal((len(clusters), dimension), dtype=np.float32)
    vectors *= np.float32(SPREAD / np.sqrt(dimension))
    vectors += _centres(seed[0], dimension)[clusters % CLUSTERS]
    return _normalised(vectors)


def wire(vectors: Vectors) -> list[bytes]:
    """Rows of shape (n, d) as pgvector sends them: int16 d, int16 0, d float32, big-endian."""
    head = np.array([vectors.shape[1], 0], dtype=">i2").tobytes()
    return [head + row.tobytes() for row in vectors.astype(">f4")]


@lru_cache(maxsize=16)
def _centres(seed: int, dimension: int) -> Vectors:
    """Shape (CLUSTERS, d); far from each other, as all random directions in many dimensions are."""
    random = np.random.default_rng([seed, dimension])
    return _normalised(random.standard_normal((CLUSTERS, dimension), dtype=np.float32))


def _normalised(vectors: Vectors) -> Vectors:
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    vectors /= lengths[:, np.newaxis]
    return vectors
