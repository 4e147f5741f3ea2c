"""Everything that runs, measures or ships the service."""
