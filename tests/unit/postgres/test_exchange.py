"""Clusters that change places, broken off at every single step."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archon_ops.errors import OpsError
from archon_ops.hosts.process import Finished
from archon_ops.model.report import Silent
from archon_ops.postgres.kept import CLUSTER, Kept
from archon_ops.postgres.pitr.exchange import CAME_BACK, Exchange
from archon_ops.postgres.pitr.pgbackrest import OnThisMachine

RUN, OTHER = "cluster-20261130T120000Z-aaaa", "cluster-20261129T120000Z-bbbb"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class BrokenOffError(Exception):
    """The plug was pulled."""


@dataclass
class Breaking:
    """This machine, until it breaks off: in the middle of a move, if that is what comes next.

    Attributes:
        after: how many calls are carried out whole.
        next_transaction: of every cluster at rest, as its control file has it.
    """

    after: int = 10_000
    next_transaction: int = 1
    real: OnThisMachine = field(default_factory=lambda: OnThisMachine(getpass.getuser()))
    name: str = "this machine"

    def run(self, argv: Sequence[str], *, timeout: float) -> Finished:
        """As the real one."""
        if self.after == 0 and argv[0] == "mv":
            paths = argv[2:-1]
            self.real.run((*argv[:2], *paths[: len(paths) // 2], argv[-1]), timeout=timeout)
        self._count()
        if argv[0] == "pg_controldata":
            return _done(argv, f"Latest checkpoint's NextXID:          0:{self.next_transaction}\n")
        return self.real.run(argv, timeout=timeout) if argv[0] != "sync" else _done(argv)

    def write(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """As the real one."""
        self._count()
        self.real.write(path, data, mode=mode)

    def read(self, path: str) -> bytes | None:
        """As the real one."""
        return self.real.read(path)

    def _count(self) -> None:
        if self.after == 0:
            raise BrokenOffError
        self.after -= 1


def _done(argv: Sequence[str], said: str = "") -> Finished:
    """Writing out this machine's disks would tell nothing here, and take long."""
    return Finished(tuple(argv), 0, said, "")


def _kept(name: str = RUN) -> Kept:
    return Kept(name, "postgres", NOW, "run", "another", "1:1:", 0, None, scope=CLUSTER)


def _cluster(folder: Path, word: str) -> None:
    for entry in ("base", "global"):
        (folder / entry).mkdir(parents=True)
        (folder / entry / "file").write_text(word)
    (folder / "PG_VERSION").write_text("17\n")
    (folder / ".hidden").write_text(word)
    (folder / "-dash and blank").write_text(word)


def _holds(folder: Path) -> set[str]:
    """Words of the clusters whose files lie in a folder, which has to be whole."""
    names = {path.name for path in folder.iterdir()} - {"archon_ops", "lost+found"}
    assert names in (set(), {"base", "global", "PG_VERSION", ".hidden", "-dash and blank"})
    return {path.read_text() for path in folder.glob("[b.g-]*/file")}


def _filled(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    _cluster(data, "old")
    (data / "lost+found").mkdir()
    _cluster(data / "archon_ops" / RUN / "data", "new")
    return data


def _calls(tmp_path: Path) -> int:
    host = Breaking()
    data = _filled(tmp_path / "counted")
    exchange = Exchange(host, str(data), Silent())
    exchange.carry_out(_kept(), f"{RUN}/data")
    exchange.settle(RUN)
    return 10_000 - host.after


def test_it_is_exchanged_and_exchanged_again(tmp_path: Path) -> None:
    data = _filled(tmp_path)
    exchange = Exchange(Breaking(), str(data), Silent())
    exchange.carry_out(_kept(), f"{RUN}/data")
    assert exchange.kept() == ()  # it is not trusted yet
    assert _holds(data) == {"new"}
    assert exchange.begun(RUN)
    exchange.settle(RUN)
    assert not exchange.begun(RUN)
    assert not exchange.take_back(RUN)
    assert _holds(data) == {"new"}
    (kept,) = exchange.kept()
    assert (kept.name, kept.kept_at, kept.scope) == (RUN, NOW, CLUSTER)
    assert kept.size_bytes > 0
    exchange.carry_out(_kept(OTHER), f"{RUN}/kept")
    exchange.settle(OTHER)
    assert _holds(data) == {"old"}
    assert [k.name for k in exchange.kept()] == [OTHER]
    assert [path.name for path in (data / "archon_ops").iterdir()] == [OTHER]
    exchange.drop(kept=exchange.kept()[0])
    assert list((data / "archon_ops").iterdir()) == []
    assert (data / "lost+found").is_dir()


def test_whenever_it_is_broken_off_the_old_one_is_back(tmp_path: Path) -> None:
    count = _calls(tmp_path)
    assert count > 10
    settled = 0
    for after in range(count):
        data = _filled(tmp_path / str(after))
        exchange = Exchange(Breaking(after), str(data), Silent())
        with pytest.raises(BrokenOffError):
            _whole(exchange)
        again = Exchange(Breaking(after % 7), str(data), Silent())
        with contextlib.suppress(BrokenOffError):
            again.take_back(RUN)
        back = Exchange(Breaking(), str(data), Silent()).take_back(RUN)
        assert _holds(data) == ({"old"} if back else {"new"}), after
        if back:
            assert not (data / "archon_ops" / RUN).exists()
        settled += not back
    assert 0 < settled < count / 3


@pytest.mark.slow
def test_what_was_written_to_the_new_one_is_kept_when_the_old_one_comes_back(
    tmp_path: Path,
) -> None:
    """Wherever the way back is broken off: it served, and somebody relied on it."""
    lost = 0
    for after in range(20):
        data = _filled(tmp_path / str(after))
        Exchange(Breaking(), str(data), Silent()).carry_out(_kept(), f"{RUN}/data")
        with contextlib.suppress(BrokenOffError):
            Exchange(Breaking(after, 7), str(data), Silent()).take_back(RUN)
        exchange = Exchange(Breaking(next_transaction=7), str(data), Silent())
        exchange.take_back(RUN)
        assert _holds(data) == {"old"}
        words = {w for p in (data / "archon_ops" / RUN).iterdir() if p.is_dir() for w in _holds(p)}
        assert words == {"new"}, after
        lost += exchange.kept() == ()
    # Named as an undo's first, then renamed: between these two it is there, and not listed.
    assert lost <= 1
    (kept,) = exchange.kept()
    assert (kept.snapshot, kept.replaced_by) == ("7:7:", CAME_BACK)


def test_a_damaged_cluster_is_kept_all_the_same(tmp_path: Path) -> None:
    data = _filled(tmp_path)
    (data / "PG_VERSION").unlink()
    exchange = Exchange(Breaking(), str(data), Silent())
    _whole(exchange)
    assert [k.name for k in exchange.kept()] == [RUN]
    exchange.drop(_kept())
    assert exchange.kept() == ()


def _whole(exchange: Exchange) -> None:
    exchange.carry_out(_kept(), f"{RUN}/data")
    exchange.settle(RUN)


def test_what_waits_for_an_undo_survives_an_undo_that_is_broken_off(tmp_path: Path) -> None:
    data = _filled(tmp_path)
    exchange = Exchange(Breaking(), str(data), Silent())
    _whole(exchange)
    exchange.carry_out(_kept(OTHER), f"{RUN}/kept")
    assert exchange.take_back(OTHER)
    assert _holds(data) == {"new"}
    assert [k.name for k in exchange.kept()] == [RUN]


def test_what_cannot_be_read_is_not_touched(tmp_path: Path) -> None:
    data = _filled(tmp_path)
    state = data / "archon_ops" / RUN / "state"
    state.write_text('{"step": "flying"}')
    exchange = Exchange(Breaking(), str(data), Silent())
    with pytest.raises(OpsError, match="cannot be read"):
        exchange.take_back(RUN)
    assert _holds(data / "archon_ops" / RUN / "data") == {"new"}


def test_files_that_are_left_over_are_never_removed(tmp_path: Path) -> None:
    """Something moved in that is not ours: then neither of the two is thrown away."""
    data = _filled(tmp_path)
    exchange = Exchange(Breaking(), str(data), Silent())
    exchange.carry_out(_kept(), f"{RUN}/data")
    kept = data / "archon_ops" / RUN / "kept"
    (kept / "lost+found").mkdir()  # which is never moved
    with pytest.raises(OpsError, match="rmdir"):
        exchange.take_back(RUN)
    assert _holds(data) == {"old"}
