"""Point-in-time recovery: pgBackRest where the server is, and the sandbox that it recovers in."""
