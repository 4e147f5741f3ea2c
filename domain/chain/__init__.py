"""Solana: program codec, transactions, RPC."""
