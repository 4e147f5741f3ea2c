"""The JSON-RPC methods by subject, and the dispatcher that calls them."""
