"""The load: planned messages, connections, and what became of every message."""
