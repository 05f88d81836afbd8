"""Where bytes rest: the backup directory, its files, its lock and its run records."""
