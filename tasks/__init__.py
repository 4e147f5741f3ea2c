"""The Celery edge: cycles, control commands and the supervisor."""
