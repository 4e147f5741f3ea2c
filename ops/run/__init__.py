"""The main job: create, start, drive, stop, audit, report."""
