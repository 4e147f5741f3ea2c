"""The problem. A flat module here is pure; a sub-package touches the world; pure never imports a sub-package."""
