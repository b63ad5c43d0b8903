"""The stamps of a camera's images against each other and against the node's clock."""

from __future__ import annotations

import math

from rclpy.clock import Clock
from rclpy.time import Time
from std_msgs.msg import Header

from dense_perception.ros.conditions import Conditions, Level

_BACKWARDS_NS = 500_000_000  # less is a message that was overtaken
_AHEAD_MS = 50.0


class ImageTimes:
    """Says as conditions what is wrong with stamps, and when time has begun anew.

    :param clock: of the node.
    :param topic: resolved name of the image topic.
    """

    def __init__(self, clock: Clock, conditions: Conditions, topic: str) -> None:
        self._clock = clock
        self._conditions = conditions
        self._topic = topic
        self._last_ns = 0

    def age_ms(self, header: Header) -> float:
        """Milliseconds on the node's clock since the stamp.

        NaN where they are unknown: the stamp is zero, or later than now.
        """
        ahead = self._ahead_ms(header)
        return -ahead if ahead <= 0 else math.nan

    def begins_anew(self, header: Header) -> bool:
        """Take in the next image: whether its time is clearly before that of the last one.

        So it is after a simulation was reset or a bag started again.
        """
        stamp, last = header.stamp.sec * 10 ** 9 + header.stamp.nanosec, self._last_ns
        self._check(header, stamp, last)
        if stamp:
            self._last_ns = stamp
        return 0 < stamp < last - _BACKWARDS_NS

    def _check(self, header: Header, stamp: int, last: int) -> None:
        problem = ''
        if not stamp:
            problem = ('images have no time (stamp 0): their age is unknown, and what is to be '
                       'found at their time cannot be')
        elif stamp == last:
            problem = 'images have the same stamp, so nobody can tell their outputs apart'
        elif stamp < last - _BACKWARDS_NS:
            problem = 'the stamps ran backwards; what belonged to the time before is forgotten'
        elif stamp < last:
            problem = 'images come in another order than they were taken'
        elif self._clock.now().nanoseconds and self._ahead_ms(header) > _AHEAD_MS:
            problem = ("images are stamped in the future of the node's clock: synchronise the "
                       'clocks of the machines, or set use_sim_time on all nodes or on none')
        if problem:
            self._conditions.raise_('stamps', Level.WARN, f'{self._topic}: {problem}')
        else:
            self._conditions.clear('stamps')

    def _ahead_ms(self, header: Header) -> float:
        stamp = header.stamp
        if stamp.sec == 0 and stamp.nanosec == 0:
            return math.nan
        now = self._clock.now()
        return (Time.from_msg(stamp, now.clock_type) - now).nanoseconds * 1e-6
