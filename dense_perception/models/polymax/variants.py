"""The registered PolyMaXes: the rows of Table 2, and ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dense_perception.models.inputs import HALF_MEAN, HALF_STD, InputSpec
from dense_perception.models.polymax.config import PolyMaXConfig
from dense_perception.models.polymax.polymax import PolyMaX
from dense_perception.models.registry import register_model

CONFIGS: dict[str, PolyMaXConfig] = {}
"""Registered name -> configuration."""


def _register(name: str, config: PolyMaXConfig, size: tuple[int, int], about: str,
              paper: str) -> None:
    def build(**overrides: Any) -> PolyMaX:
        return PolyMaX(replace(config, **overrides))

    build.__name__, build.__doc__ = name, about
    CONFIGS[name] = config
    tasks = [task for task, wanted in (('depth', config.depth),
                                       ('segmentation', config.num_classes),
                                       ('normals', config.normals)) if wanted]
    # x / 127.5 - 1, whatever the encoder: kMaX-DeepLab's.
    spec = InputSpec(*size, mean=HALF_MEAN, std=HALF_STD)
    register_model('polymax', tuple(tasks), spec, paper)(build)


_TARGETS: dict[str, dict[str, Any]] = {
    'depth': {},
    'segmentation': {'depth': None, 'num_classes': 40},
    'normals': {'depth': None, 'normals': True}}
_ENCODERS = {'resnet50': ('resnet50.a1_in1k', 'ResNet-50'),
             'convnextt': ('convnext_tiny.fb_in22k', 'ConvNeXt-T'),
             'convnexts': ('convnext_small.fb_in22k', 'ConvNeXt-S'),
             'convnextb': ('convnext_base.fb_in22k', 'ConvNeXt-B'),
             'convnextl': ('convnext_large.fb_in22k', 'ConvNeXt-L')}

for _short, (_encoder, _row) in _ENCODERS.items():
    for _task, _fields in _TARGETS.items():
        _register(f'polymax_{_short}_{_task}', PolyMaXConfig(_encoder, **_fields), (480, 640),
                  f'{_row}, {_task} on NYU Depth V2.', f'PolyMaX, Table 2, {_row}')

# Ours, for robots and for trying things out: all three targets of the procedural world on one set
# of pixels, mount-aware, with positions that know no size.
_register('polymax_small', PolyMaXConfig(
    'mobilenetv4_conv_small', mount_channels=2, image_size=(256, 320), dims=(64, 48, 32, 24),
    blocks=(1, 2, 1, 1), positions='mlp', layers=(1, 1, 1), width=96, width_ffn=384, embedding=64,
    depth='log_height', num_classes=8, normals=True),
    (256, 320), 'Depth, classes and normals of the procedural world; not shipped.', 'this project')
