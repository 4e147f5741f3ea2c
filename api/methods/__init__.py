"""The JSON-RPC methods, by subject; api/methods/table.py lists them all."""
