"""The doctor's way through a graph."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from sensor_msgs.msg import CompressedImage, Image

from dense_perception.cli.doctoring import machine
from dense_perception.cli.doctoring.camera_checks import (
    CameraTopics,
    check_image,
    check_info,
    check_mount,
)
from dense_perception.cli.doctoring.findings import Finding, Level, ok, warn
from dense_perception.cli.doctoring.node_checks import (
    check_clock,
    check_names,
    check_qos,
    check_state,
)
from dense_perception.cli.doctoring.watcher import Perception, Watcher

_SHIPPED = 'xnet_small'
_WAKE_S = 1.5
"""A perception node listens to its camera half a second after somebody listens to it."""


def examine(args: argparse.Namespace) -> Iterator[Finding]:
    """Findings about the graph and about the model that runs or would run."""
    namespace = f'/{args.namespace.strip("/")}'.rstrip('/')
    with Watcher(namespace) as watcher:
        nodes = watcher.perception_nodes()
        watcher.spin(_WAKE_S if nodes else 0.0)
        for node in nodes:
            watcher.look_into(node)
        cameras = {node.path: _camera(watcher, node, args, namespace) for node in nodes} \
            or {'': _camera(watcher, None, args, namespace)}
        watcher.spin(args.seconds)
        yield from check_names(watcher.node_counts(), {node.path for node in nodes})
        if not nodes:
            yield warn('perception', f'no perception node runs in {namespace or "any namespace"}',
                       'ros2 launch dense_perception perception.launch.py, or: perception '
                       '--ros-args ...')
            yield from check_clock(watcher, None)
            yield from _examine_camera(watcher, cameras[''], None, args)
        for node in {node.path: node for node in nodes}.values():
            yield from check_state(watcher, node)
            yield from check_qos(watcher, node)
            yield from check_clock(watcher, node)
            yield from _examine_camera(watcher, cameras[node.path], node, args)


def _camera(watcher: Watcher, node: Perception | None, args: argparse.Namespace,
            namespace: str) -> CameraTopics:
    """Topics of a node's camera, or of the one that the options name."""
    image, kind = _absolute(args.image, namespace), Image
    info, space = _absolute(args.camera_info, namespace), namespace
    if node:
        image, kind = node.images[0] if node.images else (image, kind)
        info, space = (node.infos or [info])[0], node.namespace.rstrip('/')
    elif image.endswith('/compressed'):
        kind = CompressedImage
    return CameraTopics(
        watcher.hear_image(image, kind), kind, watcher.hear_info(info),
        watcher.hear_mount(f'{space}/camera_mount'),
        bool(watcher.node.count_publishers('/clock')), node.parameters if node else {})


def _examine_camera(watcher: Watcher, camera: CameraTopics, node: Perception | None,
                    args: argparse.Namespace) -> Iterator[Finding]:
    settings = camera.settings
    model = args.model or settings.get('model') or _SHIPPED
    file = machine.open_model(model)
    card = file and file.card
    yield from check_image(watcher, camera)
    yield from check_info(watcher, camera, card)
    said = node and node.status.last
    if said and said.metric:
        yield ok('mount', f'depth is metric{_thanks_to(said.mount_source)}')
    else:
        for finding in check_mount(watcher, camera, card):
            yield warn('mount', f'{finding.sentence}; yet {node.path} gives relative depth, see '
                       'its diagnostics') if said and card and card.depth_convention \
                and finding.level is Level.OK else finding
    if file is None and node and not args.model:
        yield warn('model', f'{model}, which {node.path} runs, is not on this machine: not '
                   'checked')
        return
    yield from machine.check_model(model, args.backend or settings.get('backend') or 'auto')
    state = node and watcher.diagnostics.get(f'{node.path.lstrip("/")}: state')
    loaded = {v.key: v.value for v in state.values}.get('model_sha256') if state else None
    if loaded and file and not args.model and loaded != file.sha256:
        yield warn('model', f'{file.path} is not what {node.path} has loaded',
                   'start the node again')


def _thanks_to(source: str) -> str:
    return f', thanks to the mount from {source}' if source else ''


def _absolute(topic: str, namespace: str) -> str:
    return topic if topic.startswith('/') else f'{namespace}/{topic}'
