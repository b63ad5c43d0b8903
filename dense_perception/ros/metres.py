"""What makes a frame's depth metric: the mount before the network, the scale after it."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Circumstances:
    """Of one image: its header, its intrinsics if known, and how its camera was mounted then."""

    header: Header
    intrinsics: Intrinsics | None
    mount: MountReading


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

    def begin(self, header: Header, intrinsics: Intrinsics | None) -> Circumstances:
        """Start with a new image; the one before need not be finished yet."""
        return Circumstances(header, intrinsics, self._mounts.read(header) if self._mounts
                             else MountReading(None))

    def scale(self, image: Circumstances, prediction: Prediction) -> Prediction:
        """The prediction of an image, with metric depth if a source gives its scale."""
        return self._scaler.apply(prediction, image.header, image.intrinsics, image.mount)

    def finish(self, image: Circumstances, metric: bool) -> str:
        """Raise and clear conditions after ``scale``, before the next image is scaled.

        :param metric: whether its depth is metric now.
        :return: where the metres came from: a mount source, ``ground:`` and one, or ``points``.
        """
        reading, mounted = self._scaler.reading, image.mount
        unmounted = (self._takes_mount and mounted.mount is None and not metric
                     and self._parameters['mount.source'] != 'none')
        self._set('mount', unmounted and "the camera's mount is unknown, so depth is relative "
                  f'(depth/relative): {mounted.problem}')
        # Without a mount there is no ground either; one sentence about it is enough.
        told = unmounted and self._parameters['scale.source'] == 'auto'
        self._set('scale', bool(reading.problem) and not told and (
            reading.problem if metric else f'depth is relative (depth/relative): '
            f'{reading.problem}'))
        if reading.source == scale.POINTS:
            return reading.source
        if reading.source == scale.GROUND:
            return f'{reading.source}:{mounted.source}'
        return mounted.source if self._takes_mount and image.intrinsics else ''

    def describe(self) -> dict[str, str]:
        """Diagnostics values of the last frame's scale."""
        return self._scaler.describe()

    def _set(self, condition: str, sentence: str | bool) -> None:
        if sentence:
            self._conditions.raise_(condition, Level.WARN, str(sentence))
        else:
            self._conditions.clear(condition)
