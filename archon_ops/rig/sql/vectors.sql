-- The embedding columns and the functions that search by them; needs pgvector.
-- The functions keep the search path of their making, so that they find the operators of
-- pgvector also where the extension lives outside of public.

ALTER TABLE archon_crawled_pages
    ADD COLUMN embedding_384 vector(384),
    ADD COLUMN embedding_768 vector(768),
    ADD COLUMN embedding_1024 vector(1024),
    ADD COLUMN embedding_1536 vector(1536),
    ADD COLUMN embedding_3072 vector(3072);

ALTER TABLE archon_code_examples
    ADD COLUMN embedding_384 vector(384),
    ADD COLUMN embedding_768 vector(768),
    ADD COLUMN embedding_1024 vector(1024),
    ADD COLUMN embedding_1536 vector(1536),
    ADD COLUMN embedding_3072 vector(3072);

CREATE FUNCTION detect_embedding_dimension(embedding_vector vector)
RETURNS integer LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN vector_dims(embedding_vector);
END
$$;

-- Search by meaning: nearest by cosine distance ---------------------------------------------

CREATE FUNCTION match_archon_crawled_pages_multi(
    query_embedding vector,
    embedding_dimension integer,
    match_count integer DEFAULT 10,
    filter jsonb DEFAULT '{}',
    source_filter text DEFAULT NULL
) RETURNS TABLE (
    id bigint, url varchar, chunk_number integer, content text, metadata jsonb, source_id text,
    similarity double precision
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT p.id, p.url, p.chunk_number, p.content, p.metadata, p.source_id,
                1 - (p.%1$I <=> $1)
         FROM archon_crawled_pages p
         WHERE p.%1$I IS NOT NULL AND p.metadata @> $2 AND ($3 IS NULL OR p.source_id = $3)
         ORDER BY p.%1$I <=> $1 LIMIT $4', get_embedding_column_name(embedding_dimension))
    USING query_embedding, filter, source_filter, match_count;
END
$$;

CREATE FUNCTION match_archon_crawled_pages(
    query_embedding vector,
    match_count integer DEFAULT 10,
    filter jsonb DEFAULT '{}',
    source_filter text DEFAULT NULL
) RETURNS TABLE (
    id bigint, url varchar, chunk_number integer, content text, metadata jsonb, source_id text,
    similarity double precision
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY SELECT * FROM match_archon_crawled_pages_multi(
        query_embedding, 1536, match_count, filter, source_filter);
END
$$;

CREATE FUNCTION match_archon_code_examples_multi(
    query_embedding vector,
    embedding_dimension integer,
    match_count integer DEFAULT 10,
    filter jsonb DEFAULT '{}',
    source_filter text DEFAULT NULL
) RETURNS TABLE (
    id bigint, url varchar, chunk_number integer, content text, summary text, metadata jsonb,
    source_id text, similarity double precision
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT e.id, e.url, e.chunk_number, e.content, e.summary, e.metadata, e.source_id,
                1 - (e.%1$I <=> $1)
         FROM archon_code_examples e
         WHERE e.%1$I IS NOT NULL AND e.metadata @> $2 AND ($3 IS NULL OR e.source_id = $3)
         ORDER BY e.%1$I <=> $1 LIMIT $4', get_embedding_column_name(embedding_dimension))
    USING query_embedding, filter, source_filter, match_count;
END
$$;

CREATE FUNCTION match_archon_code_examples(
    query_embedding vector,
    match_count integer DEFAULT 10,
    filter jsonb DEFAULT '{}',
    source_filter text DEFAULT NULL
) RETURNS TABLE (
    id bigint, url varchar, chunk_number integer, content text, summary text, metadata jsonb,
    source_id text, similarity double precision
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY SELECT * FROM match_archon_code_examples_multi(
        query_embedding, 1536, match_count, filter, source_filter);
END
$$;

-- Hybrid search: what is near in meaning, and what contains the words ------------------------

CREATE FUNCTION hybrid_search_archon_crawled_pages_multi(
    query_embedding vector,
    embedding_dimension integer,
    query_text text,
    match_count integer DEFAULT 10,
    filter jsonb DEFAULT '{}',
    source_filter text DEFAULT NULL
) RETURNS TABLE (
    id bigint, url varchar, chunk_number integer, content text, metadata jsonb, source_id text,
    similarity double precision, match_type text
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH near AS (
        SELECT m.id, m.similarity FROM match_archon_crawled_pages_multi(
            query_embedding, embedding_dimension, match_count, filter, source_filter) m
    ), words AS (
        SELECT p.id, ts_rank_cd(p.content_search_vector, query)::double precision AS similarity
        FROM archon_crawled_pages p, plainto_tsquery('english', query_text) query
        WHERE p.content_search_vector @@ query AND p.metadata @> filter
            AND (source_filter IS NULL OR p.source_id = source_filter)
        ORDER BY 2 DESC, 1 LIMIT match_count
    )
    SELECT p.id, p.url, p.chunk_number, p.content, p.metadata, p.source_id,
        coalesce(near.similarity, words.similarity) AS score,
        CASE WHEN words.id IS NULL THEN 'vector' WHEN near.id IS NULL THEN 'keyword'
             ELSE 'hybrid' END
    FROM near FULL JOIN words USING (id) JOIN archon_crawled_pages p USING (id)
    ORDER BY score DESC, p.id LIMIT match_count;
END
$$;

CREATE FUNCTION hybrid_search_archon_crawled_pages(
    query_embedding vector,
    query_text text,
    match_count integer DEFAULT 10,
    filter jsonb DEFAULT '{}',
    source_filter text DEFAULT NULL
) RETURNS TABLE (
    id bigint, url varchar, chunk_number integer, content text, metadata jsonb, source_id text,
    similarity double precision, match_type text
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY SELECT * FROM hybrid_search_archon_crawled_pages_multi(
        query_embedding, 1536, query_text, match_count, filter, source_filter);
END
$$;

CREATE FUNCTION hybrid_search_archon_code_examples_multi(
    query_embedding vector,
    embedding_dimension integer,
    query_text text,
    match_count integer DEFAULT 10,
    filter jsonb DEFAULT '{}',
    source_filter text DEFAULT NULL
) RETURNS TABLE (
    id bigint, url varchar, chunk_number integer, content text, summary text, metadata jsonb,
    source_id text, similarity double precision, match_type text
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH near AS (
        SELECT m.id, m.similarity FROM match_archon_code_examples_multi(
            query_embedding, embedding_dimension, match_count, filter, source_filter) m
    ), words AS (
        SELECT e.id, ts_rank_cd(e.content_search_vector, query)::double precision AS similarity
        FROM archon_code_examples e, plainto_tsquery('english', query_text) query
        WHERE e.content_search_vector @@ query AND e.metadata @> filter
            AND (source_filter IS NULL OR e.source_id = source_filter)
        ORDER BY 2 DESC, 1 LIMIT match_count
    )
    SELECT e.id, e.url, e.chunk_number, e.content, e.summary, e.metadata, e.source_id,
        coalesce(near.similarity, words.similarity) AS score,
        CASE WHEN words.id IS NULL THEN 'vector' WHEN near.id IS NULL THEN 'keyword'
             ELSE 'hybrid' END
    FROM near FULL JOIN words USING (id) JOIN archon_code_examples e USING (id)
    ORDER BY score DESC, e.id LIMIT match_count;
END
$$;

CREATE FUNCTION hybrid_search_archon_code_examples(
    query_embedding vector,
    query_text text,
    match_count integer DEFAULT 10,
    filter jsonb DEFAULT '{}',
    source_filter text DEFAULT NULL
) RETURNS TABLE (
    id bigint, url varchar, chunk_number integer, content text, summary text, metadata jsonb,
    source_id text, similarity double precision, match_type text
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY SELECT * FROM hybrid_search_archon_code_examples_multi(
        query_embedding, 1536, query_text, match_count, filter, source_filter);
END
$$;
