"""Frames rendered live from the procedural world."""

from __future__ import annotations

from collections.abc import Iterator

from dense_perception.sources.base import Frame, SourceError


class World:
    """An endless drive through procedural scenes, with true depth and labels.

    :param rate: frames per second of the drive's own time.
    :raises SourceError: MuJoCo or an OpenGL library that it can render with is missing.
    """

    live = False

    def __init__(self, seed: int, width: int, height: int, rate: float) -> None:
        self._arguments = {'seed': seed, 'width': width, 'height': height, 'rate': rate}
        self._rate = rate
        # The first frame is what tells whether rendering works here.
        next(self.frames())

    def frames(self) -> Iterator[Frame]:
        """See :class:`Source`."""
        try:
            from dense_perception.world.drive import drive
            from dense_perception.world.renderer import RenderError
        except ImportError as error:
            raise SourceError(f'the procedural world needs MuJoCo (pip install mujoco): {error}'
                              ) from None
        try:
            for index, view in enumerate(drive(**self._arguments)):
                yield Frame(view.image, view.intrinsics, view.mount, view.depth, view.labels,
                            round(index * 1e9 / self._rate))
        except RenderError as error:
            raise SourceError(f'the procedural world cannot be rendered: {error}') from None
