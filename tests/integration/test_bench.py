"""Benchmarks measure what they say, and leave nothing."""

from __future__ import annotations

import pytest

from tests.support import Installation

pytestmark = pytest.mark.slow


def test_restores_are_measured_against_pg_restore(empty_installation: Installation) -> None:
    done = empty_installation.run(
        *("bench", "--what", "restore", "--size", "1MB", "--runs", "1", "--json"),
        env={"ARCHON_SOURCE": None},
    ).ok()
    ratios = {r["what"]: r for r in done.json["ratios"]}
    whole = ratios["wall time, inv restore --scope database / pg_restore"]
    ours, theirs = (float(whole[whose].split()[0]) for whose in ("ours", "theirs"))
    rounded = 0.005  # both are told to a hundredth of a second
    least, most = (ours - rounded) / (theirs + rounded), (ours + rounded) / (theirs - rounded)
    assert least <= whole["ratio"] <= most
    assert (whole["limit"], whole["within"]) == ("1.00", whole["ratio"] <= 1)
    in_place = "database, in place with its safety backup"
    assert ratios[f"wall time, inv restore --scope {in_place} / pg_restore"]["limit"] == "-"
    assert 0 < float(ratios[f"undo, scope {in_place}"]["ours"].split()[0]) < 100
    assert list((empty_installation.root / ".archon").glob("bench-*")) == []


def test_a_source_of_ones_own_is_only_read(installation: Installation) -> None:
    before, files = installation.content(), installation.files()
    done = installation.run(
        *("bench", "--what", "restore", "--source", "demo", "--runs", "1", "--json")
    ).ok()
    assert [r["what"] for r in done.json["ratios"]] == [
        "wall time, inv restore --scope database / pg_restore"
    ]
    assert installation.content() == before
    assert installation.files() == files
    assert installation.databases() == ("postgres",)


def test_what_makes_no_sense_is_refused(empty_installation: Installation) -> None:
    assert (
        "one of: backup, restore" in empty_installation.run("bench", "--what", "x").ended(2).stderr
    )
    empty_installation.run("bench", "--runs", "0").ended(2)
