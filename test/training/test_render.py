"""``dense-perception-world``: scenes of the mixture or of one kind, into folders of their own."""

from __future__ import annotations

import json
import sys
import zipfile

import cv2
import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the procedural world needs mujoco')

from dense_perception_training import render

from dense_perception.world.renderer import Renderer, RenderError
from dense_perception.world.viewpoints import Cameras


@pytest.fixture
def screen():
    try:
        Renderer(64, 48).close()
    except RenderError as error:
        pytest.skip(str(error))


def test_a_kind_has_its_own_shards_and_is_rendered_once(tmp_path, screen):
    any_kind = render.Job(str(tmp_path), 'train', 2, 1, 2, 64, 48)
    dining = render.Job(str(tmp_path), 'train', 2, 1, 2, 64, 48, 'dining')
    assert [render.render_shard(job) for job in (any_kind, dining, dining)] == [2, 2, 0]
    assert sorted(f.name for f in tmp_path.iterdir()) == ['train_000002', 'train_dining_000002']
    made = [np.load(job.folder / 'images.npy') for job in (any_kind, dining)]
    assert made[0].shape == made[1].shape == (2, 48, 64, 3) and (made[0] != made[1]).any()
    assert json.loads((dining.folder / 'provenance.json').read_text())['kind'] == 'dining'


def test_other_cameras_have_their_own_shards_that_tell_which(tmp_path, screen):
    usual, other = (render.Job(str(tmp_path), 'train', 2, 1, 2, 64, 48, 'room', cameras=cameras)
                    for cameras in (Cameras(), Cameras((20.0, 30.5), beside=True)))
    assert [render.render_shard(job) for job in (usual, other)] == [2, 2]
    assert other.folder.name == 'train_beside_lens_20_30.5_room_000002'
    assert usual.folder.name == 'train_room_000002'
    provenance = json.loads((other.folder / 'provenance.json').read_text())
    assert provenance['cameras'] == {'lens': [20.0, 30.5], 'beside': True}
    fx = np.load(other.folder / 'cameras.npy')[:, 0]
    assert (fx > 32 / np.tan(np.radians(31) / 2)).all()


def test_fields_of_view_that_are_no_range_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['dense-perception-world', '--out', str(tmp_path / 'out'),
                                      '--lens', '60', '30'])
    with pytest.raises(SystemExit):
        render.main()
    assert 'fields of view from 60 to 30 degrees' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_kind_that_does_not_exist_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['dense-perception-world', '--out', str(tmp_path / 'out'),
                                      '--kind', 'diner'])
    with pytest.raises(SystemExit):
        render.main()
    assert "invalid choice: 'diner'" in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_frames_with_a_catalogue_have_shards_of_their_own_that_name_its_libraries(
        tmp_path, screen):
    # A library without pieces: nothing is replaced.
    with zipfile.ZipFile(tmp_path / 'empty.sh3f', 'w') as archive:
        archive.writestr('PluginFurnitureCatalog.properties', 'id=empty\n')
    job = render.Job(str(tmp_path), 'train', 2, 1, 2, 64, 48, catalogue=str(tmp_path))
    assert render.render_shard(job) == 2 and job.folder.name == 'train_catalogue_000002'
    provenance = json.loads((job.folder / 'provenance.json').read_text())
    assert list(provenance['libraries']) == ['empty.sh3f']


def test_a_folder_without_libraries_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['dense-perception-world', '--out', str(tmp_path / 'out'),
                                      '--catalogue', str(tmp_path)])
    with pytest.raises(SystemExit):
        render.main()
    assert 'no furniture library (*.sh3f) in' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_frames_with_photographs_have_shards_of_their_own_that_name_the_archives(
        tmp_path, screen):
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    with zipfile.ZipFile(tmp_path / 'felt.whl', 'w') as archive:
        archive.writestr('robosuite/models/assets/textures/gray-felt.png',
                         cv2.imencode('.png', image)[1].tobytes())
    with zipfile.ZipFile(tmp_path / 'empty.sh3f', 'w') as archive:
        archive.writestr('PluginFurnitureCatalog.properties', 'id=empty\n')
    plain, job = (render.Job(str(tmp_path), 'train', 2, 1, 2, 64, 48, 'room', str(tmp_path), given)
                  for given in (None, str(tmp_path)))
    assert [render.render_shard(j) for j in (plain, job)] == [2, 2]
    assert job.folder.name == 'train_catalogue_photographs_room_000002'
    provenance = [json.loads((j.folder / 'provenance.json').read_text()) for j in (plain, job)]
    assert 'archives' not in provenance[0] and list(provenance[1]['archives']) == ['felt.whl']
    images = [np.load(j.folder / 'images.npy') for j in (plain, job)]
    assert (images[0] != images[1]).any()


@pytest.mark.parametrize(('more', 'sentence'), [
    ([], 'no archive (*.whl) with photographs of materials in'),
    (['--split', 'held_out'], '--photographs are for training frames')])
def test_photographs_that_cannot_be_had_are_refused(tmp_path, monkeypatch, capsys, more, sentence):
    monkeypatch.setattr(sys, 'argv', ['dense-perception-world', '--out', str(tmp_path / 'out'),
                                      '--photographs', str(tmp_path), *more])
    with pytest.raises(SystemExit):
        render.main()
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
