"""Point-in-time recovery, pure: what pgBackRest is told and answers, and moments in time."""
