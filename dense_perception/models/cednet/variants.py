"""The registered CEDNets."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from dense_perception.models.cednet.classifier import CEDNetClassifier
from dense_perception.models.cednet.config import ARCHITECTURES, ClassifierConfig
from dense_perception.models.cednet.dense import CEDNetConfig, CEDNetDense
from dense_perception.models.cednet.detection import CEDNetDetector, DetectorConfig
from dense_perception.models.inputs import InputSpec
from dense_perception.models.registry import register_model

CLASSIFIERS: dict[str, ClassifierConfig] = {}
CONFIGS: dict[str, CEDNetConfig] = {}
DETECTORS: dict[str, DetectorConfig] = {}
"""Registered name -> configuration, of classifiers, of dense networks and of detectors."""

_ABOUT = {
    'cednet_next_tiny': ('CEDNet-NeXt-T.', 'Table 9, CEDNet-NeXt-T (FPN-style)'),
    'cednet_next_small': ('CEDNet-NeXt-S.', 'Table 9, CEDNet-NeXt-S (FPN-style)'),
    'cednet_next_base': ('CEDNet-NeXt-B.', 'Table 9, CEDNet-NeXt-B (FPN-style)'),
    'cednet_next_tiny_unet': ('Stages of UNet style.', 'Table 9, CEDNet-NeXt-T (UNet-style)'),
    'cednet_next_tiny_hourglass': ('Stages of Hourglass style.',
                                   'Table 9, CEDNet-NeXt-T (Hourglass-style)'),
    'cednet_next_tiny_fpn3x3': ('FPN stages with the 3x3 convolutions that the paper leaves out.',
                                'section 3.2'),
    'cednet_resnet50_tiny': ('3x3 convolutions as token mixers.', 'Table 5, CEDNet-R50-T'),
    'cednet_swin_tiny': ('Shifted windows as token mixers.', 'Table 5, CEDNet-Swin-T')}
_DROP_PATH = {'cednet_next_small': 0.4, 'cednet_next_base': 0.5}

_NYU, _KITTI, _ADE20K = InputSpec(480, 640), InputSpec(352, 1216), InputSpec(512, 512)


def _register_classifier(name: str, config: ClassifierConfig, about: str, paper: str) -> None:
    def build(pretrained: bool = False, **overrides: Any) -> CEDNetClassifier:
        if pretrained:
            raise ValueError(f'there are no public weights of "{name}"')
        return CEDNetClassifier(replace(config, **overrides))

    build.__name__, build.__doc__ = name, about
    CLASSIFIERS[name] = config
    register_model('cednet', ('classification',), InputSpec(224, 224), f'CEDNet, {paper}')(build)


for _name, (_about, _paper) in _ABOUT.items():
    _options = asdict(ARCHITECTURES[_name]) | {'drop_path': _DROP_PATH.get(_name, 0.1)}
    _register_classifier(_name, ClassifierConfig(**_options), _about, _paper)


def _register_dense(name: str, config: CEDNetConfig, input: InputSpec, about: str,
                    paper: str) -> None:
    def build(**overrides: Any) -> CEDNetDense:
        return CEDNetDense(replace(config, **overrides))

    build.__name__, build.__doc__ = name, about
    CONFIGS[name] = config
    task = 'segmentation' if config.num_classes else 'depth'
    register_model('cednet', (task,), input, paper)(build)


for _size, _drop_path in (('tiny', 0.2), ('small', 0.4), ('base', 0.5)):
    _backbone = f'cednet_next_{_size}'
    _config = CEDNetConfig(_backbone, {'drop_path': _drop_path, 'layer_scale': 1.0})
    _masks = replace(_config, num_classes=150)
    _letter = _size[0].upper()
    _register_dense(f'{_backbone}_upernet_ade20k', replace(_masks, head='upernet'), _ADE20K,
                    'UPerNet, 150 classes of ADE20K.', f'CEDNet, Table 3, CEDNet-NeXt-{_letter}')
    _register_dense(f'{_backbone}_ade20k', _masks, _ADE20K,
                    'Its own decoder and a plain head, 150 classes of ADE20K.',
                    f'CEDNet, public code, ced_next_{_size}')
    for _place, _input, _cap in (('nyu', _NYU, 10.0), ('kitti', _KITTI, 80.0)):
        _register_dense(f'{_backbone}_{_place}', replace(_config, depth='sigmoid', max_depth=_cap),
                        _input, f'Metric depth up to {_cap:.0f} m.',
                        'this project, backbone of CEDNet')


def _register_detector(name: str, config: DetectorConfig, about: str, paper: str) -> None:
    def build(**overrides: Any) -> CEDNetDetector:
        return CEDNetDetector(replace(config, **overrides))

    build.__name__, build.__doc__ = name, about
    DETECTORS[name] = config
    register_model('cednet', ('detection',), InputSpec(800, 1280), f'CEDNet, {paper}')(build)


for _size, _drop_path in (('tiny', 0.2), ('small', 0.4), ('base', 0.5)):
    for _framework, _table in (('retinanet', 'b'), ('mask_rcnn', 'c')):
        _row = f', CEDNet-NeXt-{_size[0].upper()}' if _size != 'base' else ', no row of its own'
        _register_detector(
            f'cednet_next_{_size}_{_framework}',
            DetectorConfig(f'cednet_next_{_size}', {'drop_path': _drop_path}, _framework),
            'Boxes of 80 classes.' if _framework == 'retinanet' else
            'Boxes and masks of 80 classes.', f'Table 2 ({_table}){_row}')
