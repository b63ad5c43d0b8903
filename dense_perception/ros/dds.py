"""The Fast DDS profile that lets images and clouds pass between processes."""

from __future__ import annotations

import os
from pathlib import Path

PROFILE = Path(__file__).with_name('fastdds.xml')
"""Shipped as package data, next to this file: the one place that a wheel, an editable install
and a colcon workspace have in common."""

PROFILE_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'

SEGMENT_BYTES = 16 * 2 ** 20
"""Shared-memory segment of ``PROFILE``: a message beyond it needs a larger one."""


def use_shipped_profile() -> None:
    """Let Fast DDS read ``PROFILE`` unless the user has chosen a profile file.

    Must be called before ``rclpy.init``: Fast DDS reads the variable once per process.
    """
    os.environ.setdefault(PROFILE_VARIABLE, str(PROFILE))


def shipped_profile_in_use() -> bool:
    """True if Fast DDS reads ``PROFILE``."""
    return os.environ.get(PROFILE_VARIABLE) == str(PROFILE)
