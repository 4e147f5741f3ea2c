"""Fixtures, factories and servers for the tests."""
