from __future__ import annotations

import csv
from typing import Any

import pytest

from tests.support import Installation

PARTS = ("heap_bytes", "index_bytes", "toast_bytes")


@pytest.fixture(scope="module")
def site(module_installation: Installation) -> Installation:
    return module_installation


def table_of(audit: Any, name: str) -> Any:
    return next(t for t in audit["tables"] if t["table"] == name)


def sizes_by_server(site: Installation) -> dict[str, int]:
    lines = site.psql(
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class "
        "WHERE relname LIKE 'archon\\_%' AND relkind = 'r' "
        "AND relnamespace IN ('public'::regnamespace, to_regnamespace('aside'))"
    ).splitlines()
    return {name: int(size) for name, size in (line.split("|") for line in lines)}


@pytest.mark.slow
def test_the_parts_of_every_table_add_up_to_what_the_server_says(site: Installation) -> None:
    with site.connect() as connection:
        connection.execute("CREATE SCHEMA aside; CREATE TABLE aside.archon_extra (t text)")
        connection.execute("CREATE INDEX ON aside.archon_extra (md5(t))")
        connection.execute(
            "INSERT INTO aside.archon_extra SELECT string_agg(md5(i::text), '') "
            "FROM generate_series(1, 3000) i"
        )
        connection.execute("VACUUM ANALYZE aside.archon_extra")
    audit = site.run("size-audit", "--json").ok().json

    found = {t["table"]: sum(t[part] for part in PARTS) for t in audit["tables"]}
    assert found == sizes_by_server(site)
    assert found == {t["table"]: t["total_bytes"] for t in audit["tables"]}
    assert table_of(audit, "archon_extra")["toast_bytes"] > 90_000
    with site.connect() as connection:
        connection.execute("DROP SCHEMA aside CASCADE")


def test_no_byte_of_the_database_is_left_out(site: Installation) -> None:
    audit = site.run("size-audit", "--json").ok().json

    parts = ("archon_bytes", "neighbours_bytes", "catalogue_bytes", "kept_bytes")
    assert sum(audit[part] for part in parts) == audit["database_bytes"]
    assert audit["neighbours"]["n8n"] > 0


@pytest.mark.slow
def test_rows_are_estimates_until_they_are_counted(site: Installation) -> None:
    true = int(site.psql("SELECT count(*) FROM public.archon_crawled_pages"))
    estimated = table_of(site.run("size-audit", "--json").ok().json, "archon_crawled_pages")
    counted = table_of(
        site.run("size-audit", "--json", "--exact").ok().json, "archon_crawled_pages"
    )

    assert estimated["rows_basis"] == "statistics"
    assert (counted["rows"], counted["rows_basis"]) == (true, "counted")
    assert estimated["rows"] == pytest.approx(true, rel=0.1)


@pytest.mark.slow
def test_embeddings_are_counted_by_dimension_though_they_lie_in_toast(site: Installation) -> None:
    audit = site.run("size-audit", "--json", "--exact").ok().json

    columns = table_of(audit, "archon_crawled_pages")["vectors"]
    by_dimension = {c["dimension"]: c for c in columns}
    assert set(by_dimension) == {384, 768, 1024, 1536, 3072}
    for dimension, column in by_dimension.items():
        true = site.psql(f"SELECT count(embedding_{dimension}) FROM public.archon_crawled_pages")
        assert column["filled_rows"] == int(true)
        assert column["bytes"] == int(true) * (4 * dimension + 8)


def test_what_could_be_had_back_is_named_with_its_bytes(installation: Installation) -> None:
    with installation.connect() as connection:
        connection.execute(
            "UPDATE public.archon_crawled_pages SET embedding_384 = "
            "(SELECT embedding_384 FROM public.archon_crawled_pages "
            " WHERE embedding_384 IS NOT NULL LIMIT 1) WHERE embedding_1536 IS NOT NULL"
        )
        doubled = int(
            installation.psql(
                "SELECT count(*) FROM public.archon_crawled_pages "
                "WHERE embedding_384 IS NOT NULL AND embedding_1536 IS NOT NULL"
            )
        )
        connection.execute(
            "ALTER TABLE public.archon_code_examples "
            "DROP CONSTRAINT archon_code_examples_source_id_fkey"
        )
        connection.execute(
            "UPDATE public.archon_code_examples SET source_id = 'gone' WHERE id % 2 = 0"
        )
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT pg_stat_clear_snapshot()")
    audit = installation.run("size-audit", "--json", "--exact").ok().json

    found: dict[str, list[Any]] = {}
    for saving in audit["savings"]:
        found.setdefault(saving["kind"], []).append(saving)
    assert set(found) >= {"unused index", "dead rows", "several embeddings", "orphans"}
    (several,) = found["several embeddings"]
    assert several["bytes"] == doubled * (4 * 384 + 8)
    (orphans,) = found["orphans"]
    assert orphans["what"] == "public.archon_code_examples"
    assert "of 1 deleted sources" in orphans["note"]
    assert not any(s["what"].endswith("_pkey") for s in found["unused index"])
    sizes = dict(
        line.split("|")
        for line in installation.psql(
            "SELECT 'public.' || relname, pg_relation_size(oid) FROM pg_class WHERE relkind = 'i'"
        ).splitlines()
    )
    for saving in found["unused index"]:
        assert saving["bytes"] >= int(sizes[saving["what"]]) > 0


@pytest.mark.slow
def test_tables_without_statistics_are_told(installation: Installation) -> None:
    with installation.connect() as connection:
        connection.execute("CREATE TABLE public.archon_new AS SELECT 1 AS a")
        connection.execute(
            "CREATE MATERIALIZED VIEW public.archon_later AS SELECT 1 AS a WITH NO DATA"
        )
        connection.execute(
            "UPDATE pg_class SET reltuples = -1, relpages = 0 "
            "WHERE oid = 'public.archon_new'::regclass"
        )
    done = installation.run("size-audit", "--json").ok()

    installation.run("size-audit", "--exact").ok()  # the view without data is no obstacle
    assert any("never gathered for public.archon_new" in note for note in done.json["notes"])
    assert table_of(done.json, "archon_new")["rows_basis"] in ("activity", "unknown")


@pytest.mark.slow
def test_a_role_that_may_not_see_a_table_still_learns_its_size(installation: Installation) -> None:
    with installation.connect() as connection:
        connection.execute("CREATE ROLE auditor LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA public TO auditor")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO auditor")
        connection.execute("REVOKE SELECT ON public.archon_settings FROM auditor")
        connection.execute("ALTER ROLE auditor BYPASSRLS")
    with installation.server() as server:
        address = server.address
        dsn = f"host={address['host']} port={address['port']} user=auditor dbname=postgres"
        (installation.root / "archon.toml").write_text(
            f'[sources.limited]\nkind = "direct"\ndsn = "{dsn}"\n'
        )
        done = installation.run("size-audit", "--source", "limited", "--json", "--exact").ok()

    settings = table_of(done.json, "archon_settings")
    assert settings["total_bytes"] > 0
    assert not settings["readable"]
    assert any(
        "auditor may not read every row of public.archon_settings" in n for n in done.json["notes"]
    )
    assert table_of(done.json, "archon_tasks")["rows_basis"] == "counted"


@pytest.mark.slow
def test_backups_give_the_first_audit_a_past_and_save_adds_to_it(
    installation: Installation,
) -> None:
    first = installation.run("size-audit", "--json", "--save").ok().json
    with installation.connect() as connection:
        connection.execute(
            "INSERT INTO public.archon_prompts (prompt_name, prompt) "
            "SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 500) i"
        )
    second = installation.run("size-audit", "--json").ok().json

    assert first["backup"]["filename"] == installation.latest_dump().name
    assert first["backup"]["ratio"] == pytest.approx(
        first["backup"]["size_bytes"] / first["database_bytes"], rel=0.1
    )
    assert first["changes"][0]["at"] is not None
    assert second["changes"][0]["at"] == first["at"]
    grown = second["changes"][0]["tables"]["public.archon_prompts"]
    assert grown == second["changes"][0]["archon_bytes"] > 0


@pytest.mark.slow
def test_the_past_outlives_the_backups_that_retention_removes(installation: Installation) -> None:
    for _ in range(2):
        installation.run("backup", "--retention", "1").ok()
    assert len(installation.dumps()) == 1

    lines = (installation.backups / ".ops" / "sizes.jsonl").read_text().splitlines()
    assert len(lines) == 3


@pytest.mark.slow
def test_csv_has_a_line_for_each_table_and_overwrites_nothing(site: Installation) -> None:
    path = site.root / "sizes.csv"
    audit = site.run("size-audit", "--json", "--csv", str(path)).ok().json

    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["table"], int(r["total_bytes"])) for r in rows] == [
        (t["table"], t["total_bytes"]) for t in audit["tables"]
    ]
    before = path.read_bytes()
    site.run("size-audit", "--csv", str(path)).ended(3)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_what_a_restore_keeps_is_nobodys_share(installation: Installation) -> None:
    before = installation.run("size-audit", "--json").ok().json
    with installation.connect() as connection:
        connection.execute("CREATE SCHEMA archon_before_x")
        connection.execute(
            "CREATE TABLE archon_before_x.archon_tasks AS SELECT * FROM public.archon_tasks"
        )
    after = installation.run("size-audit", "--json").ok().json

    assert after["archon_bytes"] == before["archon_bytes"]
    assert after["kept_bytes"] > 0
    assert after["neighbours"] == before["neighbours"]


@pytest.mark.slow
def test_a_database_without_archon_is_refused_and_named(installation: Installation) -> None:
    with installation.connect("template1") as connection:
        connection.execute("CREATE DATABASE bare")
    (installation.root / "archon.toml").write_text('[sources.demo]\ndatabase = "bare"\n')

    done = installation.run("size-audit").ended(3)
    assert "database bare of source demo has no tables archon_*" in done.stderr
