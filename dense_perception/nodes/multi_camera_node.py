"""A perception node for each camera, in one process with one engine and one worker thread."""

from __future__ import annotations

import re

from rclpy.node import Node
from rclpy.task import Future

from dense_perception.inference.engines import Engines
from dense_perception.nodes.perception_node import PerceptionNode
from dense_perception.ros.executable import FatalError
from dense_perception.ros.parameters import Declaration, Parameters
from dense_perception.ros.worker import Worker

PARAMETERS = (
    Declaration('cameras', [''], 'Names of the cameras; each has its perception node in the '
                'namespace of its name.', fixed=True),
    Declaration('batching', 'auto', 'Frames of cameras that wait at the same moment go through '
                'the network together: auto = on a GPU, always = on a CPU too, never.', fixed=True,
                choices=('auto', 'always', 'never')))

_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*')


class MultiCameraNode:
    """Starts the nodes ``<namespace>/<camera>/perception``; see docs/nodes.md.

    Each has topics, parameters, life cycle, services and diagnostics of its own. Nodes with one
    model share what is loaded; frames of all cameras are worked off in turn, the newest of each.

    :raises FatalError: the names cannot be used, or one of the nodes cannot start.
    """

    def __init__(self) -> None:
        self.node = Node('multi_camera')
        self.finished = Future()
        parameters = Parameters(self.node, PARAMETERS)
        cameras = _names(parameters['cameras'])
        self._worker = Worker()
        batching = parameters['batching']
        engines = Engines(batch=1 if batching == 'never' else len(cameras),
                          cpu_batch=len(cameras) if batching == 'always' else 1)
        self._cameras: list[PerceptionNode] = []
        for name in cameras:
            self._cameras.append(self._start(name, engines))
        self.nodes = (self.node, *(camera.node for camera in self._cameras))

    def close(self) -> None:
        """Stop the worker thread, and builds of engines."""
        for camera in self._cameras:
            camera.close()
        self._worker.close()

    def _start(self, name: str, engines: Engines) -> PerceptionNode:
        namespace = f'{self.node.get_namespace().rstrip("/")}/{name}'
        try:
            # As arguments of this node alone, because they go before those of the process.
            camera = PerceptionNode(
                engines, self._worker, siblings=[d.name for d in PARAMETERS],
                cli_args=['--ros-args', '-r', f'__ns:={namespace}', '-r', '__node:=perception'])
        except FatalError as error:
            self.close()
            for camera in self._cameras:
                camera.node.destroy_node()
            raise FatalError(f'camera {name}: {error}') from None
        camera.finished.add_done_callback(self._end)
        return camera

    def _end(self, future: Future) -> None:
        if not self.finished.done():
            self.finished.set_exception(future.exception())


def _names(cameras: list[str]) -> list[str]:
    if cameras == ['']:
        raise FatalError('parameter cameras is empty; name the cameras, as in '
                         '-p "cameras:=[front, rear]"')
    wrong = [name for name in cameras if not _NAME.fullmatch(name)]
    if wrong:
        raise FatalError(f'parameter cameras: "{wrong[0]}" cannot be a namespace; letters, digits '
                         'and _ can, parts separated by /')
    if len(set(cameras)) < len(cameras):
        raise FatalError(f'parameter cameras: {", ".join(cameras)} has a name twice')
    return cameras
