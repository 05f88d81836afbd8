"""The rows that an installation brings along, and those of the neighbours' tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from archon_ops.rig import credential
from archon_ops.rig.table import DAY, EPOCH, Row, Table, columns, identity, moment

_SETTINGS = {
    "server": {"HOST": "0.0.0.0", "PORT": "8181", "LOG_LEVEL": "INFO", "MCP_TRANSPORT": "dual"},  # noqa: S104
    "rag_strategy": {
        "USE_HYBRID_SEARCH": "true",
        "USE_RERANKING": "true",
        "USE_AGENTIC_RAG": "true",
        "USE_CONTEXTUAL_EMBEDDINGS": "false",
        "MODEL_CHOICE": "gpt-4o-mini",
        "LLM_PROVIDER": "openai",
        "EMBEDDING_MODEL": "text-embedding-3-small",
    },
    "code_extraction": {
        "MIN_CODE_BLOCK_LENGTH": "250",
        "MAX_CODE_BLOCK_LENGTH": "5000",
        "ENABLE_CODE_SUMMARIES": "true",
        "CONTEXT_WINDOW_SIZE": "1000",
    },
    "crawling": {"CRAWL_BATCH_SIZE": "50", "CRAWL_MAX_CONCURRENT": "10", "CRAWL_TIMEOUT": "30000"},
    "features": {"PROJECTS_ENABLED": "true", "STYLE_GUIDE_ENABLED": "false"},
}
_STEPS = ("Trigger", "Fetch", "Filter", "Summarise", "Send")
_PROMPTS = {
    "document_builder": "Write a complete document of the kind that is asked for, in Markdown.",
    "feature_builder": "Describe the feature as a graph of screens, and of the steps between them.",
    "data_builder": "Derive entities and their relations from the description of the project.",
    "code_summary": "Say in two sentences what this code does, and when one would use it.",
    "source_summary": "Summarise what this source documents, for somebody who looks for a library.",
}
_MIGRATIONS = (
    "001_add_source_url_display_name",
    "002_add_hybrid_search_tsvector",
    "003_ollama_add_columns",
    "004_ollama_migrate_data",
    "005_ollama_create_functions",
    "006_ollama_create_indexes_optional",
    "007_add_priority_column_to_tasks",
    "008_add_migration_tracking",
    "009_add_cascade_delete_constraints",
    "010_add_provider_placeholders",
    "011_add_page_metadata_table",
)


_SETTING = columns(
    "id:uuid key:varchar value:text encrypted_value:text is_encrypted:bool category:varchar "
    "description:text created_at:timestamptz updated_at:timestamptz"
)
_PROMPT = columns(
    "id:uuid prompt_name:text prompt:text description:text "
    "created_at:timestamptz updated_at:timestamptz"
)
_MIGRATION = columns(
    "id:uuid version:varchar migration_name:varchar applied_at:timestamptz checksum:varchar"
)
_WORKFLOW = columns(
    "id:int4 name:varchar active:bool nodes:json connections:json created_at:timestamptz"
)
_FLOW = columns("id:uuid name:varchar flow_data:text deployed:bool created_date:timestamptz")


def tables(seed: int, encryption_key: str) -> tuple[Table, ...]:
    """Settings, prompts, migrations, and the neighbours' tables.

    Args:
        seed: decides on the UUIDs.
        encryption_key: Archon's ENCRYPTION_KEY; the one credential is encrypted under it.
    """
    return (
        Table("archon_settings", _SETTING, _settings(seed, encryption_key)),
        Table("archon_prompts", _PROMPT, _prompts(seed)),
        Table("archon_migrations", _MIGRATION, _migrations(seed)),
        Table("n8n.workflow_entity", _WORKFLOW, _workflows()),
        Table("chat_flow", _FLOW, _flows(seed)),
    )


def _settings(seed: int, encryption_key: str) -> Iterator[Row]:
    for category, entries in _SETTINGS.items():
        for key, value in entries.items():
            about = f"{key.replace('_', ' ').capitalize()}."
            row_id = identity(seed, "setting", key)
            yield (row_id, key, value, None, False, category, about, EPOCH, EPOCH)
    token = credential.encrypted(credential.VALUE, encryption_key, at=int(EPOCH.timestamp()))
    row_id = identity(seed, "setting", "OPENAI_API_KEY")
    about = "Key of the language model's provider."
    yield (row_id, "OPENAI_API_KEY", None, token, True, "api_keys", about, EPOCH, EPOCH)


def _prompts(seed: int) -> Iterator[Row]:
    for name, text in _PROMPTS.items():
        about = f"System prompt of the {name.replace('_', ' ')}."
        prompt = f"SYSTEM PROMPT: {about}\n\n{text}\n\nAnswer with nothing else."
        yield (identity(seed, "prompt", name), name, prompt, about, EPOCH, EPOCH)


def _migrations(seed: int) -> Iterator[Row]:
    for number, name in enumerate(_MIGRATIONS):
        checksum = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        row_id = identity(seed, "migration", name)
        yield (row_id, "0.1.0", name, moment(number * 0.1), checksum)


def _workflows() -> Iterator[Row]:
    for number, name in enumerate(("Nightly crawl", "Report by mail", "Sync of issues"), start=1):
        nodes = [{"name": step, "type": "n8n-nodes-base.code"} for step in _STEPS]
        connections = {"main": [[{"node": step, "index": 0}] for step in _STEPS[1:]]}
        yield (number, name, number == 1, nodes, connections, moment(number * DAY))


def _flows(seed: int) -> Iterator[Row]:
    for number, name in enumerate(("Support assistant", "Search in the handbook")):
        data = f'{{"nodes": [{{"id": "llm_{number}"}}], "edges": []}}'
        yield (identity(seed, "flow", number), name, data, number == 0, moment(number * DAY))
