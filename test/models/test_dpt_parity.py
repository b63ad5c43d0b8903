"""DPT and Depth Anything V2 against Hugging Face's implementation, weights through the key tables.

The weights are random, large enough that outputs vary, and the same on both sides. Published DPT
configurations there have layer_norm_eps 1e-12, the original code 1e-6; it is 1e-6 on both sides
here, and the last test bounds what the difference amounts to.
"""

from __future__ import annotations

import gc

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import checkpoints, create_model  # noqa: E402  (before transformers)
from dense_perception.models.checkpoints import Layout  # noqa: E402
from dense_perception.models.checkpoints.dpt_keys import (  # noqa: E402
    HF,
    HF_ANYTHING_MEMORY,
)

transformers = pytest.importorskip('transformers', reason='the reference is in transformers')

EPS = 1e-6
LARGE = {'hidden_size': 1024, 'intermediate_size': 4096, 'num_hidden_layers': 24,
         'num_attention_heads': 16, 'backbone_out_indices': [5, 11, 17, 23],
         'neck_hidden_sizes': [256, 512, 1024, 1024]}
HYBRID = {'is_hybrid': True, 'backbone_out_indices': [0, 1, 8, 11],
          'neck_hidden_sizes': [256, 512, 768, 768], 'reassemble_factors': [1, 1, 1, 0.5]}
ADE20K = {'num_labels': 150, 'use_batch_norm_in_fusion_residual': True}
SMALL = {'hidden_size': 384, 'num_attention_heads': 6, 'out_indices': [3, 6, 9, 12]}
TINY = {'hidden_size': 48, 'num_attention_heads': 3, 'num_hidden_layers': 4}
TINY_OURS = {'encoder_options': {'embed_dim': 48, 'num_heads': 3, 'depth': 4},
             'taps': (0, 1, 2, 3), 'channels': (16, 24, 32, 40), 'features': 32}


@pytest.fixture(autouse=True)
def free_memory():
    yield
    gc.collect()  # the large models are 1.4 GB each


def dpt(segmentation: bool = False, **options):
    config = transformers.DPTConfig(**{'layer_norm_eps': EPS, **options})
    return filled(transformers.DPTForSemanticSegmentation if segmentation
                  else transformers.DPTForDepthEstimation, config)


def depth_anything(backbone: dict, **options):
    dinov2 = transformers.Dinov2Config(
        image_size=518, patch_size=14, apply_layernorm=True, reshape_hidden_states=False,
        **backbone)
    config = transformers.DepthAnythingConfig(backbone_config=dinov2, **options)
    return filled(transformers.DepthAnythingForDepthEstimation, config)


def filled(kind, config):
    """A reference model with weights that keep activations near unit variance."""
    with torch.device('meta'):
        model = kind(config)
    model = model.to_empty(device='cpu').eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not value.is_floating_point():
                value.zero_()
                continue
            centre, spread = 0.0, 0.1
            if value.dim() > 1:
                transposed = 'resize' in key and value.shape[-1] != 3
                fan_in = value.shape[0] if transposed else value[0].numel()
                spread = 0.5 if 'embeddings' in key and value.dim() == 3 else fan_in ** -0.5
            elif key.endswith(('running_var', 'lambda1')) or 'norm' in key and 'weight' in key:
                centre = 1.0
            value.copy_(torch.randn(value.shape, generator=generator).mul_(spread).add_(centre))
            if key.endswith('running_var') or value.dim() > 1 and value.shape[0] == 1 \
                    and key.startswith('head.'):
                value.abs_()  # the last layer of depth: away from the zeros of the last ReLU
    return model


def both(reference, size: tuple[int, int], layout: Layout | None = None, **options):
    """Outputs of the reference and of ours with its weights."""
    state = reference.state_dict()
    layout = layout or checkpoints.detect(state, reference.config.to_dict())
    with torch.device('meta'):
        ours = create_model(layout.variant, **{**layout.overrides, **options}).eval()
    ours.load_state_dict(checkpoints.to_ours(state, layout), assign=True)  # strict
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs, mine = reference(x), ours(x)
    if 'logits' in mine:
        return theirs.logits, mine['logits']
    return theirs.predicted_depth, mine['depth']


def assert_agree(pair, tolerance: float) -> None:
    theirs, mine = pair
    assert theirs.shape == mine.shape
    assert theirs.std() > 0.1  # else anything would agree
    assert theirs.count_nonzero() > 0.9 * theirs.numel()
    difference = (theirs - mine).abs().max().item()
    print(f'largest difference {difference:.1e}, of values with deviation {theirs.std():.2f}')
    assert difference <= tolerance


# With "pytest -s" each test prints its largest difference.
@pytest.mark.parametrize(('options', 'size', 'tolerance'), [
    ({}, (160, 160), 1e-5), (HYBRID, (384, 384), 1e-5), (LARGE, (256, 256), 5e-5)],
    ids=['base', 'hybrid', 'large'])
def test_dpt_depth(options, size, tolerance):
    assert_agree(both(dpt(**options), size), tolerance)


def test_dpt_large_logits():
    assert_agree(both(dpt(segmentation=True, **LARGE, **ADE20K), (160, 160)), 2e-4)


@pytest.mark.parametrize('readout', ['add', 'ignore'])
def test_the_other_readouts(readout):
    reference = dpt(readout_type=readout, backbone_out_indices=[0, 1, 2, 3], intermediate_size=192,
                    fusion_hidden_size=32, neck_hidden_sizes=[16, 24, 32, 40], **TINY)
    layout = Layout(HF, 'dpt_base', {**TINY_OURS, 'readout': readout})
    assert_agree(both(reference, (96, 96), layout), 1e-5)


@pytest.mark.parametrize('size', [(518, 518), (266, 350)])
def test_depth_anything_small(size):
    # The odd grid of 19 x 25; the rule for position embeddings is then theirs, not the authors'.
    assert_agree(both(depth_anything(SMALL), size, pos_interp='hf'), 1e-6)


def test_depth_anything_metric():
    reference = depth_anything(SMALL, depth_estimation_type='metric', max_depth=80)
    theirs, mine = both(reference, (196, 252), pos_interp='hf')
    assert_agree((theirs, mine), 80e-6)
    assert 0 < mine.min() < mine.max() < 80


def test_depth_anything_with_gated_mlps():
    reference = depth_anything({**TINY, 'use_swiglu_ffn': True, 'out_indices': [1, 2, 3, 4]},
                               neck_hidden_sizes=[16, 24, 32, 40], fusion_hidden_size=32,
                               reassemble_hidden_size=48)
    layout = Layout(HF_ANYTHING_MEMORY, 'depth_anything_v2_giant', TINY_OURS)
    assert_agree(both(reference, (126, 154), layout, pos_interp='hf'), 1e-5)


def test_the_published_epsilon_is_a_small_difference():
    theirs, mine = both(dpt(layer_norm_eps=1e-12), (160, 160))
    assert_agree((theirs, mine), 1e-4)
    assert not torch.equal(theirs, mine)
