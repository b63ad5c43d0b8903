"""Checks of a camera's topics: images, calibration, mount."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from dense_perception.cli.doctoring.findings import Finding, fail, ok, warn
from dense_perception.cli.doctoring.tf_tree import TfTree
from dense_perception.cli.doctoring.watcher import Heard, Watcher, names_of
from dense_perception.inference.card import ModelCard
from dense_perception.ros import dds
from dense_perception.ros.camera import Camera
from dense_perception.ros.compressed import colour_from_compressed
from dense_perception.ros.conditions import Conditions
from dense_perception.ros.images import ImageError, colour_from_image
from dense_perception.ros.mount import mount_from_message

_SLOW_HZ = 1.0
_OLD_S = 1.0
_FUTURE_S = 0.1
_IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')


@dataclass
class CameraTopics:
    """The topics of one camera and what came on them.

    ``simulated``: stamps are not of this machine's clock. ``settings``: parameters of the
    perception node, as far as they are known.
    """

    image: Heard
    kind: type
    info: Heard
    mount: Heard
    simulated: bool
    settings: dict[str, Any]

    def size(self) -> tuple[int, int]:
        """Width and height of the last image.

        :raises ImageError: it is none.
        """
        decode = colour_from_image if self.kind is Image else colour_from_compressed
        height, width = decode(self.image.last)[0].shape[:2]
        return width, height


def check_image(watcher: Watcher, camera: CameraTopics) -> list[Finding]:
    """Whether usable images come, how often and how old."""
    topic, heard = camera.image.topic, camera.image
    publishers = watcher.node.get_publishers_info_by_topic(topic)
    wanted = f'sensor_msgs/msg/{camera.kind.__name__}'
    if not publishers:
        others = [t for t in watcher.topics_of_type(*_IMAGES) if '/depth' not in t]
        advice = f'remap "image" to {" or ".join(others)}' if others else \
            'no camera at all: is it running, and ROS_DOMAIN_ID the same?'
        return [fail('image', f'nobody publishes {topic}', advice)]
    wrong = {p.topic_type for p in publishers} - {wanted}
    if wrong:
        return [fail('image', f'{topic} is of type {", ".join(wrong)}, not {wanted}',
                     'remap "image", or set input_transport')]
    found = []
    if len(publishers) > 1:
        found.append(warn('image', f'{len(publishers)} nodes publish {topic} '
                          f'({", ".join(names_of(publishers))}): their frames get mixed',
                          'remap all but one'))
    if not heard.messages:
        return [*found, fail('image', f'{names_of(publishers)[0]} publishes {topic}, but nothing '
                             'comes', 'is the camera streaming? For large best-effort images '
                             f'between processes: {dds.PROFILE_VARIABLE}={dds.PROFILE}')]
    try:
        width, height = camera.size()
    except ImageError as error:
        return [*found, fail('image', f'{topic}: {error}')]
    form = heard.last.format if camera.kind is CompressedImage else heard.last.encoding
    text = f'{topic}: {width}x{height} {form} at {heard.rate:.1f} Hz'
    found.append(warn('image', f'{text}, which is slow') if heard.rate < _SLOW_HZ
                 else ok('image', text))
    return found + _stamps(camera)


def _stamps(camera: CameraTopics) -> list[Finding]:
    stamp, topic = camera.image.last.header.stamp, camera.image.topic
    if stamp.sec == 0 and stamp.nanosec == 0:
        return [warn('stamps', f'images on {topic} have no stamp: no latency, no TF at their time',
                     'let the driver fill header.stamp')]
    if not camera.image.last.header.frame_id:
        return [warn('stamps', f'images on {topic} have no frame_id: no TF, and clouds nowhere',
                     'set the optical frame in the driver')]
    if camera.simulated:
        return []
    age = float(np.median(camera.image.ages))
    if age > _OLD_S or age < -_FUTURE_S:
        when = f'{age:.1f} s old' if age > 0 else f'{-age:.1f} s in the future'
        return [warn('stamps', f'images on {topic} are {when} when they arrive',
                     'synchronise the clocks (chrony, PTP), or set use_sim_time for a simulation '
                     'or a bag played with --clock')]
    return [ok('stamps', f'{1e3 * age:.0f} ms old when they arrive here (median)')]


def check_info(watcher: Watcher, camera: CameraTopics, card: ModelCard | None) -> list[Finding]:
    """Whether the calibration is there and is that of the images: the node's own judgement."""
    topic = camera.info.topic
    if card is not None and card.depth_convention is None:
        return [ok('camera_info', 'this model needs none')]
    if not watcher.node.count_publishers(topic):
        others = watcher.topics_of_type('sensor_msgs/msg/CameraInfo')
        return [fail('camera_info', f'nobody publishes {topic}: no cloud, and no metres from a '
                     'model that needs the intrinsics', 'remap "camera_info" to '
                     f'{" or ".join(others)}' if others else 'calibrate the camera')]
    if not camera.info.messages or not camera.image.messages:
        missing = camera.image if camera.info.messages else camera.info
        return [fail('camera_info', f'nothing comes on {missing.topic}, so the calibration cannot '
                     'be checked')]
    image, said = camera.image.last, Conditions(lambda level, sentence: None)
    judge = Camera(said, camera.image.topic.removesuffix('/compressed'), topic,
                   camera.settings.get('image_geometry', 'auto'),
                   camera.settings.get('rectify', 'auto'))
    for info in camera.info.messages:
        judge.on_info(info)
    try:
        size = camera.size()
    except ImageError:
        return []  # said about the image already
    calibration = judge.calibration(image.header, *size, size)
    found = [(fail if calibration is None else warn)('camera_info', sentence)
             for _, sentence in said.report()]
    if calibration is not None:
        k = calibration.intrinsics
        rectified = ', distorted: the node rectifies it' if calibration.rectification else ''
        found.append(ok('camera_info', f'{topic}: fx {k.fx:.1f}, fy {k.fy:.1f}, cx {k.cx:.1f}, '
                        f'cy {k.cy:.1f}{rectified}'))
    return found + _agreement(camera)


def _agreement(camera: CameraTopics) -> list[Finding]:
    image, info = camera.image.last.header, camera.info.last.header
    if image.frame_id != info.frame_id:
        return [warn('camera_info', f'its frame_id is "{info.frame_id}", that of the image '
                     f'"{image.frame_id}"', 'is it of the same camera?')]
    stamps = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in camera.info.messages}
    if not any((m.header.stamp.sec, m.header.stamp.nanosec) in stamps
               for m in camera.image.messages):
        return [warn('camera_info', 'no message has the stamp of an image: synchronising '
                     'consumers such as depth_image_proc will not pair them')]
    return []


def check_mount(watcher: Watcher, camera: CameraTopics, card: ModelCard | None) -> list[Finding]:
    """Where height and tilt of the camera might come from."""
    if card is not None and not card.takes_mount and card.depth_convention in ('metric', None):
        return [ok('mount', 'this model does not ask for it')]
    height = camera.settings.get('mount.height', 0.0)
    if height:
        return [ok('mount', f'parameters: {height:g} m above the ground')]
    if camera.mount.messages:
        reading = mount_from_message(camera.mount.last)
        if reading.mount:
            return [ok('mount', f'{camera.mount.topic}: {reading.mount.height:.2f} m above the '
                       'ground')]
    advice = 'set mount.height, mount.pitch and mount.roll, publish CameraMount, or TF from ' \
             'mount.ground_frame to the frame of the images'
    if not watcher.knows_tf:
        return [warn('mount', 'neither parameters nor camera_mount say it, and tf2_msgs is not '
                     'installed to look at TF: depth is relative', advice)]
    return check_tf(_tree(watcher), camera.settings.get('mount.ground_frame', 'base_footprint'),
                    camera.image.last and camera.image.last.header.frame_id, advice)


def check_tf(tree: TfTree, ground: str, frame: str | None, advice: str) -> list[Finding]:
    """Whether TF knows the camera above the ground."""
    if not frame:
        return [warn('mount', 'no image came, so its frame is unknown: TF not checked', advice)]
    missing = [name for name in (ground, frame) if name.lstrip('/') not in tree.frames]
    if missing:
        return [warn('mount', f'TF has no frame {" and no frame ".join(missing)}: depth is '
                     'relative', advice)]
    pose = tree.pose(ground.lstrip('/'), frame.lstrip('/'))
    if pose is None:
        return [warn('mount', f'TF does not connect {ground} and {frame}: depth is relative',
                     advice)]
    height, down = pose[2, 3], -pose[2, :3]
    if height <= 0:
        return [fail('mount', f'TF puts {frame} {-height:.2f} m below {ground}',
                     'mount.ground_frame must lie on the ground')]
    if down[1] < 0.3:  # the image's y axis should point to the ground, more or less
        return [warn('mount', f'seen from {frame}, down is not down in the image '
                     f'({", ".join(f"{v:.2f}" for v in down)})', 'is frame_id the optical frame '
                     '(z forward, x right, y down)?')]
    return [ok('mount', f'TF: {frame} is {height:.2f} m above {ground}')]


def _tree(watcher: Watcher) -> TfTree:
    tree = TfTree()
    for transform in watcher.transforms:
        t, q = transform.transform.translation, transform.transform.rotation
        try:
            tree.add(transform.header.frame_id, transform.child_frame_id, (t.x, t.y, t.z),
                     (q.x, q.y, q.z, q.w))
        except ValueError:
            continue  # a zero quaternion connects nothing
    return tree
