"""The gateway's memory: one SQLite file, written by one thread, read by anybody."""
