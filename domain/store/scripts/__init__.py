"""Lua scripts, one verb per file, loaded by name."""
