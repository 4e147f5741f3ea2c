"""The local chain: a Solana JSON-RPC server over LiteSVM, for machines without a validator (DESIGN 9).

`python -m ops.localnet` starts it; `ops.localnet.server.run` is the same as a function.
"""
