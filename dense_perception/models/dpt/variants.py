"""The registered DPT and Depth Anything V2 models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dense_perception.models.dpt.config import DPTConfig
from dense_perception.models.dpt.model import DPT
from dense_perception.models.inputs import HALF_MEAN, HALF_STD, InputSpec
from dense_perception.models.registry import register_model

CONFIGS: dict[str, DPTConfig] = {}
"""Registered name -> configuration."""


def _register(name: str, config: DPTConfig, about: str, input: InputSpec, paper: str,
              licence: str) -> None:
    def build(**overrides: Any) -> DPT:
        return DPT(replace(config, **overrides))

    build.__name__, build.__doc__ = name, about
    CONFIGS[name] = config
    tasks = [task for task, wanted in (('depth', config.depth), ('segmentation',
                                                                 config.num_classes)) if wanted]
    convention = None
    if config.depth is not None:
        convention = 'inverse_affine' if config.depth == 'inverse' else 'metric'
    register_model('dpt', tuple(tasks), input, paper, licence, convention)(build)


def _dpt_input(height: int, width: int) -> InputSpec:
    return InputSpec(height, width, 32, 'minimal', 'cubic', HALF_MEAN, HALF_STD)


_LARGE = DPTConfig()
_BASE = DPTConfig('vit_base_patch16_384', (2, 5, 8, 11), channels=(96, 192, 384, 768))
_HYBRID = DPTConfig('vit_base_r50_s16_384', (8, 11), stages=(0, 1), channels=(256, 512, 768, 768))
# The released metric models: metres from inverse depth.
_NYU = replace(_HYBRID, depth='metric_inverse', scale=0.000305, shift=0.1378)
_KITTI = replace(_HYBRID, depth='metric_inverse', scale=0.00006016, shift=0.00579)
_ADE20K = {'depth': None, 'num_classes': 150, 'batch_norm': True}

for _row in (
        ('dpt_base', _BASE, 'DPT-Base: ViT-B/16.', (384, 384), 'Table 8'),
        ('dpt_large', _LARGE, 'DPT-Large: ViT-L/16.', (384, 384), 'Table 1'),
        ('dpt_hybrid', _HYBRID, 'DPT-Hybrid: ViT-B on a ResNet-50.', (384, 384), 'Table 1'),
        ('dpt_hybrid_nyu', _NYU, 'DPT-Hybrid, metric, rooms.', (480, 640), 'Table 2'),
        ('dpt_hybrid_kitti', _KITTI, 'DPT-Hybrid, metric, roads.', (352, 1216), 'Table 3'),
        ('dpt_large_ade20k', replace(_LARGE, **_ADE20K), 'DPT-Large, 150 classes of ADE20K.',
         (480, 480), 'Table 4'),
        ('dpt_hybrid_ade20k', replace(_HYBRID, **_ADE20K), 'DPT-Hybrid, 150 classes of ADE20K.',
         (480, 480), 'Table 4')):
    _name, _config, _about, _size, _table = _row
    _register(_name, _config, _about, _dpt_input(*_size), f'DPT, {_table}',
              '' if _name == 'dpt_base' else 'MIT')


def _depth_anything(size: str, taps: tuple[int, ...], channels: tuple[int, ...],
                    features: int) -> DPTConfig:
    return DPTConfig(f'vit_{size}_patch14_dinov2.lvd142m', taps, (), True, 'dinov2', (518, 518),
                     14, 'ignore', channels, features)


_ANYTHING = {
    'small': _depth_anything('small', (2, 5, 8, 11), (48, 96, 192, 384), 64),
    'base': _depth_anything('base', (2, 5, 8, 11), (96, 192, 384, 768), 128),
    'large': _depth_anything('large', (4, 11, 17, 23), (256, 512, 1024, 1024), 256),
    'giant': _depth_anything('giant', (9, 19, 29, 39), (1536,) * 4, 384)}
_MAX_DEPTH = {'indoor': 20.0, 'outdoor': 80.0}  # Hypersim, Virtual KITTI
_ANYTHING_INPUT = InputSpec(518, 518, 14, 'lower_bound', 'cubic')

for _name, _config in _ANYTHING.items():
    _licence = 'Apache-2.0' if _name == 'small' else 'CC-BY-NC-4.0'
    _register(f'depth_anything_v2_{_name}', _config,
              f'Depth Anything V2, {_name}: relative inverse depth.', _ANYTHING_INPUT,
              'Depth Anything V2', _licence)
    if _name != 'giant':
        for _place, _cap in _MAX_DEPTH.items():
            _register(f'depth_anything_v2_metric_{_place}_{_name}',
                      replace(_config, depth='sigmoid', max_depth=_cap),
                      f'Depth Anything V2, {_name}: metres, {_place}, up to {_cap:.0f}.',
                      _ANYTHING_INPUT, 'Depth Anything V2, metric depth', _licence)
