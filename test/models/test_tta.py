"""Averages at test time, on models whose answers are known."""

from __future__ import annotations

import pytest
from helpers.tiny_xnet import TINY

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.inference.card import ModelCard  # noqa: E402
from dense_perception.inference.class_sets import numbered_classes  # noqa: E402
from dense_perception.models.inputs import mount_channels  # noqa: E402
from dense_perception.models.tta import FlipAverage, ScaleAverage, SlidingWindow  # noqa: E402
from dense_perception.models.xnet import XNet, XNetConfig  # noqa: E402


class Pointwise(torch.nn.Module):
    """Each pixel's answer is a function of that pixel alone; remembers the sizes it saw."""

    def __init__(self, in_chans: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.in_chans, self.seen = in_chans, []
        self.weight = torch.nn.Parameter(torch.randn(4, in_chans, 1, 1, generator=generator))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen.append(tuple(x.shape[-2:]))
        return {'depth': 1 + x.square().mean(dim=1), 'alpha': x[:, 0].sigmoid(),
                'logits': torch.nn.functional.conv2d(x, self.weight)}


class Looker(torch.nn.Module):
    """Depth is the column of the pixel in what the model sees."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        columns = torch.arange(x.shape[-1], dtype=x.dtype).expand(*x[:, 0].shape)
        return {'depth': columns}


def image(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(1))


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    torch.testing.assert_close(ours['depth'], theirs['depth'])
    if 'alpha' in ours:
        torch.testing.assert_close(ours['alpha'], theirs['alpha'])
    torch.testing.assert_close(ours['logits'].softmax(1), theirs['logits'].softmax(1))


@pytest.mark.parametrize('size', [(64, 96), (70, 33), (20, 90), (16, 24)])
@pytest.mark.parametrize('wrap', [
    FlipAverage, lambda m: SlidingWindow(m, (32, 40), (21, 40)),
    lambda m: SlidingWindow(m, (16, 24), (1, 24)), lambda m: ScaleAverage(m, (1.0, 1.0)),
    lambda m: FlipAverage(SlidingWindow(m, (32, 32), (21, 21)))])
def test_pointwise_models_answer_as_without(size, wrap):
    model, x = Pointwise(), image(*size)
    same(wrap(model)(x), model(x))


def test_a_mirrored_answer_is_mirrored_back():
    depth = FlipAverage(Looker())(image(4, 6))['depth']
    torch.testing.assert_close(depth, torch.full((2, 4, 6), 2.5))  # (i + (5 - i)) / 2


def test_probabilities_are_averaged_not_logits():
    class Half(torch.nn.Module):
        def forward(self, x):
            left = torch.arange(x.shape[-1]) < x.shape[-1] // 2
            sure = torch.where(left, 8.0, 0.0).expand_as(x[:, 0])
            return {'logits': torch.stack([sure, torch.zeros_like(sure)], dim=1)}

    mean = FlipAverage(Half())(image(2, 4))['logits'].softmax(1)[:, 0]
    expected = (torch.tensor(8.0).sigmoid() + 0.5) / 2
    torch.testing.assert_close(mean, expected.expand_as(mean))


def test_normals_are_mirrored_in_space_and_stay_unit_vectors():
    class Slant(torch.nn.Module):
        """Sees in bright images a surface that faces to the right, of any length."""

        def forward(self, x):
            side = torch.where(torch.arange(x.shape[-1]) < x.shape[-1] // 2, -1.0, 1.0)
            return {'normals': 5 * x[:, :1].sign() * torch.stack(
                [side, 0 * side, 0 * side - 1])[None, :, None]}

    x = image(4, 6)
    normals = Slant()(x.abs())['normals']
    averaged = FlipAverage(Slant())(x.abs())['normals']
    # What the mirror image shows as facing right faces left: here the two agree.
    torch.testing.assert_close(averaged, torch.nn.functional.normalize(normals))
    for wrap in (lambda m: SlidingWindow(m, (4, 6), (4, 6)), lambda m: ScaleAverage(m, (1.0,))):
        torch.testing.assert_close(wrap(Slant())(x.abs())['normals'], averaged)


def test_mirroring_the_input_mirrors_the_camera():
    # A camera mirrored at its vertical axis: cx moves, gravity's x changes sign.
    height, width = 12, 17
    k = torch.tensor([[20.0, 21.0, 5.0, 6.5]])
    down = torch.nn.functional.normalize(torch.tensor([[0.2, 0.9, 0.3]]))
    known = torch.ones(1)
    mirrored_k = torch.tensor([[20.0, 21.0, width - 1 - 5.0, 6.5]])
    channels = mount_channels(k, down, known, height, width)
    mirrored = mount_channels(mirrored_k, down * torch.tensor([-1.0, 1, 1]), known, height, width)
    torch.testing.assert_close(channels.flip(-1), mirrored)
    model, x = Pointwise(5), torch.cat([image(height, width)[:1], channels], dim=1)
    wrapped = FlipAverage(model)
    assert wrapped.in_chans == 5
    same(wrapped(x), model(x))


def test_cropping_and_resizing_the_input_are_those_of_the_camera():
    k, down = torch.tensor([[20.0, 20.0, 15.5, 11.5]]), torch.tensor([[0.0, 0.8, 0.6]])
    known = torch.ones(1)
    whole = mount_channels(k, down, known, 24, 32)
    cropped = mount_channels(k - torch.tensor([[0.0, 0, 8, 4]]), down, known, 16, 16)
    torch.testing.assert_close(whole[..., 4:20, 8:24], cropped)
    half = torch.nn.functional.interpolate(whole, size=(12, 16), mode='bilinear')
    k_half = torch.tensor([[10.0, 10.0, 16 / 2 - 0.5, 12 / 2 - 0.5]])
    resized = mount_channels(k_half, down, known, 12, 16)
    torch.testing.assert_close(half[:, 0], resized[:, 0])  # g is linear in the pixel
    assert (half - resized).abs().max() < 0.03  # its logarithm is not


@pytest.mark.parametrize(('size', 'tops', 'lefts'), [
    ((512, 1024), [0], [0, 341, 512]), ((512, 853), [0], [0, 341]),
    ((1024, 512), [0, 341, 512], [0]), ((100, 600), [0], [0, 88])])
def test_the_last_window_moves_inwards(size, tops, lefts):
    slide = SlidingWindow(Pointwise())
    assert [starts for starts, _ in slide.windows(*size)] == [tops, lefts]
    slide(image(*size))
    assert set(slide.model.seen) == {(min(512, size[0]), min(512, size[1]))}
    assert len(slide.model.seen) == len(tops) * len(lefts)


def test_overlaps_count_as_often_as_they_are_seen():
    # Windows of 6 at 0, 4 and 5 of 11 columns; each says where the pixel lies in it.
    depth = SlidingWindow(Looker(), (3, 6), (3, 4))(image(3, 11))['depth']
    expected = torch.tensor([0, 1, 2, 3, (4 + 0) / 2, (5 + 1 + 0) / 3, (2 + 1) / 2, (3 + 2) / 2,
                             (4 + 3) / 2, (5 + 4) / 2, 5])
    torch.testing.assert_close(depth, expected.expand(2, 3, 11))


def test_scales_are_rounded_to_multiples_and_answers_come_back_to_size():
    model = Pointwise()
    wrapped = ScaleAverage(model)
    x = torch.ones(1, 3, 96, 160)  # constant, so that resizing changes nothing
    outputs = wrapped(x)
    assert model.seen == [(64, 64), (64, 128), (96, 160), (128, 192), (128, 256), (160, 288)]
    same(outputs, model(x))
    assert ScaleAverage(model, (0.01,)).scaled_size(96, 160, 0.01) == (32, 32)


def test_scales_are_all_averaged():
    class Width(torch.nn.Module):
        def forward(self, x):
            return {'depth': torch.full_like(x[:, 0], float(x.shape[-1]))}

    depth = ScaleAverage(Width(), (0.5, 1.0, 2.0), multiple=8)(image(16, 32))['depth']
    torch.testing.assert_close(depth, torch.full((2, 16, 32), (16 + 32 + 64) / 3))


def test_an_xnet_keeps_its_interface_and_its_folding():
    torch.manual_seed(0)
    model = FlipAverage(SlidingWindow(XNet(XNetConfig(**TINY, num_classes=3)), (64, 64), (32, 32)))
    model.eval()
    x = torch.randn(1, 3, 64, 128)
    with torch.no_grad():
        before = model(x)
        model.fold_for_inference(64, 128)
        after = model(x)
    assert before['depth'].shape == (1, 64, 128) and before['logits'].shape == (1, 3, 64, 128)
    same(after, before)


def test_the_averages_can_be_exported(tmp_path):
    model = ScaleAverage(FlipAverage(SlidingWindow(Pointwise(), (64, 64), (64, 20))), (1.0, 0.5),
                         multiple=8).eval()
    card = ModelCard(name='tta', system='xnet', variant='xnet_small', input_height=64,
                     input_width=96, tasks=('depth', 'segmentation'),
                     outputs=('depth', 'labels', 'confidence'), depth_convention='metric',
                     classes=numbered_classes(['a', 'b', 'c', 'd']))
    parity = export_model(model, card, tmp_path / 'tta.onnx')
    assert parity.depth_error < 1e-4 and parity.labels_differ < 1e-4


def test_errors_say_what_would_be_right():
    with pytest.raises(ValueError, match=r'at most the window \(512, 512\)'):
        SlidingWindow(Pointwise(), stride=(600, 341))
    with pytest.raises(ValueError, match='must be above 0'):
        SlidingWindow(Pointwise(), stride=(0, 341))
    for scales, multiple in (((), 32), ((1.0, 0.0), 32), ((1.0,), 0)):
        with pytest.raises(ValueError, match='must be above 0, for example'):
            ScaleAverage(Pointwise(), scales, multiple)

    class Flow(torch.nn.Module):
        def forward(self, x):
            return {'flow': x}

    for wrap in (FlipAverage, ScaleAverage, SlidingWindow):
        with pytest.raises(ValueError, match=r"\['flow'\] cannot be averaged; depth, alpha"):
            wrap(Flow())(image(32, 32))
