"""PolyMaX against what its definition says must hold."""

from __future__ import annotations

import pytest
from helpers.lively import enliven
from helpers.tiny_polymax import TINY

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import create_model, list_models  # noqa: E402
from dense_perception.models.complexity import meta_model  # noqa: E402
from dense_perception.models.encoders import PyramidEncoder  # noqa: E402
from dense_perception.models.polymax import PolyMaX, PolyMaXConfig  # noqa: E402
from dense_perception.models.polymax.axial import AxialAttention, OffsetTable  # noqa: E402
from dense_perception.models.polymax.clusters import assignment, collected  # noqa: E402
from dense_perception.models.polymax.heads import unit  # noqa: E402
from dense_perception.models.tta import FlipAverage, ScaleAverage, SlidingWindow  # noqa: E402

ALL = {'num_classes': 5, 'normals': True, 'maps': {'flow': 2}}
SIZE = (64, 96)


def tiny(**options) -> PolyMaX:
    return enliven(PolyMaX(PolyMaXConfig(**{**TINY, **options})), *SIZE)


@pytest.fixture(scope='module')
def model() -> PolyMaX:
    return tiny(**ALL)


@pytest.fixture(scope='module')
def image() -> torch.Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def test_outputs_of_every_target(model, image):
    with torch.no_grad():
        outputs = model(image)
    assert {name: tuple(value.shape[1:]) for name, value in outputs.items()} == {
        'depth': SIZE, 'logits': (5, *SIZE), 'normals': (3, *SIZE), 'flow': (2, *SIZE)}
    for name, value in outputs.items():
        assert value.flatten(-2).std(-1).min() > 0, name


def test_in_training_every_layer_speaks(model, image):
    outputs = PolyMaX(model.config).train()(image)
    for prefix in ('', *(f'aux.{layer}.' for layer in range(6))):
        assert outputs[f'{prefix}depth'].shape == (2, *SIZE)
        assert outputs[f'{prefix}normals'].shape == (2, 3, *SIZE)
        logits = outputs[f'{prefix}logits']
        assert logits.shape == (2, 5, *(SIZE if not prefix else (16, 24)))
        torch.testing.assert_close(outputs[f'{prefix}features'].norm(dim=1),
                                   torch.ones(2, *outputs[f'{prefix}features'].shape[2:]))
    assert [outputs[f'aux.{i}.features'].shape[3] for i in range(6)] == [3, 3, 6, 6, 12, 12]
    assert outputs['semantic_logits'].shape == (2, 5, 16, 24)
    assert not any(name.startswith('aux.6') for name in outputs)


def test_probabilities_sum_to_1_and_depth_stays_within_its_bins(model, image):
    with torch.no_grad():
        clusters = model.clusters(image)
        depth = model(image)['depth']
    for found in clusters.values():
        torch.testing.assert_close(found.probabilities.sum(1), torch.ones(2, 16, 24))
    bins = clusters['depth'].values
    assert bins.shape == (2, 1, 16) and (bins > 0).all() and (bins < 10).all()
    least, most = (value.view(2, 1, 1) for value in (bins.amin((1, 2)), bins.amax((1, 2))))
    assert (depth >= least - 1e-5).all() and (depth <= most + 1e-5).all()
    assert (most - least > 1e-3).all()


def test_normals_are_of_unit_length_and_none_is_not_a_number(model, image):
    with torch.no_grad():
        normals = model(image)['normals']
        directions = model.clusters(image)['normals'].values
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(2, *SIZE), atol=1e-5, rtol=0)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(2, 8), atol=1e-5, rtol=0)
    opposed = torch.zeros(1, 3, 2, 2, requires_grad=True)  # directions that cancel each other
    unit(opposed).square().sum().backward()
    assert not unit(opposed).any() and torch.isfinite(opposed.grad).all()


def test_the_order_of_the_clusters_means_nothing(model, image):
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    decoder = model.decoders['depth']
    with torch.no_grad():
        before, queries = model(image)['depth'], decoder.queries.clone()
        decoder.queries.copy_(queries[:, :, order])
        after, found = model(image)['depth'], model.clusters(image)['depth']
        decoder.queries.copy_(queries)
        values = model.clusters(image)['depth'].values
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.values, values[:, :, order], rtol=1e-4, atol=1e-4)


def test_a_constant_on_the_logits_of_a_pixel_changes_nothing(model, image):
    with torch.no_grad():
        found = model.clusters(image)['depth']
    offset = torch.randn(2, 1, 16, 24, generator=torch.Generator().manual_seed(2))
    moved = type(found)(found.logits + offset, found.values, found.features)
    torch.testing.assert_close(moved.mean(), found.mean())


def test_the_assignment_is_one_hot_and_has_no_gradient():
    logits = torch.randn(2, 5, 3, 4, requires_grad=True)
    assigned = assignment(logits)
    assert not assigned.requires_grad
    assert torch.equal(assigned.sum(1), torch.ones(2, 3, 4))
    assert torch.equal(assigned.argmax(1), logits.argmax(1))
    assert torch.equal(assignment(torch.zeros(1, 3, 2, 2)).sum(1), torch.ones(1, 2, 2))  # a tie


def test_a_centre_gets_the_sum_of_its_pixels_and_not_their_mean():
    values = torch.randn(1, 4, 2, 3)
    assigned = torch.zeros(1, 2, 2, 3)
    assigned[:, 0, :, :2], assigned[:, 1, :, 2] = 1, 1
    found = collected(assigned, values)
    assert found.shape == (1, 4, 2, 1)
    torch.testing.assert_close(found[0, :, 0, 0], values[0, :, :, :2].sum((1, 2)))
    torch.testing.assert_close(found[0, :, 1, 0], values[0, :, :, 2].sum(1))


@pytest.mark.parametrize('options', [
    {**ALL, 'depth': 'log_height', 'mount_channels': 2, 'positions': 'mlp'},
    {'encoder': 'resnet50', 'encoder_options': {'layers': (1, 1, 1, 1)}, 'positions': 'none'},
    {'kinds': ('bottleneck',) * 4, 'depth': None, 'num_classes': 3, 'drop_path': 0.1}], ids=str)
def test_every_parameter_gets_a_gradient(options):
    torch.manual_seed(0)
    model = PolyMaX(PolyMaXConfig(**{**TINY, **options})).train()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():  # branches that start switched off
                parameter.add_(0.1)
    outputs = model(torch.randn(4, model.in_chans, 64, 64))
    torch.manual_seed(1)
    sum((value * torch.randn_like(value)).sum() for value in outputs.values()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize('positions', ['table', 'mlp'])
def test_sizes(positions):
    model = tiny(positions=positions)
    for height, width in ((64, 96), (65, 97), (128, 64), (97, 65), (160, 96)):
        x = torch.randn(1, 3, height, width)
        with torch.no_grad():
            depth, maps = model(x)['depth'], model.pixels(x)
        assert depth.shape == (1, height, width) and torch.isfinite(depth).all()
        assert [tuple(m.shape[-2:]) for m in maps] == [
            (-(-height // s), -(-width // s)) for s in (32, 16, 8, 4)]
    for size in ((64, 80), (65, 96), (66, 98)):
        with pytest.raises(ValueError, match='multiple of 32'):
            model(torch.randn(1, 3, *size))


def test_position_tables_follow_the_size():
    table = OffsetTable(5, 4)
    assert table(5) is table.pos_embed
    for length in (3, 9):
        other = table(length)
        assert other.shape == (2 * length - 1, 4)
        for ours, theirs in ((0, 0), (length - 1, 4), (-1, -1)):  # both ends and the centre
            torch.testing.assert_close(other[ours], table.pos_embed[theirs])


def test_weights_of_another_image_size_are_loaded():
    model, other = OffsetTable(5, 4), OffsetTable(9, 4)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.pos_embed, model(9))


@pytest.mark.parametrize('positions', ['table', 'mlp', 'none'])
def test_folding_changes_nothing_and_rows_are_turned_columns(positions):
    torch.manual_seed(0)
    columns = AxialAttention(6, 8, 2, 2, positions, 5).eval()
    rows = AxialAttention(6, 8, 2, 3, positions, 5).eval()
    rows.load_state_dict(columns.state_dict())
    x = torch.randn(2, 6, 7, 3)
    with torch.no_grad():
        expected = columns(x)
        assert expected.shape == (2, 16, 7, 3)
        torch.testing.assert_close(rows(x.transpose(2, 3)).transpose(2, 3), expected)
        # A column knows nothing of the others; within it all pixels matter.
        changed = x.clone()
        changed[:, :, 0, 0] += 1
        moved = (columns(changed) - expected).abs().amax((0, 1))
        assert (moved[:, 0] > 0).all() and not moved[:, 1:].any()
        columns.fold(7)
        torch.testing.assert_close(columns(x), expected)


def test_attention_with_positions_by_hand():
    torch.manual_seed(0)
    layer = AxialAttention(3, 4, 2, 2, 'table', 4).eval()
    x = torch.randn(1, 3, 4, 1)
    scale = (1 + 1e-3) ** -0.5  # of a normalisation that has seen nothing yet
    with torch.no_grad():
        q, k, v = (scale * layer.qkv(x))[0, :, :, 0].split((4, 4, 8))
        table, expected = layer.offsets.pos_embed, torch.zeros(8, 4)
        for head in range(2):
            key, value = slice(2 * head, 2 * head + 2), slice(4 * head, 4 * head + 4)
            for i in range(4):
                r_q, r_k, r_v = (torch.stack([table[j - i + 3] for j in range(4)])
                                 .split((2, 2, 4), 1))
                logits = (k[key].t() @ q[key, i] + r_q @ q[key, i]
                          + (r_k * k[key].t()).sum(1)) * scale
                weights = logits.softmax(0)
                expected[value, i] = scale * (v[value] @ weights + r_v.t() @ weights)
        torch.testing.assert_close(layer(x)[0, :, :, 0], torch.nn.functional.gelu(expected))


def test_the_encoder_s_options_change_nothing_else():
    torch.manual_seed(0)
    kwargs = {'taps': (-4, -3, -2, -1)}
    plain = PyramidEncoder('resnet50', **kwargs, layers=(1, 1, 1, 1)).eval()
    tapped = PyramidEncoder('resnet50', **kwargs, pre_activation=True, layers=(1, 1, 1, 1)).eval()
    tapped.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(tapped(x), plain(x), strict=True):
            assert ours.min() < 0
            torch.testing.assert_close(ours.relu(), theirs)
    plain = PyramidEncoder('convnext_atto', **kwargs).eval()
    padded = PyramidEncoder('convnext_atto', **kwargs, odd_sizes=True).eval()
    padded.load_state_dict(plain.state_dict())
    with torch.no_grad():
        for ours, theirs in zip(padded(x), plain(x), strict=True):
            torch.testing.assert_close(ours, theirs)
        odd = padded(torch.nn.functional.pad(x, (1, 0, 1, 0))[..., :65, :65])
    assert [tuple(m.shape[-2:]) for m in odd] == [(17, 17), (9, 9), (5, 5), (3, 3)]


@pytest.mark.parametrize('wrap', [
    FlipAverage, lambda m: ScaleAverage(m, (0.5, 1.0), 32),
    lambda m: FlipAverage(SlidingWindow(m, (64, 64), (32, 32)))], ids=('flip', 'scale', 'slide'))
def test_averages_at_test_time(wrap, image):
    model = tiny(num_classes=5, normals=True)
    with torch.no_grad():
        outputs = wrap(model)(image)
    assert {name: tuple(value.shape[1:]) for name, value in outputs.items()} == {
        'depth': SIZE, 'logits': (5, *SIZE), 'normals': (3, *SIZE)}
    torch.testing.assert_close(outputs['normals'].norm(dim=1), torch.ones(2, *SIZE))


# Counted by hand from the structure, for grids of 41 and 81 positions, as an image of 1281 has.
PIXEL_DECODERS = {'convnextt': 20.53, 'convnexts': 20.53, 'convnextb': 21.36, 'convnextl': 23.02,
                  'resnet50': 20.49}


@pytest.mark.parametrize('encoder', PIXEL_DECODERS)
def test_parameters_of_the_pixel_decoder(encoder):
    model = meta_model(f'polymax_{encoder}_depth', image_size=(1281, 1281))
    assert millions(model.pixel_decoder) == pytest.approx(PIXEL_DECODERS[encoder], abs=0.005)


def test_parameters_of_the_transformer_decoder():
    """kMaX-DeepLab's for panoptic COCO: 128 clusters, 134 classes and "no object"."""
    class_head, embedding = 135 * 257 / 1e6, (256 * 256 + 512) / 1e6
    model = meta_model('polymax_convnextt_segmentation', num_classes=128)
    decoder = model.decoders['logits']
    # Here a cluster is a class: no head decides which, and nothing reads a second embedding.
    layers = [millions(layer) + class_head for layer in decoder.layers]
    assert layers == pytest.approx([2.149, 2.149, 1.887, 1.887, 1.756, 1.756], abs=1e-3)
    assert millions(decoder.predictor) + class_head == pytest.approx(0.17, abs=0.005)
    whole = millions(decoder) - millions(decoder.predictor) + 6 * class_head + embedding
    assert whole == pytest.approx(11.75, abs=0.005)


def test_parameters_of_whole_models():
    """PolyMaX adds an MLP for the values to each of seven predictors."""
    model = meta_model('polymax_convnextl_depth')
    values = sum(millions(m) for name, m in model.named_modules() if name.endswith('.values')
                 and 'predictor' in name)
    decoder = model.decoders['depth']
    kmax = millions(decoder) - values - millions(decoder.predictor) + millions(
        decoder.predictor.values)
    assert kmax == pytest.approx(11.51, abs=0.005)
    assert millions(model) == pytest.approx(231.2, abs=0.05)


def millions(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def test_registered_variants():
    assert len(list_models('polymax_*')) == 16
    with pytest.raises(ValueError, match='without a target'):
        create_model('polymax_resnet50_depth', depth=None)
    with pytest.raises(ValueError, match='names belong'):
        create_model('polymax_resnet50_depth', maps={'normals': 3})
    with pytest.raises(ValueError, match='needs 1 / '):
        create_model('polymax_small', encoder='vit_tiny_patch16_224')
