"""Process plumbing shared by the edges: settings, logs, wiring."""
