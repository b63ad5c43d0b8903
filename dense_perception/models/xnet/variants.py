"""The registered xNets: every row of the paper's tables, and ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dense_perception.models.inputs import InputSpec
from dense_perception.models.registry import register_model
from dense_perception.models.xnet.config import XNetConfig
from dense_perception.models.xnet.ladder import FPN, AblatedXNet, LadderConfig, ladder_model
from dense_perception.models.xnet.xnet import XNet

CONFIGS: dict[str, XNetConfig] = {}
"""Registered name -> configuration."""


def _register(name: str, config: XNetConfig, input: InputSpec, about: str, paper: str,
              licence: str = '') -> None:
    def build(**overrides: Any) -> XNet | AblatedXNet | FPN:
        wanted = replace(config, **overrides)
        return ladder_model(wanted) if isinstance(wanted, LadderConfig) else XNet(wanted)

    build.__name__, build.__doc__ = name, about
    CONFIGS[name] = config
    tasks = [task for task, wanted in (('depth', config.depth),
                                       ('segmentation', config.num_classes)) if wanted]
    register_model('xnet', tuple(tasks), input, paper, licence)(build)


# Sizes that the benchmarks evaluate at (NYU, KITTI), the paper's crops (ADE20K, Cityscapes), and
# half of DDAD's images cut to multiples of 32.
NYU, KITTI, DDAD = InputSpec(480, 640), InputSpec(352, 1216), InputSpec(608, 960)
ADE20K, CITYSCAPES = InputSpec(512, 512), InputSpec(512, 1024)

_SWIN_L = XNetConfig('swin_large_patch4_window12_384.ms_in22k', 'convnext_base.fb_in22k')
_V2T = replace(_SWIN_L, decoder='convnextv2_tiny.fcmae_ft_in22k_in1k')
_LARGE = replace(_SWIN_L, decoder='convnext_large.fb_in22k', depth=None)
_DINOV2_L = XNetConfig('vit_large_patch14_dinov2.lvd142m', 'convnextv2_base.fcmae_ft_in22k_in1k')

for _name, _config, _input, _pair, _tables in (
        ('xnet_swinl_convnextv2t_nyu', _V2T, NYU,
         'Swin-L x ConvNeXtV2-T', 'Table II; Table IV, zero-shot on SUN RGB-D; Table IX'),
        ('xnet_dinov2l_convnextv2b_nyu', _DINOV2_L, NYU,
         'DINOv2-L x ConvNeXtV2-B', 'Tables II and IX'),
        ('xnet_swinl_convnextb_kitti', replace(_SWIN_L, max_depth=80.0), KITTI,
         'Swin-L x ConvNeXt-B', 'Tables III and IX'),
        ('xnet_dinov2l_convnextv2b_kitti', replace(_DINOV2_L, max_depth=80.0), KITTI,
         'DINOv2-L x ConvNeXtV2-B', 'Table III; Table V, KITTI server; Table IX'),
        ('xnet_swinl_convnextb_ddad', replace(_SWIN_L, max_depth=200.0), DDAD,
         'Swin-L x ConvNeXt-B', 'Table VI'),
        ('xnet_swinl_convnextl_ade20k', replace(_LARGE, num_classes=150), ADE20K,
         'Swin-L x ConvNeXt-L', 'Tables VII and IX'),
        ('xnet_swinl_convnextl_cityscapes', replace(_LARGE, num_classes=19), CITYSCAPES,
         'Swin-L x ConvNeXt-L', 'Tables VIII and IX')):
    _register(_name, _config, _input, f'{_pair}: {_tables}.', f'xNet, {_tables}')

# Table I: ConvNeXt-T x ConvNeXt-T on NYU; for its ADE20K half num_classes=150, depth=None. Each
# row changes one thing in a neighbouring row.
_XNET = LadderConfig()
_XNET_ADD = replace(_XNET, operation='add')
_XNET_I = replace(_XNET, mix_with='image')
_NO_FP = replace(_XNET_I, operation='replace')
_PFP = replace(_NO_FP, fp=True)
_22K = replace(_PFP, pfp=False)
_REV = replace(_22K, pretrained_decoder=False)
_FPN = replace(_REV, reversed=False)

for _name, _config, _row, _nyu, _ade20k in (  # with the paper's d1, AbsRel and mAcc, mIoU
        ('fpn', _FPN, 'FPN', '0.889, 0.106', '52.92, 42.82'),
        ('rev', _REV, '+Rev.', '0.896, 0.104', '52.42, 42.31'),
        ('22k', _22K, '+22k', '0.909, 0.099', '55.32, 44.71'),
        ('pfp', _PFP, '+PFP', '0.910, 0.098', '55.47, 44.82'),
        ('nofp', _NO_FP, '-FP', '0.911, 0.098', '55.97, 45.34'),
        ('xnet_i_22k', _XNET_I, 'xNet-I-22k', '0.912, 0.096', '56.57, 45.80'),
        ('xnet_22k_add', _XNET_ADD, 'xNet-22k (add)', '0.914, 0.095', '56.71, 45.89'),
        ('xnet_22k', _XNET, 'xNet-22k', '0.916, 0.095', '56.82, 45.91'),
        ('xnet_i_0', replace(_XNET_I, pretrained_decoder=False), 'xNet-I-0', '0.899, 0.104',
         '52.72, 42.67'),
        ('xnet_i_1k', replace(_XNET_I, decoder='convnext_tiny.fb_in1k'), 'xNet-I-1k',
         '0.908, 0.100', '55.50, 44.83')):
    _register(f'xnet_ladder_{_name}', _config, NYU,
              f'ConvNeXt-T x ConvNeXt-T, row {_row} of Table I. In the paper: d1, AbsRel {_nyu} '
              f'on NYU Depth V2; mAcc, mIoU {_ade20k} on ADE20K.', f'xNet, Table I, row {_row}')

_register('xnet_convnext_tiny_convnext_tiny', XNetConfig(), InputSpec(224, 224),
          'ConvNeXt-T x ConvNeXt-T: the pair of Table I.', 'xNet, Table I, row xNet-22k')

# Ours, for robots: depth and segmentation of the procedural world's eight classes, mount-aware.
_BRIGHTNESS = 0.58  # docs/training.md: real frames, often dim, are understood better
_ROBOT = XNetConfig(depth='log_height', num_classes=8, mount_channels=2, blend=7)

_register('xnet_small', replace(
    _ROBOT, encoder='mobilenetv4_conv_small', decoder='convnext_atto',
    decoder_options={'dims': (32, 64, 128, 256), 'depths': (2, 2, 4, 2),
                     'norm_layer': 'batchnorm2d', 'act_layer': 'relu'},
    width=16, norm='batch', act='relu'),
    InputSpec(224, 288, brightness=_BRIGHTNESS),
    'The shipped model: small enough for two CPU cores.', 'this project', 'Apache-2.0')
_register('xnet_base', replace(
    _ROBOT, encoder='mobilenetv4_conv_medium.e500_r256_in1k',
    decoder='convnext_nano.in12k_ft_in1k', width=32),
    InputSpec(384, 512, brightness=_BRIGHTNESS),
    'For a robot with a GPU: both halves have public weights to begin with.', 'this project')
