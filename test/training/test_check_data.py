"""What ``dense-perception-data`` says of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from dense_perception_training.check_data import main
from helpers.pictures import plain, ramp, write_picture

OPTIONS = ['--option', 'depth=depth/*.png', '--option', 'labels=mask/*.png', '--option',
           'normals=normal/*.png', '--option', 'classes=[floor, wall]', '--option',
           'intrinsics=[8, 8, 3.5, 2.5]', '--option', 'normal_axes=[1, -1, -1]']


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        write_picture(tmp_path / f'rgb/{number}.png', plain(6, 8))
        write_picture(tmp_path / f'depth/{number}.png', ramp(6, 8, 1000))
        write_picture(tmp_path / f'mask/{number}.png',
                      np.array([[0, 0, 0, 1, 255, 255, 0, 0]] * 6, np.uint8))
        write_picture(tmp_path / f'normal/{number}.png', plain(6, 8, (128, 128, 255)))
    return tmp_path


def test_a_good_folder(folder: Path, capsys):
    main(['folder', str(folder), *OPTIONS, '--sheet', str(folder / 'sheet.png')])
    found = json.loads(capsys.readouterr().out)
    assert (found['of'], found['samples'], found['unusable']) == (4, 4, 0)
    assert found['sizes'] == {'8x6': 4} and found['with'] == {'intrinsics': 4}
    assert found['known'] == {'depth': 1.0, 'normals': 1.0, 'labels': 0.75}
    assert found['depth']['min'] == 1.0 and found['depth']['max'] == 1.047
    assert found['classes'] == {'floor': 0.8333, 'wall': 0.1667}
    assert found['normals_facing_the_camera'] == 1.0
    assert cv2.imread(str(folder / 'sheet.png')).shape == (4 * 244, 4 * 320, 3)


def test_wrong_axes_show_in_the_normals(folder: Path, capsys):
    main(['folder', str(folder), *OPTIONS[:-2], '--limit', '2'])
    found = json.loads(capsys.readouterr().out)
    assert found['samples'] == 2 and found['normals_facing_the_camera'] == 0.0


def test_broken_samples_are_named_and_fail(folder: Path, capsys):
    (folder / 'rgb/2.png').write_text('x')
    with pytest.raises(SystemExit) as ended:
        main(['folder', str(folder), *OPTIONS])
    found = json.loads(capsys.readouterr().out)
    assert ended.value.code == 1 and (found['samples'], found['unusable']) == (3, 1)
    assert 'rgb/2.png is no picture' in found['faults'][0]


def test_the_list_and_what_is_wrong_with_a_call(folder: Path, capsys):
    main([])
    assert 'kitti' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='(?s)list of files is missing.*cs.nyu.edu'):
        main(['nyu', str(folder), '--split', 'train'])
    with pytest.raises(SystemExit, match='option "depth" is not KEY=VALUE'):
        main(['folder', str(folder), '--option', 'depth'])
    with pytest.raises(SystemExit, match='nowhere/sheet.png cannot be written'):
        main(['folder', str(folder), *OPTIONS, '--sheet', str(folder / 'nowhere/sheet.png')])
    with pytest.raises(SystemExit, match='2'):
        main(['nyu'])
