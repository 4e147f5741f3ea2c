"""The same test bodies over every implementation of a contract."""
