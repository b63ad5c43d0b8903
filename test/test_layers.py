"""Who may import whom: docs/architecture.md, checked in the source of every module."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.source_tree import PACKAGE, ROOT, TRAINING, imports, is_ros

MAY_IMPORT = {
    'models': set(),
    'geometry': set(),
    'inference': {'geometry'},
    'metrics': {'inference'},
    'viz': {'inference'},
    'export': {'inference', 'models'},
    'world': {'geometry', 'inference'},
    'sources': {'geometry', 'world'},
    'ros': {'geometry', 'inference', 'viz'},
    'nodes': {'geometry', 'inference', 'ros', 'sources'},
    'training': {'export', 'geometry', 'inference', 'metrics', 'models', 'sources', 'viz',
                 'world'},
}
"""Room -> the other rooms it may import; only ``cli`` may import them all."""

ROBOT_ROOMS = {'geometry', 'inference', 'nodes', 'ros', 'sources', 'world', 'metrics', 'viz'}
TRAINING_PACKAGES = {'onnx', 'onnxscript', 'safetensors', 'timm', 'torch', 'torchvision'}

ROS_ROOMS = {'cli', 'nodes', 'ros'}


def room_of(file: Path) -> str:
    if TRAINING in file.parents:
        return 'training'
    inside = file.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


FILES = sorted([*PACKAGE.rglob('*.py'), *TRAINING.rglob('*.py')])


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_stay_within_the_layers(file: Path) -> None:
    room = room_of(file)
    for module in imports(file):
        top, *rest = module.split('.')
        if top == 'dense_perception' and rest and rest[0] != '__version__' and room != 'cli':
            assert rest[0] in MAY_IMPORT.get(room, set()) | {room}, f'{room} imports {module}'
        if room in ROBOT_ROOMS:
            assert top not in TRAINING_PACKAGES, f'{room} runs on robots, which have no {top}'
            assert top != 'dense_perception_training', f'{room} imports the training package'
        if room not in ROS_ROOMS:
            assert not is_ros(top), f'{room} runs without ROS and imports {module}'


def test_every_room_has_a_rule() -> None:
    rooms = {room_of(file) for file in FILES} - {'__init__', 'cli'}
    assert rooms == set(MAY_IMPORT)
