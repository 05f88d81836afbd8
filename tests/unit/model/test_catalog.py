from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from archon_ops.model.backup import Backup
from archon_ops.model.catalog import Catalog

Make = Callable[..., Backup]


def test_an_empty_catalogue_answers_nothing() -> None:
    empty = Catalog(())
    assert empty.latest() is None
    assert empty.newest_trustworthy() is None
    assert empty.subject() is None
    assert empty.find("x.dump") is None


def test_latest_is_the_newest_managed_one_sound_or_not(backup: Make) -> None:
    damaged, good = backup(2, kind="failed"), backup(3)
    others = (backup(1, kind="unmanaged"), backup(0.5, safety=True), backup(9))
    catalog = Catalog((good, *others, damaged))
    assert catalog.latest() == damaged
    assert catalog.newest_trustworthy() == good


def test_an_edited_manifest_does_not_hide_the_latest(backup: Make) -> None:
    edited = backup(2, kind="edited")
    assert Catalog((backup(3), edited)).latest() == edited


def test_a_status_speaks_of_a_foreign_dump_only_when_nothing_is_ours(backup: Make) -> None:
    foreign, older = backup(1, kind="unmanaged"), backup(20)
    assert Catalog((foreign,)).subject() == foreign
    assert Catalog((foreign, older)).subject() == older


def test_ties_have_an_order(backup: Make) -> None:
    one, two = backup(1, name="a.dump"), backup(1, name="b.dump")
    assert Catalog((one, two)).newest_first == Catalog((two, one)).newest_first == (two, one)


def test_find_prefers_the_ordinary_one(backup: Make) -> None:
    ordinary = backup(1, name="a.dump")
    twin = replace(ordinary, safety=True)
    assert Catalog((twin, ordinary)).find("a.dump") == ordinary
    assert Catalog((twin,)).find("a.dump") == twin
