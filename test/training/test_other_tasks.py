"""Classifiers and detectors train in the loop of the dense models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.classifying import ImageBatches, open_folder  # noqa: E402
from dense_perception_training.datasets import DatasetError  # noqa: E402
from dense_perception_training.datasets.coco import Coco  # noqa: E402
from dense_perception_training.detecting import ObjectBatches  # noqa: E402
from dense_perception_training.losses import make_loss  # noqa: E402
from dense_perception_training.recipe import (  # noqa: E402
    Classification,
    Detection,
    ModelChoice,
    Optimiser,
    Recipe,
    RecipeError,
    Source,
    Stage,
)
from dense_perception_training.runlog import read_log  # noqa: E402
from dense_perception_training.train import train  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.encoders import create_encoder  # noqa: E402
from dense_perception.models.inputs import InputSpec  # noqa: E402

BACKBONE: dict[str, Any] = {'stem_channels': 8, 'channels': (16, 24, 32), 'blocks': (1, 1, 1, 1),
                            'stages': 2, 'layer_scale': 1.0}
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
PLAIN = Classification(auto_augment='', erasing=0.0, scale=(0.8, 1.0), mixup=0.0, cutmix=0.0)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Images of three colours, twelve for training and six to validate on."""
    rng = np.random.default_rng(0)
    for split, count in (('train', 4), ('val', 2)):
        for name, colour in zip(('blue', 'green', 'red'), COLOURS, strict=True):
            folder = tmp_path / 'images' / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(-30, 30, (40, 56, 3)) + np.array(colour)
                cv2.imwrite(str(folder / f'{number}.png'), noise.clip(0, 255).astype(np.uint8))
    return tmp_path / 'images'


def classifier_recipe(folders: Path, **fields: Any) -> Recipe:
    source = Source('image_folder', str(folders), 'train')
    return Recipe(**{
        'model': ModelChoice('cednet_next_tiny', {**BACKBONE, 'num_classes': 3}),
        'sources': [source], 'validation': [replace(source, split='val')],
        'stages': [Stage(32, 32, 6, 30, 5e-3, 1e-4)], 'losses': [{'loss': 'class_cross_entropy'}],
        'classification': PLAIN, 'optimiser': Optimiser(clip_norm=1.0), 'ema_decay': 0.9,
        'save_every': 10, **fields})


def test_a_classifier_learns_and_becomes_an_encoder(folders: Path, tmp_path: Path):
    run = tmp_path / 'run'
    train(classifier_recipe(folders), run, 'cpu')
    assert read_log(run)[-1]['validation/top1'] == 1.0
    assert not (run / 'card.json').exists()
    file = run / 'weights.safetensors'
    body = create_encoder('cednet_next_tiny', (0, 1, 2, 3), pretrained=True, **BACKBONE,
                          pretrained_cfg_overlay={'file': str(file)}).body
    assert torch.equal(body.state_dict()['stem.3.weight'],
                       load_file(file)['backbone.stem.3.weight'])


def test_a_classifier_resumes_where_it_was(folders: Path, tmp_path: Path):
    short = classifier_recipe(folders, classification=Classification(), validation=[],
                              stages=[Stage(32, 32, 2, 4, 1e-3, 1e-3)], save_every=2)
    train(short, tmp_path / 'unbroken', 'cpu')
    (tmp_path / 'resumed').mkdir()
    half = replace(short, stages=[replace(short.stages[0], steps=2)])
    train(half, tmp_path / 'resumed', 'cpu')
    (tmp_path / 'resumed' / 'recipe.yaml').unlink()
    train(short, tmp_path / 'resumed', 'cpu')
    ours, theirs = (load_file(tmp_path / name / 'weights.safetensors')
                    for name in ('unbroken', 'resumed'))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_batches_of_images_follow_from_seed_and_step(folders: Path):
    folder = open_folder(Source('image_folder', str(folders), 'train'))
    batches = ImageBatches(folder, (32, 64), 4, (0, 0), Classification(), InputSpec(32, 64))
    first, again = batches[3], batches[3]
    assert first['image'].shape == (4, 3, 32, 64) and first['target'].shape == (4, 3)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first['image'], batches[4]['image'])
    torch.testing.assert_close(first['target'].sum(1), torch.ones(4))
    assert 0 < first['target'].min() < 0.1  # smoothed
    plain = ImageBatches(folder, (32, 32), 12, (0, 0), PLAIN, InputSpec(32, 32))
    for step in (0, 1):  # each image once per epoch
        assert sorted(plain[step]['target'].argmax(1).tolist()) == [0] * 4 + [1] * 4 + [2] * 4
    with pytest.raises(RecipeError, match='3 is odd'):
        ImageBatches(folder, (32, 32), 3, (0, 0), Classification(), InputSpec(32, 32))


def test_the_loss_is_the_mean_over_the_heads():
    loss = make_loss('class_cross_entropy')
    target = torch.eye(3)[:2]
    logits = torch.randn(3, 2, 3)
    outputs = {'class_logits': logits[2], 'aux_class_logits': logits[:2].transpose(0, 1)}
    one = [loss({'class_logits': head}, {'target': target}) for head in logits]
    torch.testing.assert_close(loss(outputs, {'target': target}), sum(one) / 3)


@pytest.mark.parametrize(('fields', 'message'), [
    ({'transforms': [{'transform': 'flip'}]}, '"classification" in place of "transforms"'),
    ({'model': ModelChoice('cednet_next_tiny', {**BACKBONE, 'num_classes': 5})},
     '5 classes apart, the folders are 3'),
    ({'sources': [Source('world', 'x')]}, 'learns from dataset "image_folder"'),
    ({'detection': Detection()}, '"detection" is for models of that task')])
def test_recipes_that_do_not_fit_a_classifier_are_refused(folders, tmp_path, fields, message):
    with pytest.raises(RecipeError, match=message):
        train(classifier_recipe(folders, **fields), tmp_path / 'run', 'cpu')


def test_folders_without_images_are_named(tmp_path: Path):
    with pytest.raises(DatasetError, match='one folder of images for each class'):
        open_folder(Source('image_folder', str(tmp_path / 'none')))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Eight grey images with one bright square or one dark disc each."""
    root, rng = tmp_path / 'coco', np.random.default_rng(0)
    (root / 'train').mkdir(parents=True)
    (root / 'annotations').mkdir()
    images, annotations = [], []
    for number in range(8):
        image = np.full((64, 64, 3), 110, np.uint8)
        x, y, side = (int(v) for v in rng.integers((4, 4, 24), (32, 32, 28)))
        kind = number % 2
        outline = [[x, y, x + side, y, x + side, y + side, x, y + side]]
        image[y:y + side, x:x + side] = (250, 250, 40) if kind else (10, 10, 120)
        cv2.imwrite(str(root / 'train' / f'{number}.png'), image)
        images.append({'id': number, 'file_name': f'{number}.png', 'width': 64, 'height': 64})
        annotations.append({'image_id': number, 'category_id': (3, 17)[kind],
                            'bbox': [x, y, side, side], 'segmentation': outline, 'iscrowd': 0})
    images.append({'id': 99, 'file_name': 'none.png', 'width': 64, 'height': 64})
    annotations.append({'image_id': 99, 'category_id': 3, 'bbox': [0, 0, 9, 9], 'iscrowd': 1})
    (root / 'annotations' / 'instances_train.json').write_text(json.dumps({
        'images': images, 'annotations': annotations,
        'categories': [{'id': 17, 'name': 'bright'}, {'id': 3, 'name': 'dark'}]}))
    return root


def detector_recipe(coco: Path, framework: str, steps: int, **options: Any) -> Recipe:
    return Recipe(
        model=ModelChoice(f'cednet_next_tiny_{framework}', {
            'encoder_options': BACKBONE, 'width': 32, 'num_classes': 2, 'smallest': 64,
            'largest': 64, 'options': options}),
        sources=[Source('coco', str(coco), 'train')],
        stages=[Stage(64, 64, 4, steps, 1.5e-3, 1e-4)],
        detection=Detection((0.9, 1.1), 0.5), optimiser=Optimiser(clip_norm=1.0),
        warmup_steps=5, save_every=1000)


def test_objects_are_read_without_crowds(coco: Path):
    data = Coco(coco, 'annotations/instances_train.json', 'train')
    assert len(data) == 8 and data.classes == ('dark', 'bright')
    objects = data[1]
    assert objects.labels.tolist() == [1]
    x0, y0, x1, y1 = objects.boxes[0].astype(int)
    assert objects.masks[0].sum() == (x1 - x0) * (y1 - y0)
    assert objects.masks[0, y0:y1, x0:x1].all()
    with pytest.raises(DatasetError, match='cannot read'):
        Coco(coco, 'annotations/none.json', 'train')


def test_masks_of_runs_and_of_nothing(coco: Path):
    file = coco / 'annotations' / 'instances_train.json'
    content = json.loads(file.read_text())
    content['annotations'][0]['segmentation'] = {'counts': [64 * 2, 64, 64 * 61],
                                                 'size': [64, 64]}
    del content['annotations'][1]['segmentation']
    file.write_text(json.dumps(content))
    data = Coco(coco, 'annotations/instances_train.json', 'train')
    assert data[0].masks[0].any(0).nonzero()[0].tolist() == [2]  # third column
    x0, y0, x1, y1 = data[1].boxes[0].astype(int)
    assert data[1].masks[0].sum() == (x1 - x0) * (y1 - y0)


def test_batches_of_objects_follow_from_seed_and_step(coco: Path):
    data = Coco(coco, 'annotations/instances_train.json', 'train')
    batches = ObjectBatches(data, (64, 96), 3, (0, 0), Detection(), masks=True)
    first, again = batches[5], batches[5]
    for image, same in zip(first['images'], again['images'], strict=True):
        assert torch.equal(image, same) and image.shape == (3, 64, 96) and image.max() <= 1
    for target in first['targets']:
        assert len(target['boxes']) == len(target['labels']) == len(target['masks'])
        x0, y0, x1, y1 = target['boxes'][0].round().int().tolist()
        rows, columns = target['masks'][0].nonzero(as_tuple=True)
        assert abs(rows.min() - y0) <= 2 and abs(columns.max() + 1 - x1) <= 2  # nearest pixels


def test_a_detector_learns(coco: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr('dense_perception_training.engine._LOG_EVERY', 1)
    recipe = detector_recipe(coco, 'retinanet', 36)
    train(recipe, tmp_path / 'run', 'cpu')
    losses = [line['train/loss'] for line in read_log(tmp_path / 'run')]
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:6])
    model = create_model(recipe.model.name, **recipe.model.options)
    model.load_state_dict(load_file(tmp_path / 'run' / 'weights.safetensors'))


def test_a_mask_rcnn_takes_steps(coco: Path, tmp_path: Path):
    recipe = detector_recipe(coco, 'mask_rcnn', 2, rpn_post_nms_top_n_train=20,
                             rpn_pre_nms_top_n_train=40, box_batch_size_per_image=8)
    train(recipe, tmp_path / 'run', 'cpu')
    assert 'net.roi_heads.mask_predictor.mask_fcn_logits.weight' in load_file(
        tmp_path / 'run' / 'weights.safetensors')
    with pytest.raises(RecipeError, match='the data has 2'):
        options = {**recipe.model.options, 'num_classes': 80}
        train(replace(recipe, model=replace(recipe.model, options=options)), tmp_path / 'x', 'cpu')
