-- Approximate search; 3072 dimensions are more than an index of pgvector holds.

CREATE INDEX idx_archon_crawled_pages_embedding_384 ON archon_crawled_pages
    USING ivfflat (embedding_384 vector_cosine_ops) WITH (lists = 100);
CREATE INDEX idx_archon_crawled_pages_embedding_768 ON archon_crawled_pages
    USING ivfflat (embedding_768 vector_cosine_ops) WITH (lists = 100);
CREATE INDEX idx_archon_crawled_pages_embedding_1024 ON archon_crawled_pages
    USING ivfflat (embedding_1024 vector_cosine_ops) WITH (lists = 100);
CREATE INDEX idx_archon_crawled_pages_embedding_1536 ON archon_crawled_pages
    USING ivfflat (embedding_1536 vector_cosine_ops) WITH (lists = 100);

CREATE INDEX idx_archon_code_examples_embedding_384 ON archon_code_examples
    USING ivfflat (embedding_384 vector_cosine_ops) WITH (lists = 100);
CREATE INDEX idx_archon_code_examples_embedding_768 ON archon_code_examples
    USING ivfflat (embedding_768 vector_cosine_ops) WITH (lists = 100);
CREATE INDEX idx_archon_code_examples_embedding_1024 ON archon_code_examples
    USING ivfflat (embedding_1024 vector_cosine_ops) WITH (lists = 100);
CREATE INDEX idx_archon_code_examples_embedding_1536 ON archon_code_examples
    USING ivfflat (embedding_1536 vector_cosine_ops) WITH (lists = 100);
