"""A tiny world whose truth is exact: flat ground."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch')
pytest.importorskip('mujoco', reason='the training package needs mujoco')

from dense_perception_training.recipe import Recipe  # noqa: E402
from dense_perception_training.shards import write_shard  # noqa: E402
from helpers.ground import ground_frame  # noqa: E402

RECIPE = """
model: {{name: xnet_small}}
sources: [{{dataset: world, root: {data}}}]
transforms: [{{transform: zoom_crop}}, {{transform: flip}}, {{transform: exposure}}]
losses:
  - {{loss: height_normalised_log}}
  - {{loss: cross_entropy, weight: 0.4, balance: 0.4}}
warmup_steps: 2
ema_decay: 0.99
optimiser: {{clip_norm: 1.0}}
stages:
  - {{height: 32, width: 32, batch: 2, steps: 3, lr: 1.0e-3, lr_end: 5.0e-4}}
  - {{height: 64, width: 64, batch: 2, steps: 3, lr: 5.0e-4, lr_end: 1.0e-5}}
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums in one order: runs that are compared bit for bit need it."""
    torch.set_num_threads(1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of nine frames in two shards."""
    folder = tmp_path / 'data'
    write_shard(folder / 'train_0', [ground_frame(i) for i in range(5)], {})
    write_shard(folder / 'train_1', [ground_frame(i) for i in range(5, 9)], {})
    return folder


@pytest.fixture
def recipe_text(data: Path) -> str:
    """A recipe of six steps on :func:`data`."""
    return RECIPE.format(data=data)


@pytest.fixture
def recipe(recipe_text: str, tmp_path: Path) -> Recipe:
    """The same, loaded."""
    path = tmp_path / 'recipe.yaml'
    path.write_text(recipe_text)
    return Recipe.load(path)
