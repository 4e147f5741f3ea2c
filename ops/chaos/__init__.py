"""Killing and freezing processes under load, with a closing account."""
