"""Every registered variant becomes a model file that runtimes agree on and TensorRT builds.

Small twins of the large variants always run: the same classes with fewer and narrower blocks, so
that each path of operators is covered. The variants themselves are a slow job.
"""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tensorrt_rtx import build_engine
from helpers.tiny_d3 import SHALLOW, SHALLOW_DIT
from helpers.tiny_polymax import TINY as _POLYMAX

torch = pytest.importorskip('torch', reason='export needs torch')

from helpers.lively import enliven  # noqa: E402

from dense_perception.export.cards import card_for, sized  # noqa: E402
from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.parity import example_inputs  # noqa: E402
from dense_perception.inference.backends import BackendOptions, open_backend  # noqa: E402
from dense_perception.inference.model_file import ModelFile  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.models import create_model, list_models, model_entry  # noqa: E402
from dense_perception.models.registry import DENSE_TASKS  # noqa: E402

DENSE = list_models(tasks=DENSE_TASKS)
"""What becomes a model file: classifiers and detectors do not."""

SLOW = 'DENSE_PERCEPTION_SLOW_TESTS'

_VIT: dict[str, Any] = {
    'encoder_options': {'depth': 4, 'embed_dim': 48, 'num_heads': 3}, 'taps': (0, 1, 2, 3),
    'channels': (8, 16, 24, 24), 'features': 16}
_DECODER: dict[str, Any] = {
    'decoder_options': {'depths': (1, 1, 1, 1), 'dims': (16, 24, 32, 48)}}
# Every second block of a stage has shifted windows.
_SWIN = {'encoder_options': {'depths': (2, 1, 1, 1), 'embed_dim': 24, 'num_heads': (1, 2, 4, 8)}}
_CONVNEXT = {'encoder_options': _DECODER['decoder_options'], 'num_classes': 5}
_CEDNET: dict[str, Any] = {
    'encoder_options': {'stem_channels': 8, 'channels': (16, 24, 32), 'blocks': (1, 1, 2, 2),
                        'stages': 2, 'layer_scale': 1.0}, 'width': 16}
_DINO = {'encoder_options': {'depth': 2, 'embed_dim': 48, 'num_heads': 3}}

TWINS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    'xnet_small': ({}, ('xnet_small', 'xnet_base')),
    'xnet_swinl_convnextv2t_nyu': (_SWIN | _DECODER, ('xnet_swinl_*',)),
    'xnet_dinov2l_convnextv2b_nyu': (_DINO | _DECODER, ('xnet_dinov2l_*',)),
    'xnet_ladder_fpn': (_CONVNEXT | _DECODER, ('xnet_ladder_fpn',)),
    'xnet_ladder_22k': (_CONVNEXT | _DECODER, ('xnet_ladder_*', 'xnet_convnext_*')),
    'dpt_large_ade20k': (_VIT | {'depth': 'inverse'}, ('dpt_base', 'dpt_large', 'dpt_*_ade20k')),
    'dpt_hybrid_nyu': ({'encoder_options': {'depth': 2, 'embed_dim': 48, 'num_heads': 3},
                        'taps': (0, 1), 'channels': (256, 512, 24, 24), 'features': 16},
                       ('dpt_hybrid', 'dpt_hybrid_nyu', 'dpt_hybrid_kitti')),
    'depth_anything_v2_metric_indoor_small': (
        _VIT, ('depth_anything_v2_[smb]*', 'depth_anything_v2_large')),
    'depth_anything_v2_giant': (_VIT, ('depth_anything_v2_giant',)),
    'cednet_next_tiny_upernet_ade20k': (_CEDNET, ('cednet_*_upernet_ade20k',)),
    'cednet_next_tiny_nyu': (_CEDNET | {'num_classes': 5},
                             ('cednet_*_nyu', 'cednet_*_kitti', 'cednet_*_ade20k')),
    'd3_normals': (SHALLOW, ('d3_[dnm]*', 'd3_tiny_[nm]*', 'd3_tiny_depth')),
    'd3_tiny_dit_depth': (SHALLOW_DIT, ('d3_tiny_dit_depth',)),
    'polymax_convnextt_depth': (_POLYMAX | {'layers': (1, 1, 1)}, ('polymax_convnext*',)),
    'polymax_resnet50_normals': (
        _POLYMAX | {'encoder': 'resnet50', 'encoder_options': {'layers': (1, 1, 1, 1)},
                    'layers': (1, 1, 1), 'blocks': (1, 1, 1, 1), 'num_classes': 5},
        ('polymax_resnet50_*',)),
    'polymax_small': ({'num_classes': 0, 'normals': False, 'depth': 'sigmoid',
                       'mount_channels': 0}, ('polymax_small',))}
"""Variant -> what makes it small, and the variants that it stands for."""


def sizes_of(name: str) -> list[tuple[int, int]]:
    """Two small sizes for a variant, the second not square, of an odd number of patches."""
    multiple = model_entry(name).input.multiple
    least = -(-64 // multiple) * multiple
    return [(least, least), (least, least + multiple)]


def export_and_compare(name: str, options: dict[str, Any], size: tuple[int, int],
                       path: Path) -> None:
    """Export with random weights; fails unless the file agrees and its outputs vary."""
    card = sized(card_for(name, options), size)
    model = enliven(create_model(name, **options), *size)
    parity = export_model(model, card, path, in_place=True)
    print(f'{name} {size}: {parity}')
    predictor = Predictor(path)
    image = example_inputs(card, np.random.default_rng(7))['image'][0]
    prediction = predictor.predict(image)
    if predictor.has_depth:
        assert prediction.depth.shape == size
        assert np.nanstd(prediction.depth) > 1e-2 * np.nanmean(np.abs(prediction.depth))
    if prediction.normals is not None:
        assert np.nanstd(prediction.normals, axis=(0, 1)).min() > 1e-2
    if predictor.has_labels:
        assert len(np.unique(prediction.labels)) > 2


@pytest.mark.parametrize('name', TWINS)
def test_twins_export_at_two_sizes_and_build(name: str, tmp_path: Path):
    path = tmp_path / 'model.onnx'
    for size in sizes_of(name):
        export_and_compare(name, TWINS[name][0], size, path)
    assert len(build_engine(path)) > 1000


def test_a_file_of_any_batch_agrees_image_by_image_and_builds(tmp_path: Path):
    """The parity check of the export runs its images as one batch where the file takes one."""
    name = 'depth_anything_v2_metric_indoor_small'
    path, options, size = tmp_path / 'model.onnx', TWINS[name][0], sizes_of(name)[1]
    card = sized(card_for(name, options), size)
    export_model(enliven(create_model(name, **options), *size), card, path, in_place=True,
                 any_batch=True)
    several = open_backend('onnxruntime-cpu', ModelFile.open(path), BackendOptions(cpu_batch=5))
    assert several.max_batch == 5
    assert len(build_engine(path, batch=2)) > 1000


def test_every_variant_has_a_twin():
    patterns = [pattern for _, stands_for in TWINS.values() for pattern in stands_for]
    alone = [name for name in DENSE
             if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    assert alone == [], 'give each of them a twin in TWINS, or a place in the list of one'


@pytest.mark.skipif(not os.environ.get(SLOW), reason=f'takes hours and up to 20 GB of memory; '
                    f'{SLOW}=1 runs it')
@pytest.mark.parametrize('name', DENSE)
def test_variants_export_at_two_sizes_and_build(name: str, tmp_path: Path):
    path = tmp_path / 'model.onnx'
    for size in sizes_of(name):
        export_and_compare(name, {}, size, path)
    assert len(build_engine(path)) > 1000
