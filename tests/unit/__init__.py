"""No sockets, seconds."""
