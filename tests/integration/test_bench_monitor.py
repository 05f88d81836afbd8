from __future__ import annotations

from pathlib import Path

import pytest

from archon_ops.bench.monitor import benchmark


@pytest.mark.slow
def test_the_api_is_measured_as_a_process_of_its_own(tmp_path: Path) -> None:
    found = benchmark(tmp_path, 0.5, backups=40)
    assert found.backups == 40
    assert 0 < found.median_ms <= found.slowest_ms
    assert found.per_core_second > 0
    assert found.peak_bytes < 120 << 20
    assert len(found.ratios) == 3
    assert list(tmp_path.iterdir()) == []
