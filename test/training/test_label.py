"""Labels of a collection: what is written, resumed, shared and refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('torch', reason='the training package needs torch')

import torch
from dense_perception_training import label as labelling
from dense_perception_training.datasets import open_dataset
from dense_perception_training.label import LabelError, jobs_of, label, main
from torch import nn

from dense_perception.export.onnx_export import export_model
from dense_perception.inference.card import ClassInfo, ModelCard

CLASSES = (ClassInfo(0, 'dark', (0, 0, 0)), ClassInfo(1, 'bright', (255, 255, 255)))


class Brightness(nn.Module):
    """Depth 1 to 3 m by brightness, and two classes."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        grey = x.mean(1)
        return {'depth': 2 + grey, 'logits': torch.stack([-10 * grey, 10 * grey], 1)}


def teacher(path: Path, **changes) -> Path:
    card = ModelCard(**{
        'name': 'teacher', 'system': 'test', 'variant': 'brightness', 'input_height': 32,
        'input_width': 32, 'tasks': ('depth', 'segmentation'), 'mean': (0.5,) * 3,
        'std': (0.5,) * 3, 'outputs': ('depth', 'labels', 'confidence'), 'classes': CLASSES,
        'depth_convention': 'metric', **changes})
    export_model(Brightness(), card, path)
    return path


@pytest.fixture(scope='module')
def metric(tmp_path_factory) -> Path:
    return teacher(tmp_path_factory.mktemp('teacher') / 'metric.onnx')


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Five flat pictures in folders, from black to white, and one that is none."""
    folder = tmp_path / 'images'
    for index in range(5):
        path = folder / f'part_{index % 2}' / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((48, 64, 3), index * 63, np.uint8))
    (folder / 'broken.jpg').write_bytes(b'no picture')
    return folder


def test_labels_are_a_dataset_and_nothing_is_done_twice(metric: Path, images: Path,
                                                        tmp_path: Path):
    out = tmp_path / 'labels'
    counts = label(images, out, str(metric), workers=2)
    assert counts == {'images': 6, 'labelled': 0, 'done': 5, 'failed': 1}
    assert 'broken.jpg cannot be read' in (out / 'failed.txt').read_text()
    depth = cv2.imread(str(out / 'depth/part_0/4.png'), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and depth.shape == (48, 64)
    assert depth[20, 20] == pytest.approx(2000 + 1000 * (252 / 255 - 0.5) / 0.5, abs=2)
    assert not list(out.rglob('.*'))
    (images / 'broken.jpg').unlink()
    assert label(images, out, str(metric)) == {'images': 5, 'labelled': 5, 'done': 0, 'failed': 0}
    (out / 'confidence/part_1/1.png').unlink()  # as if it had been killed before the last file
    assert label(images, out, str(metric))['done'] == 1
    shutil.copytree(images, out / 'rgb')
    dataset = open_dataset('folder', out, image='rgb/**/*.png', depth='depth/**/*.png',
                           labels='labels/**/*.png', classes=['dark', 'bright'])
    assert len(dataset) == 5
    sample = dataset[0]
    assert sample.depth[0, 0] == pytest.approx(1.0, abs=0.01) and sample.labels[0, 0] == 0
    assert json.loads((out / 'labels.json').read_text())['teacher'] == 'teacher'


def test_relative_teachers_write_floats(images: Path, tmp_path: Path):
    file = teacher(tmp_path / 'relative.onnx', depth_convention='inverse_affine')
    label(images, tmp_path / 'out', str(file))
    depth = np.load(tmp_path / 'out/depth/part_0/0.npy')
    assert depth.dtype == np.float32 and depth.shape == (48, 64)
    assert depth[5, 5] == pytest.approx(1.0, abs=1e-3)


def test_shards_share_the_work(images: Path, tmp_path: Path):
    whole = {job.name for job in jobs_of(images, tmp_path)}
    parts = [{job.name for job in jobs_of(images, tmp_path, (i, 3))} for i in range(3)]
    assert set.union(*parts) == whole and sum(map(len, parts)) == len(whole)


@pytest.mark.skipif(importlib.util.find_spec('ray') is None,
                    reason='Ray is not installed: pip install "ray[data]"')
def test_ray_labels_alike(metric: Path, images: Path, tmp_path: Path):
    counts = label(images, tmp_path / 'ray', str(metric), engine='ray', workers=1)
    assert (counts['done'], counts['failed']) == (5, 1)
    label(images, tmp_path / 'here', str(metric))
    for path in (tmp_path / 'here/depth').rglob('*.png'):
        twin = tmp_path / 'ray' / path.relative_to(tmp_path / 'here')
        assert twin.read_bytes() == path.read_bytes()


def test_errors_say_what_is_wrong(metric: Path, images: Path, tmp_path: Path, monkeypatch):
    with pytest.raises(LabelError, match='holds no images'):
        label(tmp_path / 'empty', tmp_path / 'out', str(metric))
    with pytest.raises(LabelError, match='choose one without a mount'):
        label(images, tmp_path / 'out', 'xnet_small')
    cv2.imwrite(str(images / 'part_0/0.jpg'), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(LabelError, match='two images are called part_0/0'):
        jobs_of(images, tmp_path)
    with pytest.raises(SystemExit, match='absent.onnx'):
        main([str(images), '--teacher', 'absent.onnx', '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit):
        main([str(images), '--teacher', 'x', '--out', 'y', '--shard', '9/8'])

    def no_ray(*_, **__):
        raise ModuleNotFoundError("No module named 'ray'", name='ray')

    (images / 'part_0/0.jpg').unlink()
    monkeypatch.setattr(labelling, 'with_ray', no_ray)
    with pytest.raises(SystemExit, match='--engine ray needs ray'):
        main([str(images), '--teacher', str(metric), '--out', str(tmp_path / 'o'), '--engine',
              'ray'])
