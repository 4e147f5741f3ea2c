"""The echo benchmark: WebSocket echo servers, and a client that measures any of them honestly."""
