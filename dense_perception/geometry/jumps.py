"""Values that may not jump: an implausible change counts only once it has lasted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar('T')


class JumpGate(Generic[T]):
    """Lets plausible changes pass at once, and a jump after it has stood for a while.

    One wrong value among good ones never passes, nor do two that take turns; a real change does,
    a little late.

    :param implausible: called with an earlier value, a later one and the seconds between them:
        whether nothing real changes like that.
    :param confirm_s: for so long the values after a jump must agree with each other.
    """

    def __init__(self, implausible: Callable[[T, T, float], bool], confirm_s: float) -> None:
        self._implausible = implausible
        self._confirm_s = confirm_s
        self._accepted: tuple[T, float] | None = None
        self._candidate: tuple[T, float] | None = None
        self._since = 0.0

    def passes(self, value: T, time_s: float) -> bool:
        """Whether ``value`` at ``time_s`` (seconds, any epoch) may be used.

        Time that runs backwards, as at a bag's new start, begins anew.
        """
        if self._jumps(self._accepted, value, time_s):
            if self._candidate is None or self._jumps(self._candidate, value, time_s):
                self._since = time_s
            self._candidate = value, time_s
            if time_s - self._since < self._confirm_s:
                return False
        self._accepted, self._candidate = (value, time_s), None
        return True

    def _jumps(self, earlier: tuple[T, float] | None, value: T, time_s: float) -> bool:
        return earlier is not None and time_s >= earlier[1] and self._implausible(
            earlier[0], value, time_s - earlier[1])
