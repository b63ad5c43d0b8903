"""Alignments over time: smoothed, held for a while when one is missing, and watched for drift."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from dense_perception.geometry.jumps import JumpGate
from dense_perception.geometry.scale import Alignment

DRIFT_WINDOW_S = 60.0

_JUMP = math.log(1.25)
_JUMP_CONFIRM_S = 0.5
_FORGOTTEN_S = 2.0  # after so long without an alignment no change is too large
_DRIFT_STEP_S = 1.0


@dataclass(frozen=True)
class Scaling:
    """The alignment to use for a frame, or None and why there is none.

    ``problem`` without being None also says that ``alignment`` is an earlier frame's.
    """

    alignment: Alignment | None
    problem: str = ''


class ScaleFilter:
    """Turns the alignments of single frames into the one to use.

    :param smoothing_s: time constant of an exponential mean of scale and shift; 0 = none.
    :param hold_s: for so long the last alignment stays in use when frames have none.
    """

    def __init__(self, smoothing_s: float, hold_s: float) -> None:
        self.smoothing_s, self.hold_s = smoothing_s, hold_s
        self._gate: JumpGate[Alignment] = JumpGate(_implausible, _JUMP_CONFIRM_S)
        self._used: tuple[Alignment, float] | None = None
        self._history: deque[tuple[float, Alignment]] = deque()

    def update(self, found: Alignment | str, time_s: float) -> Scaling:
        """Take in one frame.

        :param found: its alignment, or why it has none.
        :param time_s: its time in seconds; running backwards, as at a bag's new start, forgets.
        """
        if self._used is not None and time_s < self._used[1]:
            self._used = None
            self._history.clear()
        if isinstance(found, str):
            if self._used is not None and time_s - self._used[1] < self.hold_s:
                return Scaling(self._used[0], f'{found}; the last scale is held')
            return Scaling(None, found)
        if not self._gate.passes(found, time_s):
            # Not held either: the frame itself speaks against the last scale.
            return Scaling(None, 'the scale jumps between frames')
        self._used = self._smoothed(found, time_s), time_s
        self._remember(*self._used)
        return Scaling(self._used[0])

    @property
    def drift(self) -> float:
        """Relative change of depth for the same prediction over the last minute at most.

        0.02: the alignment makes 2 % more metres of the same prediction than it did.
        """
        if len(self._history) < 2:
            return 0.0
        return self._history[-1][1].depth_ratio(self._history[0][1]) - 1

    def _smoothed(self, found: Alignment, time_s: float) -> Alignment:
        if self._used is None or self.smoothing_s == 0:
            return found
        last, last_s = self._used
        if time_s - last_s > _FORGOTTEN_S or _implausible(last, found, 0.0):
            return found
        # Scale and shift enter linearly, so this is the mean of the aligned values.
        share = 1 - math.exp(-(time_s - last_s) / self.smoothing_s)
        return replace(found, scale=last.scale + share * (found.scale - last.scale),
                       shift=last.shift + share * (found.shift - last.shift))

    def _remember(self, alignment: Alignment, time_s: float) -> None:
        if len(self._history) >= 2 and time_s - self._history[-2][0] < _DRIFT_STEP_S:
            self._history.pop()
        self._history.append((time_s, alignment))
        while time_s - self._history[0][0] > DRIFT_WINDOW_S:
            self._history.popleft()


def _implausible(earlier: Alignment, later: Alignment, seconds: float) -> bool:
    if seconds > _FORGOTTEN_S:
        return False
    ratio = later.depth_ratio(earlier)
    return not (ratio > 0 and abs(math.log(ratio)) <= _JUMP)
