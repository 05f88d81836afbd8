-- What came with PostgreSQL 14 and 15.
CREATE FUNCTION house.standard(a varchar) RETURNS bool LANGUAGE sql
    BEGIN ATOMIC SELECT a IN ('a', 'b'); END;
CREATE STATISTICS house.computed ON (lower(name)), (price + 1) FROM house.things;
CREATE VIEW house.invoked WITH (security_invoker) AS SELECT 1 AS one;
CREATE TABLE house.nulls (a int, UNIQUE NULLS NOT DISTINCT (a));
ALTER TABLE house.nulls ADD COLUMN b text COMPRESSION pglz;
CREATE PUBLICATION columns FOR TABLE house.nulls (a) WHERE (a > 5);
CREATE PUBLICATION schemas FOR TABLES IN SCHEMA house;
