"""The local chain: a Solana JSON-RPC server over LiteSVM."""
