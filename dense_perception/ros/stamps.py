"""Times of messages in seconds."""

from __future__ import annotations

import time

from builtin_interfaces.msg import Time


def seconds(stamp: Time) -> float:
    """A stamp in seconds, to about a microsecond."""
    return stamp.sec + 1e-9 * stamp.nanosec


def frame_seconds(stamp: Time) -> float:
    """A time that tells frames apart: the stamp or, where a driver leaves it zero, that of now."""
    return seconds(stamp) or time.monotonic()
