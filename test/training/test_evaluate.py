"""Evaluation: scores by task, with and without the mount, files and the card."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.baseline import image_free_priors, per_pixel_baseline  # noqa: E402
from dense_perception_training.datasets import (  # noqa: E402
    DatasetError,
    UnreadableFileError,
    dataset_info,
    open_dataset,
)
from dense_perception_training.evaluate import evaluate, main  # noqa: E402
from dense_perception_training.sample import Sample  # noqa: E402
from dense_perception_training.scores import Calibration, Scores  # noqa: E402
from dense_perception_training.shards import write_shard  # noqa: E402
from dense_perception_training.validation import headline, row_of_pictures  # noqa: E402
from helpers.ground import ground_frame  # noqa: E402

from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.weights import save_weights  # noqa: E402
from dense_perception.inference.card import ModelCard  # noqa: E402
from dense_perception.inference.prediction import Prediction  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.models import create_model  # noqa: E402
from dense_perception.world.classes import CLASSES  # noqa: E402

CARD = ModelCard(
    name='test', system='xnet', variant='xnet_small', tasks=('depth', 'segmentation'),
    input_height=64, input_width=64, outputs=('depth', 'labels', 'confidence'),
    depth_convention='metric', depth_range=(0.1, 80.0), mount='optional', classes=CLASSES)


@pytest.fixture(scope='module')
def run(tmp_path_factory) -> Path:
    """A run folder with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('run')
    save_weights(create_model('xnet_small').eval(), CARD, folder)
    return folder


def test_every_task_with_and_without_the_mount(run: Path, data: Path, tmp_path: Path, capsys):
    out = tmp_path / 'report'
    main([str(run), '--data', str(data), '--limit', '4', '--out', str(out), '--json'])
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / 'result.json').read_text())
    assert printed['frames'] == 4
    assert {'depth', 'depth_median_scaled', 'segmentation', 'iou', 'calibration',
            'depth_median_scaled_without_mount', 'segmentation_without_mount'} <= set(printed)
    assert 'depth_without_mount' not in printed  # without the mount there are no metres
    with (out / 'images.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    mean = np.mean([float(row['abs_rel']) for row in rows])
    assert mean == pytest.approx(printed['depth']['abs_rel'], rel=1e-3)
    assert cv2.imread(str(out / 'sheet.png')).shape[1] == 5 * 320
    assert '### depth' in (out / 'result.md').read_text()


def test_images_without_a_known_mount_are_predicted_once(run: Path, tmp_path: Path, capsys):
    for kind, image in (('rgb', np.full((64, 64, 3), 100, np.uint8)),
                        ('depth', np.full((64, 64), 2000, np.uint16))):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / '1.png'), image)
    main([str(run), '--dataset', 'folder', '--data', str(tmp_path), '--option', 'image=rgb/*',
          '--option', 'depth=depth/*', '--json'])
    printed = json.loads(capsys.readouterr().out)
    assert 'depth' in printed and not [name for name in printed if name.endswith('_without_mount')]


def test_weights_and_model_file_score_the_same_and_the_card_keeps_it(run: Path, data: Path,
                                                                     tmp_path: Path, capsys):
    model = create_model('xnet_small').eval()
    from safetensors.torch import load_file
    model.load_state_dict(load_file(run / 'weights.safetensors'))
    path = tmp_path / 'model.onnx'
    export_model(model, CARD, path)
    results = []
    for name, *more in ((str(run),), (str(path), '--write-card')):
        main([name, '--data', str(data), '--limit', '3', '--json', *more])
        results.append(json.loads(capsys.readouterr().out))
    assert results[0]['depth']['abs_rel'] == pytest.approx(results[1]['depth']['abs_rel'],
                                                           rel=2e-3)
    assert Predictor(path).card.metrics == results[1]
    with pytest.raises(SystemExit, match='needs a model file'):
        main([str(run), '--data', str(data), '--limit', '1', '--write-card'])


class Half:
    """A dataset whose second half cannot be read."""

    def __init__(self, dataset) -> None:
        self.info, self._dataset = dataset.info, dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        if index >= len(self) // 2:
            raise UnreadableFileError(f'{index}: damaged')
        return self._dataset[index]


def test_unreadable_images_are_counted(run: Path, data: Path):
    from dense_perception_training.evaluate import open_model
    dataset = Half(open_dataset('world', data))
    result = evaluate(open_model(str(run)), dataset).result()
    assert result['frames'] == len(dataset) // 2
    assert result['skipped'] == len(dataset) - len(dataset) // 2


def perfect(sample: Sample, **changes) -> Prediction:
    values = {'depth': sample.depth, 'labels': sample.labels, 'metric': True,
              'confidence': np.full(sample.size, 255, np.uint8), **changes}
    return Prediction(**values)


def test_scores_of_the_truth_are_perfect_at_any_size_and_alignment(data: Path):
    dataset = open_dataset('world', data)
    card = replace(CARD, mount='none')
    scores = Scores(dataset.info, card, metric=True)
    for index in range(3):
        scores.add(perfect(dataset[index]), dataset[index])
    result = scores.result()
    assert result['depth']['abs_rel'] == 0 and result['segmentation']['miou'] == 1
    assert result['calibration']['ece'] == 0
    relative = Scores(dataset.info, replace(card, depth_convention='inverse_affine',
                                            depth_range=None), metric=False)
    sample = dataset[0]
    relative.add(perfect(sample, depth=(3 / sample.depth + 1).astype(np.float32), metric=False),
                 sample)
    assert relative.result()['depth']['abs_rel'] < 1e-4
    half = Scores(dataset.info, card, metric=True)
    half.add(perfect(sample, depth=sample.depth[::2, ::2].copy(),
                     labels=sample.labels[::2, ::2].copy(),
                     confidence=np.full((32, 48), 255, np.uint8)), sample)
    assert 0 < half.result()['depth']['abs_rel'] < 0.2


def test_calibration_by_hand():
    calibration = Calibration()
    labels = np.zeros((1, 10), np.uint8)
    truth = np.array([[0] * 6 + [1] * 2 + [255] * 2], np.uint8)  # 6 of 8 right
    calibration.add(labels, np.full((1, 10), 230, np.uint8), truth)
    result = calibration.result()
    assert result['ece'] == pytest.approx(230 / 255 - 0.75)
    assert (result['accuracy'], result['share']) == ([0.75], [1.0])
    assert Calibration().result() is None


def test_baseline_of_identical_frames_is_perfect(tmp_path: Path):
    write_shard(tmp_path / 'a' / 'x', [ground_frame(1)] * 3, {})
    dataset = open_dataset('world', tmp_path / 'a')
    result = per_pixel_baseline(dataset, dataset)
    assert result['depth']['abs_rel'] == pytest.approx(0.0, abs=1e-3)
    assert result['segmentation']['pixel_accuracy'] == 1.0
    assert 'normals' not in result
    level = open_dataset('world', tmp_path / 'a', normals=True)
    sample = level[0]
    known = np.isfinite(sample.normals[..., 0])
    assert known[40:60, 5:-5].all()  # the ground faces up
    np.testing.assert_allclose(sample.normals[known] @ sample.gravity, -1, atol=2e-3)
    assert per_pixel_baseline(level, level)['normals']['mean'] < 0.1
    write_shard(tmp_path / 'b' / 'x', [ground_frame(1, width=80)], {})
    with pytest.raises(DatasetError, match='images of one size'):
        per_pixel_baseline(dataset, open_dataset('world', tmp_path / 'b'))


def test_priors_need_no_image(tmp_path: Path):
    (tmp_path / 'rgb').mkdir()
    (tmp_path / 'depth').mkdir()
    rows = 7000 * np.exp(-1.2 * np.arange(40) / 40)
    for name, depth in (('a', np.full((40, 30), 1500)), ('b', np.tile(rows[:, None], (1, 30)))):
        cv2.imwrite(str(tmp_path / 'rgb' / f'{name}.png'), np.zeros((40, 30, 3), np.uint8))
        cv2.imwrite(str(tmp_path / 'depth' / f'{name}.png'), depth.astype(np.uint16))
    for wanted, perfect, wrong in (('a', 'constant', 'row_prior'), ('b', 'row_prior', 'constant')):
        dataset = open_dataset('folder', tmp_path, image=f'rgb/{wanted}*',
                               depth=f'depth/{wanted}*')
        found = image_free_priors(dataset)
        assert found[perfect]['abs_rel'] == pytest.approx(0, abs=1e-3)
        assert found[wrong]['abs_rel'] > 0.2


def test_mattes_and_normals_are_scored_at_the_size_of_the_truth():
    card = replace(CARD, tasks=('normals', 'matting'), outputs=('normals', 'alpha'), classes=(),
                   depth_convention=None, depth_range=None)
    up, ahead = np.float32([0, -1, 0]), np.float32([0, 0, -1])
    truth = Sample(np.zeros((20, 40, 3), np.uint8), 'x', alpha=np.ones((20, 40), np.float32),
                   normals=np.broadcast_to(up, (20, 40, 3)).copy())
    said = Prediction(None, None, None, False, alpha=np.full((10, 20), 0.75, np.float32),
                      normals=np.broadcast_to(ahead, (10, 20, 3)).copy())
    scores = Scores(dataset_info('p3m10k'), card, metric=False)
    scores.add(said, truth)
    found = scores.result()
    assert found['normals']['mean'] == pytest.approx(90)
    assert found['matting']['mad'] == pytest.approx(0.25)
    assert found['matting']['sad'] == pytest.approx(0.2)  # thousands: 800 pixels
    assert headline(found) == {'normal_angle': found['normals']['mean'],
                               'matte_mad': found['matting']['mad']}
    assert row_of_pictures(truth, said, card).shape == (240, 5 * 320, 3)


@pytest.mark.parametrize(('arguments', 'message'), [
    (['absent.onnx', '--data', '.'], 'absent'),
    (['xnet_small', '--data', 'absent'], 'there is no absent'),
    (['xnet_small', '--data', '.', '--option', 'x'], 'is not KEY=VALUE'),
    (['{empty}', '--data', '.'], 'has no weights.safetensors')])
def test_errors_are_one_sentence(arguments, message, tmp_path: Path):
    with pytest.raises(SystemExit, match=message):
        main([a.format(empty=tmp_path) for a in arguments])


class OneKittiImage:
    """A dataset of one image of KITTI's size with constant depth."""

    info = dataset_info('kitti')

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        image = np.zeros((375, 1242, 3), np.uint8)
        image[375 - 352:, 13:13 + 1216] = 200
        return Sample(image, 'drive/0000000005.png', depth=np.full((375, 1242), 20.0, np.float32))


class Bright(Predictor):
    """Depth 20 m where everything it sees is bright, else 5 m."""

    card = replace(CARD, mount='none', classes=(), outputs=('depth',), tasks=('depth',))

    def __init__(self) -> None:
        pass

    def predict(self, image, intrinsics=None, mount=None, colour_order='rgb'):
        depth = np.full((88, 304), 20.0 if image.min() > 100 else 5.0, np.float32)
        return Prediction(depth, None, None, True)


def test_kitti_window_and_submission(tmp_path: Path):
    whole = evaluate(Bright(), OneKittiImage()).result()
    seen = evaluate(Bright(), OneKittiImage(), window='kb', submission=tmp_path).result()
    assert whole['depth']['abs_rel'] == pytest.approx(0.75)
    assert seen['depth']['abs_rel'] == 0
    written = cv2.imread(str(tmp_path / '0000000005.png'), cv2.IMREAD_UNCHANGED)
    assert written.dtype == np.uint16 and written.shape == (375, 1242)
    assert written[0, 0] == 0 and written[200, 600] == 20 * 256


def test_averages_at_test_time(run: Path, data: Path, capsys):
    def score(*more: str) -> float:
        main([str(run), '--data', str(data), '--limit', '2', '--json', *more])
        return json.loads(capsys.readouterr().out)['depth_median_scaled']['abs_rel']

    plain = score()
    assert score('--slide', '64x64') == plain  # one window is the whole image
    averaged = {score('--flip'), score('--scales', '1', '1.5'), score('--size', '96x96')}
    assert len(averaged | {plain}) == 4
    with pytest.raises(SystemExit, match='need a folder with weights'):
        main(['xnet_small', '--data', str(data), '--flip'])
    with pytest.raises(SystemExit):
        main([str(run), '--data', str(data), '--slide', '64'])
