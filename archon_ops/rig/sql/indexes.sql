-- Everything beside the keys; one statement an index, built after the rows are in.

CREATE INDEX idx_archon_settings_key ON archon_settings (key);
CREATE INDEX idx_archon_settings_category ON archon_settings (category);
CREATE INDEX idx_archon_sources_title ON archon_sources (title);
CREATE INDEX idx_archon_sources_metadata ON archon_sources USING gin (metadata);
CREATE INDEX idx_archon_page_metadata_source_id ON archon_page_metadata (source_id);
CREATE INDEX idx_archon_page_metadata_section ON archon_page_metadata (source_id, section_title, section_order);
CREATE INDEX idx_archon_page_metadata_metadata ON archon_page_metadata USING gin (metadata);
CREATE INDEX idx_archon_tasks_project_id ON archon_tasks (project_id);
CREATE INDEX idx_archon_tasks_status ON archon_tasks (status);
CREATE INDEX idx_archon_tasks_assignee ON archon_tasks (assignee);
CREATE INDEX idx_archon_tasks_order ON archon_tasks (task_order);
CREATE INDEX idx_archon_tasks_priority ON archon_tasks (priority);
CREATE INDEX idx_archon_tasks_archived ON archon_tasks (archived);
CREATE INDEX idx_archon_project_sources_project_id ON archon_project_sources (project_id);
CREATE INDEX idx_archon_document_versions_project_id ON archon_document_versions (project_id);
CREATE INDEX idx_archon_document_versions_task_id ON archon_document_versions (task_id);
CREATE INDEX idx_archon_migrations_applied_at ON archon_migrations (applied_at DESC);
CREATE INDEX idx_archon_prompts_name ON archon_prompts (prompt_name);

CREATE INDEX idx_archon_crawled_pages_source_id ON archon_crawled_pages (source_id);
CREATE INDEX idx_archon_crawled_pages_page_id ON archon_crawled_pages (page_id);
CREATE INDEX idx_archon_crawled_pages_metadata ON archon_crawled_pages USING gin (metadata);
CREATE INDEX idx_archon_crawled_pages_search ON archon_crawled_pages USING gin (content_search_vector);

CREATE INDEX idx_archon_code_examples_source_id ON archon_code_examples (source_id);
CREATE INDEX idx_archon_code_examples_metadata ON archon_code_examples USING gin (metadata);
CREATE INDEX idx_archon_code_examples_search ON archon_code_examples USING gin (content_search_vector);
