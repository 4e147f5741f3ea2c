"""What each kind of chain does in one cycle; the walk itself is tasks/runner.py."""
