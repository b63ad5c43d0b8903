"""Frames from a rosbag2 bag, without a ROS installation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from dense_perception.geometry.camera_info import (
    CameraInfoError,
    distortion_of,
    intrinsics_from_info,
)
from dense_perception.geometry.mount import Mount, MountError
from dense_perception.sources import bag_images
from dense_perception.sources.base import Frame, Lens, SourceError, Warn

_IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
_INFO = 'sensor_msgs/msg/CameraInfo'
_MOUNT = 'dense_perception_msgs/msg/CameraMount'

SAME_FRAME_NS = 10_000_000
"""Truth belongs to the image whose stamp is at most this far away."""


class Bag:
    """A recording: colour images and what belongs to them, found by type.

    Colour: an Image or CompressedImage (JPEG, PNG). Truth: depth (16UC1 mm, 32FC1 m or
    compressedDepth) and labels (mono8 on a topic that ends in ``mask``). Intrinsics: CameraInfo.
    Mount: CameraMount. Where several topics fit, one under ``ground_truth`` is preferred for
    truth, then the first by name.

    :param path: folder with metadata.yaml, or one .mcap or .db3 file.
    :raises SourceError: it cannot be read or has no colour images.
    """

    live = False

    def __init__(self, path: Path, lens: Lens, warn: Warn) -> None:
        self._path = path
        self._lens = lens
        self._warn = warn
        with self._open() as reader:
            found = self._topics(reader)
        if not found['colour']:
            raise SourceError(f'bag {path} has no colour images (sensor_msgs/Image or '
                              'CompressedImage)')
        if len(found['colour']) > 1:
            warn(f'bag {path} has several image topics ({", ".join(found["colour"])}); '
                 f'{found["colour"][0]} is played')
        namespace = found['colour'][0].removesuffix('/compressed').rpartition('/')[0]
        found['info'].sort(key=lambda topic: topic != f'{namespace}/camera_info')
        self._kinds = {topics[0]: kind for kind, topics in found.items() if topics}

    @property
    def topics(self) -> dict[str, str]:
        """Topic of each kind that is there: colour, depth, labels, info, mount."""
        return {kind: topic for topic, kind in self._kinds.items()}

    def count(self, kind: str) -> int:
        """Number of messages of a kind; 0 if it is not there."""
        with self._open() as reader:
            return sum(c.msgcount for c in reader.connections if self._kinds.get(c.topic) == kind)

    def frames(self) -> Iterator[Frame]:
        """See :class:`Source`; images that cannot be decoded are left out, and counted."""
        broken = 0
        with self._open() as reader:
            for _, colour, belongings in self._grouped(reader):
                try:
                    yield self._frame(colour, belongings)
                except bag_images.DecodeError:
                    broken += 1
        if broken:
            self._warn(f'{broken} images in bag {self._path} cannot be decoded and were left out')

    @property
    def kinds(self) -> frozenset[str]:
        """What the bag has: ``colour``, ``depth``, ``labels``, ``info``, ``mount``."""
        return frozenset(self._kinds.values())

    def _open(self) -> AnyReader:
        try:
            reader = AnyReader([self._path],
                               default_typestore=get_typestore(Stores.ROS2_JAZZY))
            reader.open()
        except Exception as error:  # rosbags lets through what its storages raise
            raise SourceError(f'{self._path} is no readable rosbag2 bag: {error}') from None
        return _Opened(reader)

    def _topics(self, reader: AnyReader) -> dict[str, list[str]]:
        """Topics by kind, the preferred one of each first."""
        found: dict[str, list[str]] = {k: [] for k in ('colour', 'depth', 'labels', 'info',
                                                       'mount')}
        for connection in sorted(reader.connections, key=lambda c: c.topic):
            if connection.msgtype in _IMAGES:
                _, first = next(self._messages(reader, [connection]), (None, None))
                kind = first and bag_images.kind_of(connection.topic, first)
            else:
                kind = {_INFO: 'info', _MOUNT: 'mount'}.get(connection.msgtype)
            if kind and connection.topic not in found[kind]:
                found[kind].append(connection.topic)
        for kind in ('depth', 'labels'):
            found[kind].sort(key=lambda topic: 'ground_truth' not in topic)
        return found

    def _messages(self, reader: AnyReader, connections: list) -> Iterator[tuple[str, Any]]:
        for _, connection, raw in self._raw(reader, connections):
            yield connection.topic, self._decoded(reader, connection, raw)

    def _raw(self, reader: AnyReader, connections: list,
             **span: int) -> Iterator[tuple[int, Any, bytes]]:
        """Time, connection and bytes of each message; ``span``: ``start`` and ``stop`` times."""
        try:
            for connection, time, raw in reader.messages(connections, **span):
                yield time, connection, raw
        except Exception as error:  # rosbags lets through what its storages raise
            raise SourceError(f'bag {self._path} is damaged: {error}') from None

    def _decoded(self, reader: AnyReader, connection: Any, raw: bytes) -> Any:
        try:
            return reader.deserialize(raw, connection.msgtype)
        except Exception as error:  # rosbags lets through what its parser raises
            raise SourceError(f'bag {self._path} is damaged: {error}') from None

    def _grouped(self, reader: AnyReader,
                 **span: int) -> Iterator[tuple[int, Any, dict[str, Any]]]:
        """Colour messages with their times, each with the messages that belong to it."""
        recent: dict[str, deque] = {kind: deque(maxlen=4) for kind in self._kinds.values()}
        pending = None

        def belongings(colour: Any) -> dict[str, Any]:
            stamp = _stamp_ns(colour)
            result = {k: recent[k][-1] for k in ('info', 'mount') if recent.get(k)}
            for kind in ('depth', 'labels'):
                nearest = min(recent.get(kind, ()), default=None,
                              key=lambda m: abs(_stamp_ns(m) - stamp))
                if nearest is not None and abs(_stamp_ns(nearest) - stamp) <= SAME_FRAME_NS:
                    result[kind] = nearest
            return result

        used = [c for c in reader.connections if c.topic in self._kinds]
        for time, connection, raw in self._raw(reader, used, **span):
            kind, message = self._kinds[connection.topic], self._decoded(reader, connection, raw)
            if kind != 'colour':
                recent[kind].append(message)
                continue
            # Truth may be recorded after its image: it is complete when the next image comes.
            if pending is not None:
                yield *pending, belongings(pending[1])
            pending = time, message
        if pending is not None:
            yield *pending, belongings(pending[1])

    def _frame(self, colour: Any, belongings: dict[str, Any]) -> Frame:
        image = bag_images.colour(colour)
        height, width = image.shape[:2]
        depth, labels = belongings.get('depth'), belongings.get('labels')
        info = belongings.get('info')
        return Frame(
            image=image, intrinsics=self._intrinsics(info, width, height),
            mount=_mount(belongings.get('mount')),
            depth=None if depth is None else bag_images.depth(depth),
            labels=None if labels is None else bag_images.labels(labels),
            stamp_ns=_stamp_ns(colour), distortion=info and distortion_of(info))

    def _intrinsics(self, info: Any, width: int, height: int):
        if info is None:
            return self._lens.intrinsics(width, height)
        try:
            return intrinsics_from_info(info, width, height, rectified=False)
        except CameraInfoError as error:
            raise SourceError(f'bag {self._path}: {error}') from None


class _Opened:
    """An opened reader that a with statement closes."""

    def __init__(self, reader: AnyReader) -> None:
        self._reader = reader

    def __enter__(self) -> AnyReader:
        return self._reader

    def __exit__(self, *_: object) -> None:
        self._reader.close()


def _mount(message: Any) -> Mount | None:
    if message is None:
        return None
    try:
        return Mount((message.gravity.x, message.gravity.y, message.gravity.z), message.height)
    except MountError:
        return None  # height 0: recorded as unknown


def _stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
