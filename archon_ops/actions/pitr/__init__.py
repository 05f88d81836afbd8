"""Point-in-time recovery: whole clusters and their WAL, backed up by pgBackRest, proven here."""
