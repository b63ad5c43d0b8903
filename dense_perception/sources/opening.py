"""Open a source by what its name stands for."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from dense_perception.sources.base import Lens, Source, SourceError, Warn

DEMO_CLIP = Path(__file__).resolve().parent.parent / 'assets' / 'demo_clip'

KINDS = ('a folder of pictures, a picture, a video file, a rosbag2 bag (folder, .mcap or .db3), '
         '/dev/videoN or webcam:N, world or world:SEED, or demo')

_LOGGER = logging.getLogger(__name__)
_WEBCAM = re.compile(r'(?:/dev/video|webcam:)(\d+)')
_WORLD = re.compile(r'world(?::(\d+))?')
_WORLD_SIZE = 640, 480
_WORLD_RATE = 15.0


def open_source(spec: str, *, horizontal_fov: float = 60.0, width: int = 0, height: int = 0,
                rate: float = 0.0, warn: Warn = _LOGGER.warning) -> Source:
    """Open what ``spec`` names.

    :param spec: a folder of pictures, a picture, a video file, a rosbag2 bag (folder, .mcap or
        .db3), ``/dev/videoN`` or ``webcam:N``, ``world`` or ``world:SEED``, or ``demo``.
    :param horizontal_fov: degrees, assumed where the source has no calibration.
    :param width: asked of webcam and world; 0 = their own.
    :param height: likewise.
    :param rate: frames per second of the world's drive; 0 = its own.
    :raises SourceError: there is no such source, or it cannot be read.
    """
    lens = Lens(horizontal_fov, warn)
    if match := _WEBCAM.fullmatch(spec):
        from dense_perception.sources.video import Webcam
        return Webcam(int(match[1]), lens, width, height)
    if match := _WORLD.fullmatch(spec):
        from dense_perception.sources.procedural import World
        return World(int(match[1] or 0), width or _WORLD_SIZE[0], height or _WORLD_SIZE[1],
                     rate or _WORLD_RATE)
    if spec == 'demo' and not DEMO_CLIP.is_dir():
        raise SourceError('the demo clip is not part of this installation; give '
                          f'{KINDS.removesuffix(", or demo")}')
    return _open_path(DEMO_CLIP if spec == 'demo' else Path(spec).expanduser(), spec, lens, warn)


def _open_path(path: Path, spec: str, lens: Lens, warn: Warn) -> Source:
    if not spec or not path.exists():
        raise SourceError(f'there is no source "{spec}"; give {KINDS}')
    if (path / 'metadata.yaml').exists() or path.suffix in ('.mcap', '.db3'):
        from dense_perception.sources.bag import Bag
        return Bag(path, lens, warn)
    from dense_perception.sources.pictures import SUFFIXES, Pictures, pictures_in
    if path.is_dir():
        return Pictures(pictures_in(path), lens, warn)
    if path.suffix.lower() in SUFFIXES:
        return Pictures([path], lens, warn)
    from dense_perception.sources.video import VideoFile
    return VideoFile(path, lens)
