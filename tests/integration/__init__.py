"""Real Redis, real workers, the local chain."""
