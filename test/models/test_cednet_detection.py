"""CEDNet under torchvision's detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.export.cards import card_for  # noqa: E402
from dense_perception.export.detector import export_detector  # noqa: E402
from dense_perception.export.parity import ExportError  # noqa: E402
from dense_perception.inference.card import CardError  # noqa: E402
from dense_perception.models import create_model, list_models, model_entry  # noqa: E402
from dense_perception.models._torchvision import _nms  # noqa: E402
from dense_perception.models.cednet import DETECTORS, DetectorConfig  # noqa: E402
from dense_perception.models.complexity import complexity, meta_model  # noqa: E402

TINY: dict[str, Any] = {
    'encoder_options': {'stem_channels': 8, 'channels': (16, 24, 32), 'blocks': (1, 1, 1, 1),
                        'stages': 2, 'layer_scale': 1.0},
    'width': 16, 'num_classes': 3, 'smallest': 64, 'largest': 96}
FEW = {'box_detections_per_img': 4, 'rpn_post_nms_top_n_test': 8, 'rpn_pre_nms_top_n_test': 16,
       'rpn_post_nms_top_n_train': 8, 'rpn_pre_nms_top_n_train': 16, 'box_batch_size_per_image': 4}
IMAGES = [(3, 60, 80), (3, 70, 50)]


def detector(framework: str, **options: Any):
    torch.manual_seed(0)
    return create_model(f'cednet_next_tiny_{framework}', **TINY, options=options)


def targets() -> list[dict[str, torch.Tensor]]:
    return [{'boxes': torch.tensor([[5.0, 5.0, 40.0, 40.0]]), 'labels': torch.tensor([2]),
             'masks': torch.ones(1, 60, 80, dtype=torch.uint8)},
            {'boxes': torch.zeros(0, 4), 'labels': torch.zeros(0, dtype=torch.int64),
             'masks': torch.zeros(0, 70, 50, dtype=torch.uint8)}]


@pytest.mark.parametrize(('name', 'params', 'gmacs'), [
    # Table 2: 39M and 61M, 255G and 335G; 49M and 72M, 274G and 355G, at 1280x800.
    ('cednet_next_tiny_retinanet', 38_636_404, 254.3),
    ('cednet_next_small_retinanet', 60_985_076, 335.1),
    ('cednet_next_tiny_mask_rcnn', 49_156_725, 273.6),
    ('cednet_next_small_mask_rcnn', 71_505_397, 354.4)])
def test_parameters_and_multiply_adds(name, params, gmacs):
    costs = complexity(meta_model(name), 800, 1280)
    assert costs.params == params
    assert costs.macs / 1e9 == pytest.approx(gmacs, abs=0.05)


@pytest.mark.parametrize(('framework', 'strides'), [
    ('retinanet', (8, 16, 32, 64, 128)), ('mask_rcnn', (4, 8, 16, 32, 64))])
def test_levels_are_those_that_the_anchors_are_made_for(framework, strides):
    with torch.device('meta'):
        model = detector(framework)
        levels = model.net.backbone(torch.zeros(1, 3, 256, 384))
    assert [tuple(level.shape[1:]) for level in levels.values()] == [
        (16, 256 // s, 384 // s) for s in strides]


@pytest.mark.parametrize(('framework', 'options'), [('retinanet', {}), ('mask_rcnn', FEW)])
def test_losses_in_training_and_boxes_in_use(framework, options):
    model = detector(framework, **options).train()
    images = [torch.rand(*shape) for shape in IMAGES]
    losses = model(images, targets())
    assert len(losses) == (2 if framework == 'retinanet' else 5)
    sum(losses.values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    (model.net.roi_heads if model.first else model.net).score_thresh = 0.0
    with torch.inference_mode():
        found = model.eval()(images)
    for one, (_, height, width) in zip(found, IMAGES, strict=True):
        assert len(one['boxes']) == len(one['labels']) == len(one['scores']) > 0
        assert one['labels'].min() >= 0 and one['labels'].max() <= 2
        assert one['boxes'][:, 2].max() <= width and one['boxes'][:, 3].max() <= height
        assert ('masks' in one) == (framework == 'mask_rcnn')
        if 'masks' in one:
            assert one['masks'].shape[1:] == (1, height, width)


def test_overlapping_boxes_are_suppressed_by_the_better():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 0, 10, 9]])
    scores = torch.tensor([0.5, 0.9, 0.1, 0.7])
    assert _nms(boxes, scores, 0.5).tolist() == [1, 2]
    assert _nms(boxes, scores, 0.85).tolist() == [1, 3, 2]
    assert _nms(boxes[:0], scores[:0], 0.5).tolist() == []


def test_a_retinanet_exports_and_finds_the_same(tmp_path: Path):
    import onnxruntime
    model = detector('retinanet', score_thresh=0.0, detections_per_img=20, topk_candidates=50,
                     nms_thresh=0.5).eval()
    with torch.no_grad():  # scores that differ: between equal ones rounding decides
        for parameter in model.net.head.classification_head.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 * parameter[0].numel() ** -0.5)
    path = tmp_path / 'detector.onnx'
    export_detector(model, path, 64, 96)
    session = onnxruntime.InferenceSession(str(path))
    image = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(3))
    boxes, scores, labels = session.run(None, {'image': image.numpy()})
    with torch.inference_mode():
        found = model([image])[0]
    np.testing.assert_allclose(scores, found['scores'], atol=1e-4)
    np.testing.assert_allclose(boxes, found['boxes'], atol=1e-2)
    assert (labels == found['labels'].numpy()).all() and len(labels) == 20
    with pytest.raises(ExportError, match='not a mask_rcnn'):
        export_detector(detector('mask_rcnn'), path, 64, 96)


def test_registered_detectors_have_no_card():
    assert len(DETECTORS) == 6 and set(DETECTORS) == set(list_models(tasks=('detection',)))
    assert model_entry('cednet_next_base_mask_rcnn').tasks == ('detection',)
    with pytest.raises(CardError, match='is for detection'):
        card_for('cednet_next_tiny_retinanet')
    with pytest.raises(ValueError, match='choose from retinanet'):
        DetectorConfig(framework='yolo')
