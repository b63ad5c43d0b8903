"""Datasets that models are only measured on, in tiny trees of their true formats."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the training package needs mujoco')

from dense_perception_training.datasets import DatasetError, UnreadableFileError, open_dataset
from helpers.pictures import damage, plain, ramp, write_picture

from dense_perception.geometry.camera import Intrinsics


def test_eth3d(tmp_path: Path):
    depth = np.linspace(0.5, 60, 12 * 16, dtype='<f4').reshape(12, 16)
    depth[2, 3] = np.inf
    for scene, name in (('courtyard', 'DSC_0286'), ('pipes', 'DSC_0634')):
        write_picture(tmp_path / scene / f'images/dslr_images/{name}.JPG', plain(12, 16))
        truth = tmp_path / scene / f'ground_truth_depth/dslr_images/{name}.JPG'
        truth.parent.mkdir(parents=True)
        depth.tofile(truth)
    write_picture(tmp_path / 'pipes/images/dslr_images/DSC_0635.JPG', plain(12, 16))  # no depth
    dataset = open_dataset('eth3d', tmp_path)
    assert len(dataset) == 2 and dataset.info.protocol.far == 72
    sample = dataset[1]
    assert 'pipes' in sample.source and sample.intrinsics is None
    assert np.isnan(sample.depth[2, 3]) and np.isfinite(sample.depth).sum() == 12 * 16 - 1
    assert sample.depth[0, 0] == np.float32(0.5)
    damage(tmp_path / 'pipes/ground_truth_depth/dslr_images/DSC_0634.JPG')
    with pytest.raises(UnreadableFileError, match='115 numbers, not the 16x12 of its image'):
        dataset[1]
    (tmp_path / 'courtyard/images/dslr_images/DSC_0286.JPG').unlink()
    with pytest.raises(DatasetError, match='1 of 2 depth files have no image'):
        open_dataset('eth3d', tmp_path)


def test_diode(tmp_path: Path):
    depth = np.full((6, 8, 1), 4.5, np.float32)
    known = np.ones((6, 8))
    known[0, :3] = 0
    normals = np.zeros((6, 8, 3), np.float32)
    normals[..., 1:] = [0.6, 0.8]  # up and towards the camera
    normals[5, 5] = 0
    for place, number in (('indoors', 19), ('outdoor', 22)):
        base = tmp_path / f'val/{place}/scene_000{number}/scan_00183'
        name = f'000{number}_00183_{place}_000_010'
        write_picture(base / f'{name}.png', plain(6, 8))
        for what, values in (('depth', depth), ('depth_mask', known), ('normal', normals)):
            np.save(base / f'{name}_{what}.npy', values)
    dataset = open_dataset('diode', tmp_path, 'val', tasks=('depth', 'normals'))
    assert len(dataset) == 2
    assert (dataset.info.protocol.near, dataset.info.protocol.far) == (0.6, 350)
    sample = dataset[0]
    assert np.isnan(sample.depth[0, :3]).all() and (sample.depth[0, 3:] == 4.5).all()
    np.testing.assert_allclose(sample.normals[1, 1], [0, -0.6, -0.8], atol=1e-6)
    assert np.isnan(sample.normals[5, 5]).all()
    assert sample.intrinsics.fx == pytest.approx(886.81 / 128)
    outdoor = open_dataset('diode', tmp_path, 'val', places=('outdoor',))
    assert len(outdoor) == 1 and outdoor.info.tasks == ('depth',) and outdoor[0].normals is None
    with pytest.raises(DatasetError, match='has the places indoors, outdoor, not space'):
        open_dataset('diode', tmp_path, 'val', places=('space',))
    with pytest.raises(DatasetError, match='no file below .*train'):
        open_dataset('diode', tmp_path, 'train')
    np.save(base / f'{name}_depth.npy', np.zeros((6, 8, 2)))
    with pytest.raises(UnreadableFileError, match=r'array of \(6, 8, 2\)'):
        outdoor[0]


@pytest.mark.parametrize('inside', ['', 'ibims1_core_raw'])
def test_ibims1(tmp_path: Path, inside: str):
    base, names = tmp_path / inside, ('corridor_01', 'storageroom_02')
    invalid, transparent = np.full((2, 6, 8), 255, np.uint8)
    invalid[0, 0] = transparent[5, 7] = 0
    for name in names:
        values = ramp(6, 8, 1000)
        values[3, 3] = 0
        for kind, pixels in (('rgb', plain(6, 8)), ('depth', values), ('mask_invalid', invalid),
                             ('mask_transp', transparent)):
            write_picture(base / kind / f'{name}.png', pixels)
        (base / 'calib').mkdir(exist_ok=True)
        (base / f'calib/{name}.txt').write_text('4.5,4.6,3.9,3.1')
    (tmp_path / 'imagelist.txt').write_text('\n'.join(names))
    sample = open_dataset('ibims1', tmp_path)[1]
    assert sample.depth[0, 1] == np.float32(1001 * 50 / 65535)
    unknown = np.isnan(sample.depth)
    assert unknown[0, 0] and unknown[5, 7] and unknown[3, 3] and unknown.sum() == 3
    assert sample.intrinsics == Intrinsics(4.5, 4.6, 3.9, 3.1, 8, 6)
    glass = open_dataset('ibims1', tmp_path, transparent=True)[0]
    assert np.isnan(glass.depth).sum() == 2
    (base / 'calib/corridor_01.txt').write_text('4.5,4.6')
    with pytest.raises(UnreadableFileError, match='fx,fy,cx,cy'):
        open_dataset('ibims1', tmp_path)[0]
    (base / 'rgb/corridor_01.png').unlink()
    with pytest.raises(DatasetError, match='corridor_01.png'):
        open_dataset('ibims1', tmp_path)


class Malicious:
    """Runs a command where a pickle of it is loaded without care."""

    def __reduce__(self) -> tuple:
        return os.system, ('exit 1',)


@pytest.mark.parametrize('protocol', [2, 4])
def test_oasis(tmp_path: Path, protocol: int):
    base = tmp_path / 'OASIS_trainval'
    region = np.zeros((2, 3, 3))
    region[0] = [0.6, 0.0, 0.8]
    (base / 'normal').mkdir(parents=True)
    lines = ['Image,Entry,Mask,Normal,Depth']
    for name, drawn in (('a_1', True), ('b_2', False)):
        write_picture(base / f'image/{name}.png', plain(6, 8))
        normal = f'OASIS/OASIS_trainval/normal/{name}.pkl' if drawn else ''
        lines.append(f'OASIS/OASIS_trainval/image/{name}.png,x,x,{normal},')
    table = {'min_y': np.int64(1), 'max_y': np.int64(2), 'min_x': 4, 'max_x': 6, 'normal': region}
    file = base / 'normal/a_1.pkl'
    file.write_bytes(pickle.dumps(table, protocol))
    (base / 'OASIS_val.csv').write_text('\n'.join(lines))
    dataset = open_dataset('oasis', tmp_path, 'val')
    assert len(dataset) == 1
    normals = dataset[0].normals
    np.testing.assert_allclose(normals[1, 4:7], [[0.6, 0, -0.8]] * 3, atol=1e-6)
    assert np.isfinite(normals).all(2).sum() == 3  # the second row of the region is 0
    for bad, message in ((Malicious(), 'would run .*system'), ([1], 'holds a list'),
                         ({**table, 'max_x': 7}, 'no normals')):
        file.write_bytes(pickle.dumps(bad, protocol))
        with pytest.raises(UnreadableFileError, match=message):
            dataset[0]
    with pytest.raises(DatasetError, match='OASIS_train.csv'):
        open_dataset('oasis', tmp_path, 'train')
