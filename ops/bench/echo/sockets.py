"""What both sides need for thousands of connections."""

from __future__ import annotations

import resource


def allow_many_sockets() -> None:
    """As many open files as this process may have without asking anybody: often 1,024 are the default."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
