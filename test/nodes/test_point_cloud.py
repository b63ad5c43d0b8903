"""The point cloud node as a process: depth of any source in, known clouds out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from helpers.camera import FRAME_ID
from helpers.graph import Graph
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import ColorRGBA, Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.images import image_from_array
from dense_perception.ros.qos import LATCHED
from dense_perception.ros.scale_points import xyz_of
from dense_perception_msgs.msg import SegmentationClass, SegmentationClasses

LENS = Intrinsics(80.0, 80.0, 39.5, 29.5, 80, 60)
MOUNT = Mount.from_pitch_roll(0.4, 0.0, 1.2)
GROUND = MOUNT.ground_depth(LENS).astype(np.float32)
GROUND[GROUND > 8] = np.nan


class Rig:
    """A depth camera with a colour camera beside it, and what the node makes of them."""

    def __init__(self, graph: Graph, **parameters: Any) -> None:
        self.graph = graph
        self.process = graph.start('point_cloud', **parameters)
        node = graph.node
        self.depth = node.create_publisher(Image, 'depth/image_rect', 2)
        self.info = node.create_publisher(CameraInfo, 'depth/camera_info', 2)
        self.image = node.create_publisher(Image, 'image', 2)
        self.mask = node.create_publisher(Image, 'segmentation/mask', 2)
        self.clouds = graph.collect(PointCloud2, 'depth/points')
        self.diagnostics = graph.collect(DiagnosticArray, '/diagnostics')

    def publish(self, depth: np.ndarray = GROUND, encoding: str = '32FC1',
                colour: np.ndarray | None = None, mask: np.ndarray | None = None,
                late_ns: int = 0) -> None:
        now = self.graph.node.get_clock().now().to_msg()
        header = Header(stamp=now, frame_id=FRAME_ID)
        self.info.publish(info_from_intrinsics(LENS, header))
        self.depth.publish(image_from_array(depth, encoding, header))
        late = Header(stamp=now, frame_id=FRAME_ID)
        late.stamp.nanosec = min(late.stamp.nanosec + late_ns, 999_999_999)
        if colour is not None:
            self.image.publish(image_from_array(colour, 'rgb8', late))
        if mask is not None:
            self.mask.publish(image_from_array(mask, 'mono8', late))

    def cloud(self, **images: Any) -> PointCloud2:
        return self.graph.spin_until(lambda: self.clouds and self.clouds[-1], 'a cloud',
                                     lambda: self.publish(**images))

    def said(self, words: str, level: bytes, **images: Any) -> None:
        self.graph.spin_until(lambda: any(
            words in s.message and s.level == level for a in self.diagnostics for s in a.status),
            f'"{words}"', lambda: self.publish(**images))
        assert words in self.process.log and self.process.exit_code is None


@pytest.mark.parametrize('encoding', ['32FC1', '16UC1'])
def test_depth_alone(graph: Graph, encoding: str):
    rig = Rig(graph, colour=False)
    depth = GROUND if encoding == '32FC1' else np.nan_to_num(GROUND * 1000).astype(np.uint16)
    cloud = rig.cloud(depth=depth, encoding=encoding)
    points = xyz_of(cloud)
    assert (cloud.width, cloud.height) == (80, 60) and cloud.header.frame_id == FRAME_ID
    assert [f.name for f in cloud.fields] == ['x', 'y', 'z']
    seen = np.isfinite(points[:, 2])
    assert 0.3 < seen.mean() <= np.isfinite(GROUND).mean()
    np.testing.assert_allclose(points[seen] @ np.array(MOUNT.down), 1.2, atol=2e-3)


def test_colours_of_a_larger_image_a_little_later(graph: Graph):
    rig = Rig(graph, sync__slop=0.02)
    colour = np.full((120, 160, 3), (10, 20, 30), np.uint8)
    cloud = rig.cloud(colour=colour, late_ns=5_000_000)
    rgb = np.frombuffer(cloud.data, np.uint32).reshape(60, 80, -1)[..., 3]
    assert set(rgb.ravel()) == {10 << 16 | 20 << 8 | 30}


def test_images_that_do_not_belong_together_are_said(graph: Graph):
    rig = Rig(graph)
    rig.said('no images that belong together come', DiagnosticStatus.WARN,
             colour=np.zeros((60, 80, 3), np.uint8), late_ns=5_000_000)
    assert not rig.clouds


def test_another_view_is_refused(graph: Graph):
    rig = Rig(graph)
    rig.said('cannot be one view', DiagnosticStatus.ERROR,
             colour=np.zeros((60, 60, 3), np.uint8))
    assert not rig.clouds
    rig.cloud(colour=np.zeros((60, 80, 3), np.uint8))


def test_a_colour_image_for_depth_is_refused(graph: Graph):
    rig = Rig(graph, colour=False)
    rig.said('encoding "rgb8" is no depth image', DiagnosticStatus.ERROR,
             depth=np.zeros((60, 80, 3), np.uint8), encoding='rgb8')


def test_ground_and_obstacles_by_class(graph: Graph):
    """A box stands on the ground; the mask calls it so, and the names come by a topic."""
    rig = Rig(graph, colour=False, mask=True, mount__height=1.2, mount__pitch=0.4)
    latched = graph.node.create_publisher(SegmentationClasses, 'segmentation/classes', LATCHED)
    latched.publish(SegmentationClasses(classes=[
        SegmentationClass(id=3, name='floor', color=ColorRGBA()),
        SegmentationClass(id=7, name='box', color=ColorRGBA())]))
    obstacles = graph.collect(PointCloud2, 'depth/obstacles')
    grounds = graph.collect(PointCloud2, 'depth/ground')
    depth, mask = GROUND.copy(), np.full((60, 80), 3, np.uint8)
    depth[20:40, 30:50] = 2.0
    mask[20:40, 30:50] = 7
    graph.spin_until(lambda: obstacles and obstacles[-1].width > 100 and grounds,
                     'both clouds', lambda: rig.publish(depth, mask=mask))
    assert [f.name for f in obstacles[-1].fields] == ['x', 'y', 'z', 'label']
    np.testing.assert_allclose(xyz_of(obstacles[-1])[:, 2], 2.0, atol=1e-5)
    np.testing.assert_allclose(xyz_of(grounds[-1]) @ np.array(MOUNT.down), 1.2, atol=0.11)


def test_nothing_is_heard_while_nobody_listens(graph: Graph):
    graph.start('point_cloud')
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics')
    graph.spin_until(lambda: diagnostics, 'diagnostics')
    assert 'idle' in diagnostics[-1].status[0].message
    assert graph.node.count_subscribers('depth/image_rect') == 0
