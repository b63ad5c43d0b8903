"""Teachers: what they see in which view, and what a run learns from them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.feeding import open_batches  # noqa: E402
from dense_perception_training.losses import Agreement, LossError  # noqa: E402
from dense_perception_training.recipe import (  # noqa: E402
    Recipe,
    RecipeError,
    Source,
    TeacherChoice,
)
from dense_perception_training.teaching import Teacher  # noqa: E402
from dense_perception_training.train import train  # noqa: E402
from helpers.trainer import trainer_of  # noqa: E402
from torch import nn  # noqa: E402

from dense_perception.export.cards import card_for  # noqa: E402
from dense_perception.export.weights import save_weights  # noqa: E402
from dense_perception.inference.card import ClassInfo  # noqa: E402
from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.inputs import InputSpec  # noqa: E402

NAN = float('nan')
ROWS, COLUMNS = 48, 64


class FlatGround(nn.Module):
    """Knows log(z / h) of flat ground exactly, from the mount channels, and nothing else.

    Its logits are the normalised red and green of the image.
    """

    in_chans = 5

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {'depth': -torch.log(x[:, 3].clamp(min=0.02)), 'logits': x[:, :2]}


def batch_of(images: int = 2) -> dict[str, torch.Tensor]:
    """Cameras that look down by 20 and 40 degrees, rolled, with a centre off the middle."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(60, 200, (images, 3, 6, 8), generator=generator).float()
    image = nn.functional.interpolate(coarse, size=(ROWS, COLUMNS), mode='bilinear')
    pitch = torch.deg2rad(torch.tensor([20.0, 40.0]))[:images]
    gravity = torch.stack([torch.full_like(pitch, 0.1), pitch.cos(), pitch.sin()], dim=1)
    return {'image': image.permute(0, 2, 3, 1).to(torch.uint8),
            'intrinsics': torch.tensor([[50.0, 52.0, 30.0, 20.0]]).repeat(images, 1),
            'gravity': nn.functional.normalize(gravity, dim=1),
            'camera_height': torch.tensor([0.5, 1.2])[:images], 'known': torch.ones(images)}


def taught(batch: dict[str, torch.Tensor], seed: int = 0, **choice) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return Teacher(FlatGround(), InputSpec(ROWS, COLUMNS), TeacherChoice(**choice))(batch)


@pytest.mark.parametrize('choice', [{}, {'flip': 1.0}, {'zoom': 0.5},
                                    {'flip': 1.0, 'zoom': 0.5, 'height': 0.2}], ids=repr)
def test_a_view_is_brought_back_to_the_pixels_it_is_of(choice: dict):
    # The ground's depth follows from the camera that goes with a view; were the camera or the way
    # back wrong, it would be another one than in the view of the model in training.
    batch = batch_of()
    plain = taught(batch)
    for seed in range(5):
        other = taught(batch, seed, **choice)
        assert other['image'] is batch['image']  # the model's own view stays
        seen = torch.isfinite(other['taught_depth'])
        if 'zoom' in choice:
            assert 0.2 < seen.float().mean() < 1
        else:
            assert seen.all()
        assert torch.equal(seen, torch.isfinite(other['taught_logits'][:, 0]))
        near = seen & (plain['taught_depth'] < 1.5)  # 1/g bends too much towards the horizon
        assert near.float().mean() > 0.1
        # Heights told otherwise cancel out: in metres the ground is where that height has it.
        difference = other['taught_depth'] - plain['taught_depth']
        if 'height' in choice:
            difference = difference - difference.flatten(1).nanmedian(dim=1).values.view(-1, 1, 1)
        assert difference[near].abs().max() < 0.02
        picture = other['taught_logits'] - plain['taught_logits']
        assert picture[:, 0][seen].abs().mean() < 0.05


def test_told_another_height_it_answers_in_the_heights_of_the_model():
    batch = batch_of()
    other = taught(batch, 3, height=0.3)['taught_depth']
    plain = taught(batch, 3)['taught_depth']
    stretch = (other - plain).flatten(1)
    assert (stretch - stretch[:, :1]).abs().max() < 1e-5  # one factor for an image
    assert 0.02 < stretch[:, 0].abs().max() < 1.2
    assert stretch[0, 0] != stretch[1, 0]
    withheld = {**batch, 'known': torch.zeros(2), 'camera_height': torch.zeros(2),
                'gravity': torch.zeros(2, 3)}
    assert torch.equal(taught(withheld, 3, height=0.3, angle=2.0)['taught_depth'],
                       taught(withheld, 3)['taught_depth'])


def test_of_a_camera_told_twice_as_high_the_ground_is_twice_as_far(monkeypatch):
    monkeypatch.setattr('dense_perception_training.teaching._told_otherwise', lambda batch, _: {
        **batch, 'camera_height': 2 * batch['camera_height']})
    batch = batch_of()
    other = taught(batch)['taught_depth']
    monkeypatch.undo()
    torch.testing.assert_close(other - taught(batch)['taught_depth'],
                               torch.full_like(other, math.log(2)))


def test_errors_of_the_mount_tilt_the_ground():
    batch = batch_of()
    tilted, plain = taught(batch, 1, angle=2.0), taught(batch, 1)
    difference = (tilted['taught_depth'] - plain['taught_depth']).abs()
    assert 0.005 < difference.mean() < 0.5
    assert torch.equal(tilted['taught_logits'], plain['taught_logits'])


def test_exposure_changes_what_is_seen():
    batch = batch_of()
    bright, plain = taught(batch, 1, exposure=0.3), taught(batch, 1)
    assert (bright['taught_logits'] - plain['taught_logits']).abs().mean() > 0.05
    assert torch.equal(bright['taught_depth'], plain['taught_depth'])


def test_agreement_by_hand():
    outputs = {'depth': torch.tensor([[[1.0, 2.0]]], requires_grad=True),
               'logits': torch.zeros(1, 2, 1, 2, requires_grad=True)}
    log3 = math.log(3)
    batch = {'taught_depth': torch.tensor([[[1.5, NAN]]]),
             'taught_logits': torch.tensor([[[[log3, NAN]], [[0.0, NAN]]]])}
    # The teacher says .75 and .25, the model .5 and .5.
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert Agreement(labels=0)(outputs, batch).item() == pytest.approx(0.5)
    assert Agreement(depth=0)(outputs, batch).item() == pytest.approx(divergence)
    assert Agreement(depth=0, labels=0.1)(outputs, batch).item() == pytest.approx(divergence / 10)
    assert Agreement(labels=0, space='log')(outputs, batch).item() == pytest.approx(math.log(1.5))
    # At temperature 2 the odds are sqrt(3) to 1.
    p = math.sqrt(3) / (1 + math.sqrt(3))
    soft = 4 * (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p)))
    assert Agreement(depth=0, temperature=2)(outputs, batch).item() == pytest.approx(soft)
    Agreement()(outputs, batch).backward()
    assert all(torch.isfinite(o.grad).all() and o.grad.abs().sum() > 0 for o in outputs.values())


def test_agreement_is_nothing_where_the_teacher_did_not_look_and_0_for_its_own_words():
    outputs = {'depth': torch.rand(1, 2, 2, requires_grad=True),
               'logits': torch.rand(1, 3, 2, 2, requires_grad=True)}
    same = {f'taught_{k}': v.detach().clone() for k, v in outputs.items()}
    assert Agreement()(outputs, same).item() == pytest.approx(0, abs=1e-6)
    blind = {k: torch.full_like(v, NAN) for k, v in same.items()}
    loss = Agreement()(outputs, blind)
    loss.backward()
    assert loss.item() == 0 and all(not o.grad.any() for o in outputs.values())
    with pytest.raises(LossError, match='"taught_depth" of the batch'):
        Agreement()(outputs, {})
    with pytest.raises(LossError, match='space "metres" is unknown'):
        Agreement(space='metres')


AGREEMENT = [{'loss': 'agreement', 'weight': 1.0}]


def test_a_model_learns_what_its_teacher_says(recipe: Recipe, tmp_path: Path):
    torch.set_num_threads(1)
    train(recipe, tmp_path / 'teacher', 'cpu')
    taught_run = replace(recipe, losses=AGREEMENT, seed=1, ema_decay=0,
                         teacher=TeacherChoice(weights=str(tmp_path / 'teacher'), flip=0.5))
    trainer = trainer_of(taught_run, tmp_path / 'run')
    before = {k: v.clone() for k, v in trainer.teacher.model.state_dict().items()}
    batch = open_batches(taught_run, taught_run.stages[0], 2, (0, 0))[0]
    losses = [trainer._train_step([batch])['agreement'] for _ in range(6)]
    assert losses[-1] < losses[0]
    # The teacher does not learn along, nor do its batch statistics move.
    assert all(torch.equal(before[k], v) for k, v in trainer.teacher.model.state_dict().items())
    assert not any(name.startswith('teacher') for name in trainer.model.state_dict())


def test_a_model_file_can_teach(recipe: Recipe, tmp_path: Path):
    taught_run = replace(recipe, losses=AGREEMENT, ema_decay=0,
                         model=replace(recipe.model, weights='xnet_small'),
                         teacher=TeacherChoice(weights='xnet_small'))
    trainer = trainer_of(taught_run, tmp_path / 'run')
    own, taught = trainer.model.state_dict(), trainer.teacher.model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in taught.items())
    batch = open_batches(taught_run, taught_run.stages[0], 2, (0, 0))[0]
    trainer.model.eval()  # it sees what its teacher sees, and says what its teacher says
    assert trainer._losses(batch)['agreement'].item() == pytest.approx(0, abs=1e-5)


def test_a_mean_teacher_is_the_moving_average_and_a_killed_run_resumes_with_it(
        recipe: Recipe, tmp_path: Path):
    torch.set_num_threads(1)
    recipe = replace(recipe, losses=[*recipe.losses, *AGREEMENT], save_every=3,
                     teacher=TeacherChoice(flip=0.5, zoom=0.7, exposure=0.2, angle=0.5,
                                           height=0.02))
    whole = trainer_of(recipe, tmp_path / 'whole')
    assert whole.teacher.model is whole.ema.module
    whole.fit()
    broken = trainer_of(recipe, tmp_path / 'broken')
    broken.recipe = replace(recipe, stages=recipe.stages[:1])
    broken.fit()
    resumed = trainer_of(recipe, tmp_path / 'broken')
    assert resumed.step == 3
    resumed.fit()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_images_without_truth_teach_agreement(recipe: Recipe, tmp_path: Path):
    torch.set_num_threads(1)
    (tmp_path / 'photos').mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'photos/{number}.png'),
                    rng.integers(0, 255, (40, 50, 3), np.uint8))
    photos = Source('folder', str(tmp_path / 'photos'), options={'image': '*.png'})
    recipe = replace(recipe, losses=[*recipe.losses, *AGREEMENT],
                     teacher=TeacherChoice(flip=1.0))
    mixed = replace(recipe, sources=[*recipe.sources, photos], single_source=True)
    trainer = trainer_of(mixed, tmp_path / 'run')
    batches = open_batches(mixed, mixed.stages[0], 2, (0, 0))
    alone = next(b for b in map(batches.__getitem__, range(20)) if (b['part'] == 1).all())
    losses = trainer._train_step([alone])
    assert losses['height_normalised_log'] == 0 and losses['cross_entropy'] == 0
    assert losses['agreement'] > 0


@pytest.mark.parametrize(('changes', 'message'), [
    ({'losses': AGREEMENT}, 'teacher and the loss "agreement" need each other'),
    ({'teacher': TeacherChoice()}, 'teacher and the loss "agreement" need each other'),
    ({'losses': AGREEMENT, 'teacher': TeacherChoice(), 'ema_decay': 0}, 'set ema_decay, or'),
    ({'losses': AGREEMENT, 'teacher': TeacherChoice(zoom=0)}, 'teacher.zoom must be in'),
    ({'losses': AGREEMENT, 'teacher': TeacherChoice(flip=2)}, 'teacher.flip must be in')])
def test_recipes_whose_teacher_cannot_be_are_refused(recipe: Recipe, changes: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        replace(recipe, **changes)._check(Path('recipe.yaml'))


def test_teachers_that_mean_something_else_are_refused(recipe: Recipe, tmp_path: Path):
    def refused(folder: Path, message: str) -> None:
        choice = TeacherChoice(weights=str(folder))
        with pytest.raises(RecipeError, match=message):
            trainer_of(replace(recipe, losses=AGREEMENT, teacher=choice), tmp_path / 'run')

    def saved(name: str, classes: int, **options) -> Path:
        made = tuple(ClassInfo(i, f'class {i}', (0, 0, 0)) for i in range(classes))
        options = {'num_classes': classes, **options}
        model = create_model('xnet_small', **options)
        save_weights(model, card_for('xnet_small', options, made, input_height=64,
                                     input_width=64, training_data='nothing'), tmp_path / name)
        return tmp_path / name

    refused(tmp_path / 'nowhere', 'teacher.weights: .*nowhere has no weights.safetensors')
    refused(saved('three', 3), 'has 3 classes, the sources have 8')
    refused(saved('metres', 8, mount_channels=0, depth='exp'), 'takes 3 channels and the model 5')
