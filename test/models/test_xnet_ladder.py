"""Table I of the xNet paper: what each row changes, and that each row learns."""

from __future__ import annotations

import pytest
from helpers.tiny_xnet import ENCODERS

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import create_model, list_models, model_entry  # noqa: E402
from dense_perception.models.xnet import CONFIGS, FPN, XNet, XNetConfig  # noqa: E402

ROWS = ['fpn', 'rev', '22k', 'pfp', 'nofp', 'xnet_i_22k', 'xnet_22k_add', 'xnet_22k', 'xnet_i_0',
        'xnet_i_1k']
SMALL = {'encoder': 'convnext_atto', 'decoder': 'convnext_atto'}
rows = pytest.mark.parametrize('row', ROWS)


def build(row: str, **options):
    torch.manual_seed(0)
    return create_model(f'xnet_ladder_{row}', **{**SMALL, **options})


def parameters(row: str) -> int:
    with torch.device('meta'):
        return sum(p.numel() for p in create_model(f'xnet_ladder_{row}').parameters())


def test_every_row_is_registered_for_depth():
    assert list_models('xnet_ladder_*') == sorted(f'xnet_ladder_{row}' for row in ROWS)
    for row in ROWS:
        assert model_entry(f'xnet_ladder_{row}').tasks == ('depth',)


# The switches of each row, and the weights that its decoder begins with.
@pytest.mark.parametrize(('row', 'switches', 'weights'), [
    ('fpn', (False, False, True), None), ('rev', (True, False, True), None),
    ('22k', (True, False, True), 'fb_in22k'), ('pfp', (True, True, True), 'fb_in22k'),
    ('nofp', (True, True, False), 'fb_in22k'), ('xnet_i_22k', (True, True, False), 'fb_in22k'),
    ('xnet_22k_add', (True, True, False), 'fb_in22k'),
    ('xnet_22k', (True, True, False), 'fb_in22k'), ('xnet_i_0', (True, True, False), None),
    ('xnet_i_1k', (True, True, False), 'fb_in1k')])
def test_switches_and_weights_of_each_row(row, switches, weights):
    config = CONFIGS[f'xnet_ladder_{row}']
    assert (config.reversed, config.pfp, config.fp) == switches
    assert (config.decoder.split('.')[1] if config.pretrained_decoder else None) == weights
    # The encoder is the same in all rows: ImageNet-22k ConvNeXt-T.
    assert config.encoder == 'convnext_tiny.fb_in22k' and config.pretrained_encoder


def test_mixing_of_each_row():
    mixing = {row: (CONFIGS[f'xnet_ladder_{row}'].mix_with,
                    CONFIGS[f'xnet_ladder_{row}'].operation) for row in ROWS[1:]}
    image = {'xnet_i_22k', 'xnet_i_0', 'xnet_i_1k'}
    assert mixing == {
        row: ('image', 'multiply') if row in image else
        {'xnet_22k': ('stem', 'multiply'), 'xnet_22k_add': ('stem', 'add')}.get(
            row, ('image', 'replace')) for row in ROWS[1:]}


def test_the_last_row_is_the_xnet_itself():
    ladder = build('xnet_22k')
    xnet = XNet(XNetConfig(**SMALL))
    xnet.load_state_dict(ladder.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ladder.eval()(x)['depth'], xnet.eval()(x)['depth'])


def test_what_each_step_adds_and_removes():
    count = {row: parameters(row) for row in ('22k', 'pfp', 'nofp', 'xnet_22k')}
    # In other rows weights or the operation of mixing are all that differs from one of these.
    for rows, differing in ((('22k', 'rev'), {'pretrained_decoder'}),
                            (('xnet_22k', 'xnet_22k_add'), {'operation'}),
                            (('nofp', 'xnet_i_22k'), {'operation'}),
                            (('xnet_i_22k', 'xnet_i_0'), {'pretrained_decoder'}),
                            (('xnet_i_22k', 'xnet_i_1k'), {'decoder'})):
        one, other = (vars(CONFIGS[f'xnet_ladder_{row}']) for row in rows)
        assert {name for name in one if one[name] != other[name]} == differing
    assert (count['xnet_22k'], count['nofp']) == (66_413_953, 64_042_285)
    # Three more levels of the PFP, and the wider concatenation that is fused.
    width, channels = 96, (96, 192, 384)
    levels = sum(2 * c + (c + 1) * width * 4 ** i + (width + 1) * width
                 for i, c in enumerate(channels))
    assert count['pfp'] - count['22k'] == levels + 3 * width * (2 + 16 * width)
    assert count['pfp'] - count['nofp'] == sum(c * (c + 1) for c in channels)  # the laterals


@rows
def test_every_parameter_gets_a_gradient(row):
    model = build(row, num_classes=3).train()
    outputs = model(torch.randn(1, 3, 64, 64))
    (outputs['depth'].mean() + outputs['logits'].square().mean()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@rows
def test_every_row_does_segmentation_alone_and_folding_changes_nothing(row):
    model = build(row, depth=None, num_classes=150).eval()
    x = torch.randn(1, 3, 32, 96)
    with torch.no_grad():
        before = model(x)
        model.fold_for_inference(32, 96)
        after = model(x)
    assert {k: v.shape for k, v in before.items()} == {'logits': (1, 150, 32, 96)}
    torch.testing.assert_close(after['logits'], before['logits'], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('row', ['fpn', 'rev'])
@pytest.mark.parametrize('family', ['swin', 'mobilenet'])
def test_a_feature_pyramid_takes_any_hierarchical_encoder(row, family):
    model = build(row, **ENCODERS[family]).eval()
    assert model(torch.zeros(1, 3, 64, 96))['depth'].shape == (1, 64, 96)


@pytest.mark.parametrize('index', range(3))
def test_each_lateral_reaches_the_decoder_where_it_should(index):
    model = build('pfp').eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = model.encode(x)
        before = model.decode(x, maps)
        maps[index] = maps[index] + 1
        after = model.decode(x, maps)
    same = [torch.equal(a, b) for a, b in zip(before, after)]
    # The map at 1/4 is added to the output of the first stage, and so on.
    assert same == [stage <= index for stage in range(4)]


@pytest.mark.parametrize('row', ['fpn', 'xnet_i_22k', 'xnet_22k'])
def test_one_batch_can_be_learnt(row):
    options = {'decoder_options': {'depths': (1, 1, 1, 1), 'dims': (16, 32, 64, 128)},
               'encoder': 'mobilenetv4_conv_small_050'}
    model = build(row, **options).train()
    x = torch.randn(2, 3, 64, 64)
    y, z = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing='ij')
    target = torch.stack([1 + 6 * y, 2 + 4 * z * y])  # metres, smooth
    optimiser = torch.optim.AdamW(model.parameters(), lr=6e-3)
    errors = []
    for _ in range(24):
        error = (model(x)['depth'].log() - target.log()).abs().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[0] > 0.2
    assert errors[-1] < errors[0] / 3


def test_errors_say_what_would_be_right():
    with pytest.raises(ValueError, match=r'needs 1/\[4, 8, 16, 32\].*convnext_tiny'):
        build('pfp', encoder='vit_tiny_patch16_224', encoder_options={'depth': 4})
    with pytest.raises(ValueError, match=r'needs 1/\[4, 8, 16, 32\].*convnext_tiny'):
        build('fpn', encoder='vit_small_patch14_dinov2', encoder_options={'depth': 4})
    with pytest.raises(ValueError, match='set fp=True, pfp=False and pretrained_decoder=False'):
        build('xnet_22k', reversed=False)
    with pytest.raises(ValueError, match='resize to 64x96'):
        build('fpn')(torch.zeros(1, 3, 60, 90))
    assert isinstance(build('fpn'), FPN)
