"""Deeper networks from shallower ones (training/test_training.py: they compute the same)."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='models need torch')

from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.growing import begin_as_identity  # noqa: E402


def test_only_blocks_that_follow_learnt_ones_begin_as_the_identity():
    model = create_model('xnet_small')
    every = [name for name, _ in model.named_parameters()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert begin_as_identity(model, []) == []
    assert begin_as_identity(model, every) == []  # nothing was learnt: all of it begins anew
    assert begin_as_identity(model, ['decoder.stages.2.blocks.3.mlp.fc2.weight']) == []
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    two = ['decoder.stages.2.blocks.2', 'decoder.stages.2.blocks.3']
    lacking = [name for name in every if name.startswith(tuple(f'{block}.' for block in two))]
    assert begin_as_identity(model, lacking) == two
    blocks = model.decoder.stages[2].blocks
    x = torch.rand(1, 128, 8, 8)
    torch.testing.assert_close(blocks[2](x), x)
    assert torch.equal(blocks[3].mlp.fc1.weight, blocks[1].mlp.fc1.weight)
