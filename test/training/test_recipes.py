"""Every recipe that comes with the package fits the models, datasets, transforms and losses."""

from __future__ import annotations

import inspect

import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.datasets import dataset_info  # noqa: E402
from dense_perception_training.datasets.registry import _entry  # noqa: E402
from dense_perception_training.engine import Trainer  # noqa: E402
from dense_perception_training.losses import Criterion, DeepSupervision  # noqa: E402
from dense_perception_training.losses.clusters import by_layer  # noqa: E402
from dense_perception_training.optimiser import make_optimiser  # noqa: E402
from dense_perception_training.recipe import CONFIGS, Recipe  # noqa: E402
from dense_perception_training.train import trainer_class  # noqa: E402
from dense_perception_training.transforms import Chain  # noqa: E402

from dense_perception.models import model_entry  # noqa: E402
from dense_perception.models.complexity import meta_model  # noqa: E402
from dense_perception.models.registry import DENSE_TASKS  # noqa: E402

RECIPES = sorted(path.stem for path in CONFIGS.glob('*.yaml'))
# Beginning of a loss's name -> what it compares; all others compare depth.
COMPARES = {'cross_entropy': 'logits', 'normal': 'normals', 'alpha': 'alpha',
            'expert_alignment': 'features', 'dice': 'logits', 'pixel_contrast': 'features'}


def dense(name: str) -> bool:
    return bool({*DENSE_TASKS} & {*model_entry(Recipe.load(name).model.name).tasks})


@pytest.mark.parametrize('name', [name for name in RECIPES if dense(name)])
def test_recipe_fits(name: str):
    recipe = Recipe.load(name)
    model = meta_model(recipe.model.name, **recipe.model.options)
    stage = recipe.stages[0]
    multiple = model_entry(recipe.model.name).input.multiple
    assert stage.height % multiple == 0 and stage.width % multiple == 0
    for source in (*recipe.sources, *recipe.validation):
        info = dataset_info(source.dataset)
        assert source.split in (info.splits or (None,))
        known = inspect.signature(_entry(source.dataset).opener).parameters
        assert set(source.options) <= set(known), source
    Chain.from_config(recipe.transforms)
    plain = [{k: v for k, v in loss.items() if k != 'balance'} for loss in recipe.losses]
    criterion = Criterion.from_config(plain)
    make_optimiser(model, recipe.optimiser)
    # The losses find what they compare, at the stage's size.
    x = torch.zeros(1, model.in_chans, stage.height, stage.width, device='meta')
    outputs = model.train()(torch.cat([x, x]))
    layers = by_layer(outputs)
    assert all(layer.keys() <= outputs.keys() for layer in layers.values())
    final = {name for name in outputs if not name.startswith('aux.')}
    assert final and final <= {'depth', 'logits', 'aux_logits', 'normals', 'alpha',
                               'latent', 'features', 'semantic_logits'}
    deep = [term for term in criterion.terms if isinstance(term.loss, DeepSupervision)]
    assert bool(deep) == bool(layers)
    inner = [term for outer in deep for term in outer.loss.criterion.terms]
    for term in (*(term for term in criterion.terms if term not in deep), *inner):
        compared = next((v for k, v in COMPARES.items() if term.name.startswith(k)), 'depth')
        assert compared in outputs, term.name


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_says_what_it_reproduces_and_what_was_run(name: str):
    head = (CONFIGS / f'{name}.yaml').read_text().split('model:')[0]
    assert 'Table' in head or 'xnet_small' in name or 'published' in head
    assert name == 'xnet_small' or 'ever run' in head.lower() or '(docs/models.md)' in head


@pytest.mark.parametrize('name', [name for name in RECIPES if not dense(name)])
def test_recipe_of_another_task_fits(name: str):
    recipe = Recipe.load(name)
    assert trainer_class(recipe) is not Trainer
    model = meta_model(recipe.model.name, **recipe.model.options)
    groups = make_optimiser(model, recipe.optimiser).param_groups
    assert len({group['factor'] for group in groups}) > 1 or recipe.optimiser.layer_decay == 1
    stage = recipe.stages[0]
    assert stage.height % 32 == 0 and stage.width % 32 == 0
    assert stage.batch % recipe.accumulate == 0
    if recipe.classification:
        image = torch.zeros(2, 3, stage.height, stage.width, device='meta')
        target = torch.zeros(2, 1000, device='meta')
        outputs = model.train()(image)
        losses = Criterion.from_config(recipe.losses)(outputs, {'target': target})
        assert losses['loss'].shape == () and 'aux_class_logits' in outputs
