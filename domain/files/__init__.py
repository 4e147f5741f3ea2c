"""The data folder: an export of what Redis holds, and an import when Redis is empty (DESIGN.md 5, PER-01 to PER-30)."""
