"""Telling others: log file, pings, channels of apprise. Failures are returned, never raised."""
