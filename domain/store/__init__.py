"""Redis: keys, scripts and typed wrappers."""
