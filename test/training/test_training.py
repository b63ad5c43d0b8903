"""The training package on a tiny world whose truth is exact: flat ground."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch')
pytest.importorskip('mujoco', reason='the training package needs mujoco')

from dense_perception_training.config import Recipe, RecipeError  # noqa: E402
from dense_perception_training.data import Augmentation, StepBatches, class_weights  # noqa: E402
from dense_perception_training.evaluate import baseline, evaluate, write_metrics  # noqa: E402
from dense_perception_training.shards import ShardError, list_shards, write_shard  # noqa: E402
from dense_perception_training.train import (  # noqa: E402
    NotANumberError,
    Trainer,
    learning_rate,
    process_group,
)

from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.weights import load_weights  # noqa: E402
from dense_perception.geometry.camera import Intrinsics  # noqa: E402
from dense_perception.geometry.mount import Mount  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.world.classes import GROUND, SKY  # noqa: E402
from dense_perception.world.renderer import WorldFrame  # noqa: E402

RECIPE = """
model: xnet_small
data: {data}
warmup_steps: 2
stages:
  - {{height: 32, width: 32, batch: 2, steps: 3, lr_start: 1.0e-3, lr_end: 5.0e-4}}
  - {{height: 64, width: 64, batch: 2, steps: 3, lr_start: 5.0e-4, lr_end: 1.0e-5}}
"""


def ground_frame(number: int) -> WorldFrame:
    rng = np.random.default_rng(number)
    camera = Intrinsics(70 + 5 * rng.random(), 75.0, 47 + rng.random(), 31.5, 96, 64)
    mount = Mount.from_pitch_roll(rng.uniform(0.1, 0.4), rng.uniform(-0.1, 0.1),
                                  rng.uniform(0.3, 1.2))
    depth = mount.ground_depth(camera)
    labels = np.where(np.isfinite(depth), GROUND, SKY).astype(np.uint8)
    image = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    return WorldFrame(image, depth, labels, camera, mount)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / 'data'
    write_shard(folder / 'train_0', [ground_frame(i) for i in range(5)], {})
    write_shard(folder / 'train_1', [ground_frame(i) for i in range(5, 9)], {})
    return folder


@pytest.fixture
def recipe(data: Path, tmp_path: Path) -> Recipe:
    path = tmp_path / 'recipe.yaml'
    path.write_text(RECIPE.format(data=data))
    return Recipe.load(path)


def test_geometry_survives_every_augmentation(data: Path):
    # Crop, resize and flip with exact mounts: the ground must stay where the camera says.
    exact = Augmentation(mount_dropped=0.0, mount_angle=0.0, mount_height=0.0)
    batches = StepBatches(data, 4, 40, 56, (0, 0), exact)
    for step in range(5):
        batch = {k: v.numpy() for k, v in batches[step].items()}
        for i in range(4):
            camera = Intrinsics(*batch['intrinsics'][i].astype(float), 56, 40)
            mount = Mount(tuple(batch['gravity'][i].astype(float)), batch['camera_height'][i])
            expected, depth = mount.ground_depth(camera), batch['depth'][i]
            valid = np.isfinite(depth) & (depth < 6)
            assert valid.mean() > 0.1
            # Nearest sampling is off by up to half a source pixel, which shifts the ground.
            error = np.abs(np.log(expected[valid] / depth[valid]))
            assert np.nanmedian(error) < 0.02
            assert abs(np.nanmean(np.log(expected[valid] / depth[valid]))) < 0.02


def test_batches_follow_from_seed_and_step_alone(data: Path):
    first = StepBatches(data, 3, 32, 32, (7, 0), Augmentation())
    again = StepBatches(data, 3, 32, 32, (7, 0), Augmentation())
    other = StepBatches(data, 3, 32, 32, (7, 1), Augmentation())
    for key, value in first[11].items():
        torch.testing.assert_close(value, again[11][key], equal_nan=True)
    assert not torch.equal(first[11]['image'], other[11]['image'])


def test_rare_classes_weigh_more(data: Path):
    weights = class_weights(data, 8)
    shares = [(ground_frame(0).labels == c).mean() for c in (GROUND, SKY)]
    rarer = (GROUND, SKY)[int(np.argmin(shares))]
    commoner = (GROUND, SKY)[int(np.argmax(shares))]
    assert weights[rarer] > weights[commoner]


def trained(recipe: Recipe, run: Path, stop: int | None = None) -> dict[str, torch.Tensor]:
    run.mkdir(exist_ok=True)
    with process_group('cpu') as device:
        trainer = Trainer(recipe, run, device)
        if stop is not None:
            trainer._fit_stage(0, stop)
            trainer.save()
        else:
            trainer.fit()
    return trainer.model.state_dict()


def test_a_killed_run_resumes_to_the_same_weights(recipe: Recipe, tmp_path: Path):
    torch.set_num_threads(1)
    unbroken = trained(recipe, tmp_path / 'unbroken')
    trained(recipe, tmp_path / 'killed', stop=2)
    resumed = trained(recipe, tmp_path / 'killed')
    for name, value in unbroken.items():
        assert torch.equal(value, resumed[name]), name


def test_trained_weights_export_and_evaluate(recipe: Recipe, data: Path, tmp_path: Path):
    trained(recipe, tmp_path / 'run')
    model, card = load_weights(tmp_path / 'run')
    path = tmp_path / 'model.onnx'
    export_model(model, card, path)
    metrics = {'depth': evaluate(Predictor(path), sized(tmp_path), limit=3)['depth']}
    assert 0 < metrics['depth']['abs_rel'] < 100
    write_metrics(path, metrics)
    assert Predictor(path).card.metrics == json.loads(json.dumps(metrics))


def sized(tmp_path: Path) -> Path:
    """Frames at the model's input size, as evaluation needs them."""
    frames = []
    for number in range(4):
        frame = ground_frame(number)
        camera = frame.intrinsics.cropped(0, 0, 64, 64)
        crop = np.s_[:, :64]
        frames.append(WorldFrame(frame.image[crop], frame.depth[crop], frame.labels[crop], camera,
                                 frame.mount))
    write_shard(tmp_path / 'sized' / 'held_out_0', frames, {})
    return tmp_path / 'sized'


def test_baseline_of_identical_frames_is_perfect(tmp_path: Path):
    write_shard(tmp_path / 'a' / 'x', [ground_frame(1)] * 3, {})
    result = baseline(tmp_path / 'a', tmp_path / 'a')
    assert result['depth']['abs_rel'] == pytest.approx(0.0, abs=1e-3)
    assert result['segmentation']['pixel_accuracy'] == 1.0


def test_a_loss_that_is_not_finite_stops_with_the_batch_saved(recipe: Recipe, tmp_path: Path):
    run = tmp_path / 'run'
    run.mkdir()
    with process_group('cpu') as device:
        trainer = Trainer(recipe, run, device)
        with torch.no_grad():
            trainer.model.head.linear.bias.fill_(float('nan'))
        with pytest.raises(NotANumberError, match='not_finite_batch'):
            trainer.fit()
    assert (run / 'not_finite_batch.pt').exists()


def test_learning_rate_warms_up_and_falls_in_every_stage(recipe: Recipe):
    rates = [learning_rate(recipe, step) for step in range(recipe.total_steps)]
    assert rates[0] == pytest.approx(0.5e-3)
    assert rates[1] < 1e-3
    assert rates[3] == pytest.approx(5e-4)
    assert rates[-1] < rates[3]


def test_recipe_typo_names_the_right_key(tmp_path: Path):
    path = tmp_path / 'recipe.yaml'
    path.write_text(RECIPE.format(data='x') + 'ema_deacy: 0.9\n')
    with pytest.raises(RecipeError, match='did you mean "ema_decay"'):
        Recipe.load(path)
    path.write_text('model: xnet_small\ndata: x\n')
    with pytest.raises(RecipeError, match='no stages'):
        Recipe.load(path)
    with pytest.raises(RecipeError, match='cannot read'):
        Recipe.load(tmp_path / 'absent.yaml')


def test_missing_and_partial_shards(tmp_path: Path):
    with pytest.raises(ShardError, match='dense-perception-world'):
        list_shards(tmp_path)

    def broken():
        yield ground_frame(0)
        raise RuntimeError('power cut')

    with pytest.raises(RuntimeError, match='power cut'):
        write_shard(tmp_path / 'train_0', broken(), {})
    assert not (tmp_path / 'train_0').exists()
    with pytest.raises(ShardError):
        list_shards(tmp_path)
