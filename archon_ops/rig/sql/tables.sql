-- Archon's eleven tables, without their vector columns (vectors.sql) and indexes (indexes.sql).

CREATE TYPE task_status AS ENUM ('todo', 'doing', 'review', 'done');
CREATE TYPE task_priority AS ENUM ('low', 'medium', 'high', 'critical');

CREATE TABLE archon_settings (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    key varchar(255) UNIQUE NOT NULL,
    value text,
    encrypted_value text,
    is_encrypted boolean DEFAULT false,
    category varchar(100),
    description text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE archon_sources (
    source_id text PRIMARY KEY,
    source_url text,
    source_display_name text,
    summary text,
    total_word_count integer DEFAULT 0,
    title text,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE archon_page_metadata (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_id text NOT NULL REFERENCES archon_sources ON DELETE CASCADE,
    url text UNIQUE NOT NULL,
    full_content text NOT NULL,
    section_title text,
    section_order integer DEFAULT 0,
    word_count integer NOT NULL,
    char_count integer NOT NULL,
    chunk_count integer NOT NULL DEFAULT 0,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    metadata jsonb DEFAULT '{}'
);

CREATE TABLE archon_crawled_pages (
    id bigserial PRIMARY KEY,
    url varchar NOT NULL,
    chunk_number integer NOT NULL,
    content text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    source_id text NOT NULL REFERENCES archon_sources ON DELETE CASCADE,
    llm_chat_model text,
    embedding_model text,
    embedding_dimension integer,
    content_search_vector tsvector
        GENERATED ALWAYS AS (to_tsvector('english', content)) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    page_id uuid REFERENCES archon_page_metadata ON DELETE SET NULL,
    UNIQUE (url, chunk_number)
);

CREATE TABLE archon_code_examples (
    id bigserial PRIMARY KEY,
    url varchar NOT NULL,
    chunk_number integer NOT NULL,
    content text NOT NULL,
    summary text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    source_id text NOT NULL REFERENCES archon_sources ON DELETE CASCADE,
    llm_chat_model text,
    embedding_model text,
    embedding_dimension integer,
    content_search_vector tsvector
        GENERATED ALWAYS AS (to_tsvector('english', content || ' ' || summary)) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (url, chunk_number)
);

CREATE TABLE archon_projects (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    title text NOT NULL,
    description text DEFAULT '',
    docs jsonb DEFAULT '[]',
    features jsonb DEFAULT '[]',
    data jsonb DEFAULT '[]',
    github_repo text,
    pinned boolean DEFAULT false,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE archon_tasks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid REFERENCES archon_projects ON DELETE CASCADE,
    parent_task_id uuid REFERENCES archon_tasks ON DELETE CASCADE,
    title text NOT NULL,
    description text DEFAULT '',
    status task_status DEFAULT 'todo',
    assignee text DEFAULT 'User' CHECK (assignee IS NOT NULL AND assignee <> ''),
    task_order integer DEFAULT 0,
    priority task_priority NOT NULL DEFAULT 'medium',
    feature text,
    sources jsonb DEFAULT '[]',
    code_examples jsonb DEFAULT '[]',
    archived boolean DEFAULT false,
    archived_at timestamptz,
    archived_by text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

-- source_id has no foreign key: a project may keep the name of a source that was deleted.
CREATE TABLE archon_project_sources (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid REFERENCES archon_projects ON DELETE CASCADE,
    source_id text NOT NULL,
    linked_at timestamptz DEFAULT now(),
    created_by text DEFAULT 'system',
    notes text,
    UNIQUE (project_id, source_id)
);

CREATE TABLE archon_document_versions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid REFERENCES archon_projects ON DELETE CASCADE,
    task_id uuid REFERENCES archon_tasks ON DELETE CASCADE,
    field_name text NOT NULL,
    version_number integer NOT NULL,
    content jsonb NOT NULL,
    change_summary text,
    change_type text DEFAULT 'update',
    document_id text,
    created_by text DEFAULT 'system',
    created_at timestamptz DEFAULT now(),
    CHECK (num_nonnulls(project_id, task_id) = 1),
    UNIQUE (project_id, task_id, field_name, version_number)
);

CREATE TABLE archon_migrations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version varchar(20) NOT NULL,
    migration_name varchar(255) NOT NULL,
    applied_at timestamptz DEFAULT now(),
    checksum varchar(32),
    UNIQUE (version, migration_name)
);

CREATE TABLE archon_prompts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    prompt_name text UNIQUE NOT NULL,
    prompt text NOT NULL,
    description text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

COMMENT ON TABLE archon_settings IS 'Settings and, encrypted, the credentials of providers';
COMMENT ON TABLE archon_sources IS 'What was crawled or uploaded, one row a source';
COMMENT ON TABLE archon_page_metadata IS 'Whole pages, from which the chunks were cut';
COMMENT ON TABLE archon_crawled_pages IS 'Chunks of documentation with their embeddings';
COMMENT ON TABLE archon_code_examples IS 'Code found in the documentation, with a summary and its embedding';
COMMENT ON TABLE archon_migrations IS 'Which migrations have been applied';
COMMENT ON COLUMN archon_settings.encrypted_value IS 'Fernet token, wrapped in base64 once more';
COMMENT ON COLUMN archon_crawled_pages.embedding_dimension IS 'Which of the embedding columns is filled';
COMMENT ON COLUMN archon_code_examples.embedding_dimension IS 'Which of the embedding columns is filled';
COMMENT ON COLUMN archon_tasks.archived IS 'Hidden instead of deleted; see archive_task()';

-- What the API's roles may do.
DO $$
DECLARE
    archon_table text;
BEGIN
    FOR archon_table IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname LIKE 'archon\_%'
        ORDER BY relname
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', archon_table);
        EXECUTE format(
            'CREATE POLICY "Service role may do everything" ON %I '
            'USING (auth.role() = ''service_role'')', archon_table);
        EXECUTE format(
            'CREATE POLICY "Signed-in users may read and write" ON %I '
            'TO authenticated USING (true)', archon_table);
        EXECUTE format(
            'GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO authenticated, service_role', archon_table);
        EXECUTE format('GRANT SELECT ON %I TO anon', archon_table);
    END LOOP;
END
$$;
GRANT USAGE ON SEQUENCE archon_crawled_pages_id_seq, archon_code_examples_id_seq
    TO authenticated, service_role;
