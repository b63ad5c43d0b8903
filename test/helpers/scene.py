"""A perception node under test, its camera, and everything that came out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from helpers.camera import Camera, time_of
from helpers.graph import Graph, NodeProcess
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from dense_perception_msgs.msg import InferenceStatus

MOUNTED = {'mount__height': 0.8, 'mount__pitch': 0.3}


class Scene:
    """A perception node, a camera and everything that came out so far."""

    def __init__(self, graph: Graph, *arguments: str, compressed: bool = False,
                 **parameters: Any) -> None:
        self.graph = graph
        if compressed:
            parameters |= {'input_transport': 'compressed'}
        self.process: NodeProcess = graph.start('perception', *arguments, **parameters)
        self.camera = (Camera(graph, 'image/compressed', message_type=CompressedImage)
                       if compressed else Camera(graph))
        self._forgotten: set[tuple[int, int]] = set()
        self.masks = self._collect(Image, 'segmentation/mask')
        self.depths = self._collect(Image, 'depth/image_rect')
        self.relatives = self._collect(Image, 'depth/relative')
        self.infos = self._collect(CameraInfo, 'depth/camera_info')
        self.clouds = self._collect(PointCloud2, 'depth/points')
        self.statuses = self._collect(InferenceStatus, 'perception/status')
        self.diagnostics = graph.collect(DiagnosticArray, '/diagnostics')

    def _collect(self, message_type: type, topic: str) -> list[Any]:
        return self.graph.collect(message_type, topic,
                                  wanted=lambda m: time_of(m.header) not in self._forgotten)

    def until(self, condition: Callable[[], Any], what: str,
              publish: Callable[[], Any] | None = None) -> Any:
        return self.graph.spin_until(condition, what, publish)

    def until_works(self) -> None:
        """Good images lead to metric depth, whatever came before."""
        self.depths.clear()
        self.until(lambda: self.depths, 'metric depth', self.camera.publish)

    def said(self, words: str, level: bytes, publish: Callable[[], Any]) -> DiagnosticStatus:
        """Diagnostics with these words, which are also in the log."""
        def found() -> DiagnosticStatus | None:
            return next((s for a in self.diagnostics for s in a.status if words in s.message),
                        None)

        status = self.until(found, f'diagnostics that say "{words}"', publish)
        assert status.level == level
        assert words in self.process.log
        assert 'Traceback' not in self.process.log
        assert self.process.exit_code is None
        return status

    def forget(self) -> None:
        """Empty the lists; what still comes of images that were sent before is left out."""
        self._forgotten |= {time_of(header) for header in self.camera.headers}
        for messages in (self.masks, self.depths, self.relatives, self.infos, self.clouds,
                         self.statuses, self.diagnostics):
            messages.clear()
