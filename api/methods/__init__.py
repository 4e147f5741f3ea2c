"""JSON-RPC methods, one module per subject."""
