"""What every subcommand shares."""

from __future__ import annotations


class CommandError(Exception):
    """A command that cannot do its work; the message is the one sentence that the user gets."""
