"""What makes a frame's depth metric: the mount before the network, the scale after it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rclpy.node import Node
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.inference.card import OUTPUT_DEPTH, ModelCard
from dense_perception.inference.prediction import Prediction
from dense_perception.ros import mount, scale
from dense_perception.ros.conditions import Conditions, Level
from dense_perception.ros.mount import MountReading
from dense_perception.ros.parameters import Parameters
from dense_perception.ros.transforms import NoTransforms, Transforms, open_transforms

PARAMETERS = (*mount.PARAMETERS, *scale.PARAMETERS)


class Metres:
    """The sources of metres of one camera, asked frame by frame; says as conditions what lacks.

    :param card: of the model that is served first.
    :param transforms: where TF comes from; default tf2_ros if it is installed and needed.
    """

    def __init__(self, node: Node, parameters: Parameters, card: ModelCard,
                 conditions: Conditions, transforms: Transforms | None = None) -> None:
        self._node = node
        self._parameters = parameters
        self._conditions = conditions
        self._transforms = transforms
        self._mounts: mount.MountProvider | None = None
        self._scaler: scale.Scaler | None = None
        self._mount = MountReading(None)
        self._intrinsics: Intrinsics | None = None
        self.serve(card)

    def serve(self, card: ModelCard) -> None:
        """Go over to another model: what is known of the mount stays, the scale begins anew."""
        self._takes_mount = card.takes_mount
        # For the network, for the scale, and to tell ground from obstacles.
        asks_mount = OUTPUT_DEPTH in card.outputs
        needed = (asks_mount and mount.needs_transforms(self._parameters)
                  or scale.needs_transforms(self._parameters, card))
        if needed and self._transforms is None:
            self._transforms = open_transforms(self._node)
        transforms = self._transforms or NoTransforms()
        if asks_mount and self._mounts is None:
            self._mounts = mount.MountProvider(self._node, self._parameters, transforms)
        if self._scaler is not None:
            self._scaler.listen(False)
        self._scaler = scale.Scaler(self._node, self._parameters, card, transforms)

    def listen(self, wanted: bool) -> None:
        """Follow the publishers of the sources, or stop; to be called twice a second."""
        if self._mounts is not None:
            self._mounts.listen(wanted)
        self._scaler.listen(wanted)

    def forget(self) -> None:
        """Time runs backwards: what was received of another time does not count any more."""
        if self._transforms is not None:
            self._transforms.clear()
        if self._mounts is not None:
            self._mounts.forget()
        self._scaler.forget()

    def mount_at(self, header: Header) -> MountReading:
        """How a camera is mounted, for an image apart from the stream."""
        return self._mounts.at(header) if self._mounts else MountReading(None)

    def begin(self, header: Header, intrinsics: Intrinsics | None) -> MountReading:
        """Start with a new image: how its camera is mounted."""
        self._intrinsics = intrinsics
        self._mount = self._mounts.read(header) if self._mounts else MountReading(None)
        return self._mount

    def scaling(self, header: Header) -> Callable[[Prediction], Prediction]:
        """What is to be done with the prediction of the image that was begun with."""
        return partial(self._scaler.apply, header=header, intrinsics=self._intrinsics,
                       mount=self._mount)

    def finish(self, metric: bool) -> str:
        """Raise and clear conditions after an image.

        :param metric: whether its depth is metric now.
        :return: where the metres came from: a mount source, ``ground:`` and one, or ``points``.
        """
        reading = self._scaler.reading
        unmounted = (self._takes_mount and self._mount.mount is None and not metric
                     and self._parameters['mount.source'] != 'none')
        self._set('mount', unmounted and "the camera's mount is unknown, so depth is relative "
                  f'(depth/relative): {self._mount.problem}')
        # Without a mount there is no ground either; one sentence about it is enough.
        told = unmounted and self._parameters['scale.source'] == 'auto'
        self._set('scale', bool(reading.problem) and not told and (
            reading.problem if metric else f'depth is relative (depth/relative): '
            f'{reading.problem}'))
        if reading.source == scale.POINTS:
            return reading.source
        if reading.source == scale.GROUND:
            return f'{reading.source}:{self._mount.source}'
        return self._mount.source if self._takes_mount and self._intrinsics else ''

    def describe(self) -> dict[str, str]:
        """Diagnostics values of the last frame's scale."""
        return self._scaler.describe()

    def _set(self, condition: str, sentence: str | bool) -> None:
        if sentence:
            self._conditions.raise_(condition, Level.WARN, str(sentence))
        else:
            self._conditions.clear(condition)
