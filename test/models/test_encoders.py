"""Encoders of every family keep to one interface."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models.encoders import create_encoder  # noqa: E402

# One of each way in which timm's models treat sizes and layouts; mambaout is channels last.
NAMES = ['convnext_atto', 'swin_tiny_patch4_window7_224', 'swinv2_tiny_window8_256',
         'swinv2_cr_tiny_224', 'mambaout_femto', 'resnet18', 'pvt_v2_b0',
         'eva02_tiny_patch14_224', 'deit3_small_patch16_224', 'samvit_base_patch16',
         'vit_tiny_patch16_224', 'vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3']


@pytest.mark.parametrize('name', NAMES)
def test_maps_are_channels_first_and_as_large_as_announced(name):
    with torch.device('meta'):
        encoder = create_encoder(name, image_size=(224, 224)).eval()
        height, width = 8 * encoder.multiple, 12 * encoder.multiple
        (features,) = encoder(torch.zeros(1, 3, height, width))
    (channels,), (stride,) = encoder.channels, encoder.strides
    assert features.shape == (1, channels, height // stride, width // stride)


def test_what_a_model_does_not_take_is_not_taken_for_a_matter_of_size():
    with pytest.raises(TypeError, match="'wings'"):
        create_encoder('swin_tiny_patch4_window7_224', wings=2)
