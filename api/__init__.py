"""The web edge: Flask JSON-RPC. It reads state and sends commands by name; it never runs a cycle."""
