"""The live page at ``/`` and what it reads: server-sent events, history, threads, faults."""
