"""Control commands: each is a chain of its own, one step per task, resumable at any point."""
