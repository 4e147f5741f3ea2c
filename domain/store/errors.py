"""What can go wrong with the store; errors of the Redis client never leave this package."""

from __future__ import annotations

from domain.errors import StressError


class StoreError(StressError):
    """The store could not do what it was asked."""


class StoreUnavailable(StoreError):  # noqa: N818  a state, named as one
    """Redis cannot be reached, or cannot serve now (loading, out of memory, read-only). Try again later."""


class StoreFailed(StoreError):  # noqa: N818  a state, named as one
    """Redis answered with an error that will not go away by itself: a bug of ours, or foreign data under our keys."""


class StoreConflict(StoreError):  # noqa: N818  a state, named as one
    """Another writer got in between too often, or an id is already used for something else."""


class KeyNotSealed(StoreError):  # noqa: N818  a state, named as one
    """A wallet key was offered in the clear; it was not stored."""
