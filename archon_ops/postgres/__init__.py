"""How one PostgreSQL is reached and driven."""
