"""What a deploy graph makes of a model's outputs, in PyTorch."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip('torch', reason='graphs are PyTorch modules')

from dense_perception.export.cards import card_for  # noqa: E402
from dense_perception.export.graph import DeployGraph  # noqa: E402
from dense_perception.models.xnet import XNet, XNetConfig  # noqa: E402
from dense_perception.world.classes import CLASSES, SKY  # noqa: E402

HEIGHT, WIDTH = 64, 96
CARD = card_for('xnet_small', classes=CLASSES, input_height=HEIGHT, input_width=WIDTH)


def lively_model(width: int) -> XNet:
    torch.manual_seed(1)
    model = XNet(XNetConfig('mobilenetv4_conv_small_050', 'convnext_atto', depth='log_height',
                            num_classes=len(CLASSES), mount_channels=2, width=width)).eval()
    torch.nn.init.normal_(model.head.linear.weight, std=0.7)
    model.head.linear.bias.data[1 + SKY] += 1.5  # so that some pixels are sky
    return model


def inputs() -> list[torch.Tensor]:
    """Two images, one from a known mount."""
    torch.manual_seed(2)
    return [torch.randint(0, 256, (2, HEIGHT, WIDTH, 3), dtype=torch.uint8),
            torch.tensor([[80.0, 80.0, 48.0, 32.0]] * 2), torch.tensor([[0.0, 0.96, 0.28]] * 2),
            torch.tensor([1.5, -1.0])]


# With a width of 16 the head's layer shrinks what it takes and comes before the shuffle; with one
# of 8 it grows it and comes after.
@pytest.mark.parametrize(('width', 'subpixels'), [(16, 4), (8, 1)])
def test_what_a_pixel_gets_is_the_same_before_the_last_shuffle(width, subpixels):
    model = lively_model(width)
    folded = copy.deepcopy(model)
    folded.fold_for_inference(HEIGHT, WIDTH)
    assert copy.deepcopy(folded).leave_subpixels_apart() == subpixels
    with torch.no_grad():
        expected = DeployGraph(model, CARD)(*inputs())
        found = DeployGraph(folded, CARD)(*inputs())
        again = DeployGraph(folded, CARD)(*inputs())  # a model that another graph has had
    for name in CARD.outputs:
        assert found[name].shape == (2, HEIGHT, WIDTH)
        assert found[name].dtype == expected[name].dtype
        assert torch.equal(again[name].nan_to_num(), found[name].nan_to_num())
    # Rounding may decide between two classes that are next to equal, and move a level.
    same = found['labels'] == expected['labels']
    assert same.float().mean() > 0.999
    assert len(found['labels'].unique()) > 3 and (found['labels'] == SKY).any()
    assert (found['confidence'].int() - expected['confidence'].int()).abs().max() <= 1
    torch.testing.assert_close(found['depth'][same], expected['depth'][same], rtol=1e-3, atol=1e-4,
                               equal_nan=True)
    assert found['depth'][0].isfinite().any() and found['depth'][1].isfinite().any()


def test_confidence_is_the_probability_of_the_label():
    model = lively_model(16)
    logits = 100 * torch.randn(2, len(CLASSES), HEIGHT, WIDTH)  # no exponential may overflow
    model.forward = lambda x: {'logits': logits, 'depth': torch.zeros(2, HEIGHT, WIDTH)}
    with torch.no_grad():
        found = DeployGraph(model, CARD)(*inputs())
    probability, labels = logits.softmax(dim=1).max(dim=1)
    assert torch.equal(found['labels'], labels.to(torch.uint8))
    torch.testing.assert_close(found['confidence'].float(), 255 * probability, atol=0.51, rtol=0)
