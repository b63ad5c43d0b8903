"""Losses against values worked out by hand and against what they are invariant to."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.losses import (  # noqa: E402
    LOSSES,
    AffineInvariantL1,
    AlphaGradient,
    AlphaRegression,
    Criterion,
    CrossEntropy,
    DeepSupervision,
    DepthRegression,
    Dice,
    Focal,
    GradientMatching,
    HeightNormalisedLog,
    LogGradient,
    LossError,
    NormalAngle,
    NormalL2,
    PixelContrast,
    RelativeSquared,
    SILog,
    make_loss,
)

NAN = float('nan')
DEPTH_LOSSES = [SILog(), RelativeSquared(), DepthRegression(), DepthRegression('charbonnier'),
                DepthRegression('l2', 'disparity'), AffineInvariantL1(), GradientMatching(),
                GradientMatching(space='disparity', aligned=True)]


def scene(seed: int = 0, batch: int = 2) -> torch.Tensor:
    """Depth of 1..8 m, smooth and different in every image, with unknown pixels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 1 + 7 * torch.rand(batch, 1, 4, 5, generator=generator)
    depth = torch.nn.functional.interpolate(coarse, size=(16, 20), mode='bilinear')[:, 0]
    depth[:, 3, 4:8] = NAN
    return depth


def depth_loss(loss, predicted: torch.Tensor, truth: torch.Tensor) -> float:
    return loss({'depth': predicted}, {'depth': truth}).item()


def known(truth: torch.Tensor) -> torch.Tensor:
    """The truth where it is known, and rubbish where it is not: a prediction without error."""
    return torch.where(torch.isnan(truth), 123.0, truth)


@pytest.mark.parametrize('loss', DEPTH_LOSSES, ids=repr)
def test_depth_losses_are_0_for_the_truth_and_above_for_others(loss):
    truth = scene()
    disparity = isinstance(loss, AffineInvariantL1) or getattr(loss, 'aligned', False)
    right = known(truth)
    right = 1 / right if disparity else right
    assert depth_loss(loss, right, truth) < 2e-4
    bent = right * torch.linspace(0.7, 1.4, right.shape[-1])
    assert depth_loss(loss, bent, truth) > 10 * max(depth_loss(loss, right, truth), 1e-4)


@pytest.mark.parametrize('loss', DEPTH_LOSSES, ids=repr)
def test_unknown_truth_neither_counts_nor_spoils_the_gradient(loss):
    truth = scene()
    predicted = (known(truth) * 1.3).requires_grad_()
    loss({'depth': predicted}, {'depth': truth}).backward()
    assert torch.isfinite(predicted.grad).all()
    assert not predicted.grad[torch.isnan(truth)].any()
    nothing = torch.full_like(truth, NAN)
    predicted.grad = None
    empty = loss({'depth': predicted}, {'depth': nothing})
    empty.backward()
    assert empty.item() < 2e-4
    assert not predicted.grad.any()


def test_silog_by_hand():
    truth = torch.tensor([[[1.0, 2.0]]])
    predicted = torch.tensor([[[math.e, 2.0]]])  # e = 1 and 0
    loss = SILog(focus=0.85, scale=10.0, eps=0.0)
    assert depth_loss(loss, predicted, truth) == pytest.approx(10 * math.sqrt(.5 - .85 * .25),
                                                               rel=1e-5)
    # With full focus, a wrong scale costs nothing.
    scaled = SILog(focus=1.0, scale=1.0, eps=0.0)
    assert depth_loss(scaled, 3 * known(scene()), scene()) < 1e-4


def test_relative_squared_and_charbonnier_by_hand():
    truth, predicted = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.5, 2.0]]])
    assert depth_loss(RelativeSquared(), predicted, truth) == pytest.approx(math.sqrt(.125))
    expected = (math.sqrt((.5 / .5) ** 2 + 1) - 1) / 2
    assert depth_loss(DepthRegression('charbonnier', c=0.5), predicted, truth) == (
        pytest.approx(expected))


def test_affine_invariance_of_the_midas_losses():
    truth = scene()
    predicted = 1 / known(truth) + 0.05 * torch.randn(truth.shape,
                                                      generator=torch.Generator().manual_seed(1))
    for loss in (AffineInvariantL1(), GradientMatching(space='disparity', aligned=True)):
        assert depth_loss(loss, 4 * predicted + 2, truth) == (
            pytest.approx(depth_loss(loss, predicted, truth), rel=1e-3))


def test_trimming_forgives_the_worst_pixels():
    truth = scene(batch=1)
    predicted = 1 / known(truth)
    predicted[0, :2, :5] += 3.0
    assert depth_loss(AffineInvariantL1(trim=0.2), predicted, truth) < (
        0.3 * depth_loss(AffineInvariantL1(trim=0.0), predicted, truth))


def test_gradient_matching_sees_edges_not_offsets():
    truth = scene(batch=1)
    offset, step = known(truth) * 2, known(truth).clone()
    step[:, :, 10:] *= 2
    loss = GradientMatching(scales=1)
    assert depth_loss(loss, offset, truth) < 1e-5
    # One column of 19 horizontal differences is off by log 2; unknown pixels leave that share.
    assert depth_loss(loss, step, truth) == pytest.approx(math.log(2) / 19, rel=0.03)


def test_height_normalised_log_with_and_without_mount():
    truth = scene()
    heights = torch.tensor([0.5, 1.5])
    batch = {'depth': truth, 'true_height': heights, 'camera_height': heights,
             'known': torch.ones(2)}
    right = torch.log(known(truth) / heights.view(-1, 1, 1))
    loss = HeightNormalisedLog(gradient=0.3, anchor=0.1)
    assert loss({'depth': right}, batch).item() < 1e-6
    shifted = {'depth': right + 0.7}
    assert loss(shifted, batch).item() == pytest.approx(0.7, abs=1e-4)
    unknown = {**batch, 'known': torch.zeros(2)}
    assert loss(shifted, unknown).item() == pytest.approx(0.07, abs=1e-4)


def segmentation(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 6, 8, generator=generator)
    labels = torch.randint(0, 3, (2, 6, 8), generator=generator)
    labels[:, 0] = 255
    return logits, labels


@pytest.mark.parametrize('loss', [CrossEntropy(), Dice(), Focal()], ids=repr)
def test_segmentation_losses(loss):
    logits, labels = segmentation()
    hot = torch.nn.functional.one_hot(labels.clamp(max=2), 3).permute(0, 3, 1, 2).float()
    right = loss({'logits': 50 * hot}, {'labels': labels}).item()
    assert right < 1e-3 < loss({'logits': logits}, {'labels': labels}).item()
    changed = logits.clone()
    changed[:, :, 0] += 5 * torch.randn(2, 3, 8)
    assert loss({'logits': changed}, {'labels': labels}).item() == (
        pytest.approx(loss({'logits': logits}, {'labels': labels}).item()))
    nothing = torch.full_like(labels, 255)
    value = loss({'logits': logits.requires_grad_()}, {'labels': nothing})
    value.backward()
    assert value.item() == 0 and not logits.grad.any()


def test_cross_entropy_adds_the_auxiliary_head_at_its_size():
    logits, labels = segmentation()
    batch = {'labels': labels}
    plain = CrossEntropy()({'logits': logits}, batch).item()
    coarse = torch.randn(2, 3, 3, 4)
    both = CrossEntropy(auxiliary=0.2)({'logits': logits, 'aux_logits': coarse}, batch).item()
    resized = torch.nn.functional.interpolate(coarse, size=(6, 8), mode='bilinear')
    assert both == pytest.approx(plain + 0.2 * CrossEntropy()({'logits': resized}, batch).item())


def test_focal_without_focus_is_cross_entropy():
    logits, labels = segmentation()
    assert Focal(gamma=0.0)({'logits': logits}, {'labels': labels}).item() == (
        pytest.approx(CrossEntropy()({'logits': logits}, {'labels': labels}).item()))


def test_normal_losses_by_hand():
    truth = torch.zeros(1, 3, 2, 2)
    truth[:, 1] = -1.0
    truth[..., 0, 0] = NAN
    tilted = torch.zeros(1, 3, 2, 2)
    tilted[:, 1], tilted[:, 2] = -1.0, 1.0  # 45 degrees off, and not of unit length
    angle = NormalAngle()({'normals': tilted}, {'normals': truth}).item()
    assert angle == pytest.approx(math.pi / 4, rel=1e-4)
    distance = NormalL2()({'normals': tilted}, {'normals': truth}).item()
    assert distance == pytest.approx(2 - 2 * math.cos(math.pi / 4), rel=1e-4)


def test_criterion_weighs_and_names_its_terms():
    truth = scene()
    criterion = Criterion.from_config([
        {'loss': 'silog', 'far': 10.0}, {'loss': 'gradient_matching', 'weight': 0.5},
        {'loss': 'gradient_matching', 'scales': 1, 'weight': 2}])
    parts = criterion({'depth': known(truth) * torch.linspace(.7, 1.4, 20)}, {'depth': truth})
    assert list(parts) == ['loss', 'silog', 'gradient_matching', 'gradient_matching#2']
    assert parts['loss'].item() == pytest.approx(
        (parts['silog'] + .5 * parts['gradient_matching']
         + 2 * parts['gradient_matching#2']).item())


@pytest.mark.parametrize(('act', 'message'), [
    (lambda: make_loss('silg'), 'unknown loss "silg"; did you mean silog'),
    (lambda: make_loss('silog', focuss=1), 'has no option "focuss"; it has focus, scale'),
    (lambda: DepthRegression('l3'), 'choose from l1, l2, charbonnier'),
    (lambda: Criterion.from_config([{'weight': 1}]), 'names no loss'),
    (lambda: Criterion.from_config([]), 'at least one loss'),
    (lambda: SILog()({'logits': scene()}, {'depth': scene()}), 'needs "depth" of the model'),
    (lambda: SILog()({'depth': scene()[:, :8]}, {'depth': scene()}), 'both must be'),
    (lambda: CrossEntropy()({'logits': segmentation()[0]},
                            {'labels': segmentation()[1] + 7}), 'the model has 3 classes'),
])
def test_errors_say_what_would_be_right(act, message):
    with pytest.raises(LossError, match=message):
        act()


def test_every_loss_has_a_recipe_name_and_a_docstring():
    needs = {'deep_supervision': {'losses': [{'loss': 'dice'}]}}
    assert {make_loss(name, **needs.get(name, {})).__class__
            for name in LOSSES} == set(LOSSES.values())
    assert all(cls.__doc__ for cls in LOSSES.values())


def test_unit_depth_goes_from_0_at_the_2_percent_quantile_to_1_at_the_98():
    truth = torch.linspace(2, 12, 101).reshape(1, 1, 101).repeat(1, 4, 1)
    truth[0, 3] = NAN
    expected = ((truth.nan_to_num(5.0) - 2.2) / 9.6).clamp(0, 1)
    loss = DepthRegression('l2', 'unit')
    assert depth_loss(loss, expected, truth) < 1e-9
    assert depth_loss(loss, expected + 0.5, truth) == pytest.approx(0.25, abs=1e-5)
    assert depth_loss(LogGradient(), expected, truth) < 1e-7
    assert depth_loss(loss, expected, torch.full_like(truth, NAN)) == 0


def test_log_gradient_is_the_mean_over_both_directions_at_its_step():
    truth = torch.arange(1.0, 6.0).view(1, 1, 5).repeat(1, 5, 1)  # unit: 0 .. 1 by columns
    flat = torch.zeros(1, 5, 5)
    unit = torch.log1p(torch.arange(5.0) / 4)
    slopes = (unit[2:] - unit[:-2]).mean()
    # Down the columns nothing changes, and there are as many pairs.
    assert depth_loss(LogGradient(), flat, truth) == pytest.approx(slopes.item() / 2)


def test_least_squares_alignment_leaves_metres():
    truth = scene()
    loss = AffineInvariantL1(trim=0.0, alignment='least_squares', space='depth')
    assert depth_loss(loss, known(truth) * 0.02 + 0.3, truth) < 1e-5
    off = known(truth) * 0.02 + 0.3
    off[:, ::2] += 0.02  # a metre, in every other row; half of it is taken up by the shift
    assert depth_loss(loss, off, truth) == pytest.approx(0.5, abs=0.1)
    flat = torch.zeros_like(truth).requires_grad_()
    value = loss({'depth': flat}, {'depth': truth})
    value.backward()
    assert value.item() == 0 and not flat.grad.any()
    with pytest.raises(LossError, match='least_squares'):
        AffineInvariantL1(alignment='median')


def test_length_of_a_normal_counts_where_it_is_asked_for():
    truth = torch.tensor([0.0, 0, -1]).view(1, 3, 1, 1).repeat(1, 1, 2, 2)
    batch, outputs = {'normals': truth}, {'normals': truth * 3}
    assert NormalL2()(outputs, batch).item() == 0
    assert NormalL2(normalise=False)(outputs, batch).item() == pytest.approx(4)


def test_matte_losses():
    truth = torch.zeros(1, 8, 8)
    truth[..., 4:] = 1
    truth[0, 0] = NAN
    batch = {'alpha': truth}
    right = {'alpha': truth.nan_to_num(9.0)}
    off = {'alpha': truth.nan_to_num(9.0) + 0.5}
    for loss in (AlphaRegression(), AlphaRegression('l2'), AlphaGradient()):
        assert loss(right, batch).item() == 0
    assert AlphaRegression()(off, batch).item() == 0.5
    assert AlphaRegression('l2')(off, batch).item() == 0.25
    assert AlphaGradient()(off, batch).item() == 0  # an offset has no edges
    blank = {'alpha': torch.zeros(1, 8, 8)}
    # One edge of 7, of 3 and of 1 steps across; none down.
    assert AlphaGradient()(blank, batch).item() == pytest.approx((1 / 7 + 1 / 3 + 1) / 3)
    with pytest.raises(LossError, match='l1, l2'):
        AlphaRegression('l3')


def test_silog_without_the_root_is_the_variance():
    truth = torch.tensor([[[1.0, 2.0]]])
    predicted = torch.tensor([[[math.e, 2.0]]])
    variance = SILog(focus=1.0, scale=1.0, eps=0.0, root=False)
    assert depth_loss(variance, predicted, truth) == pytest.approx(0.25, rel=1e-5)


def test_dice_of_masks_by_hand():
    labels = torch.tensor([[[0, 0, 1, 255]], [[0, 0, 0, 0]]])
    logits = torch.full((2, 2, 1, 4), 0.0)  # a probability of a half everywhere
    loss = Dice(smooth=0.0, per_image=True)({'logits': logits}, {'labels': labels}).item()
    # Overlap, sizes: image 0 class 0: 1, 1.5 + 2; class 1: .5, 1.5 + 1; image 1 class 0: 2, 2 + 4.
    assert loss == pytest.approx(1 - (2 / 3.5 + 1 / 2.5 + 4 / 6) / 3, rel=1e-5)


def test_cross_entropy_of_another_output():
    logits, labels = segmentation()
    outputs, batch = {'logits': 0 * logits, 'semantic_logits': logits}, {'labels': labels}
    assert CrossEntropy(output='semantic_logits')(outputs, batch).item() == (
        pytest.approx(CrossEntropy()({'logits': logits}, batch).item()))


def test_deep_supervision_is_the_losses_on_every_layer():
    truth = scene()
    right = known(truth)
    outputs = {'depth': 1.1 * right, 'aux.0.depth': right, 'aux.10.depth': 2 * right}
    plain = RelativeSquared()

    def of(depth: torch.Tensor) -> float:
        return depth_loss(plain, depth, truth)

    loss = DeepSupervision(({'loss': 'relative_squared', 'weight': 3.0},), auxiliary=0.5)
    assert loss(outputs, {'depth': truth}).item() == pytest.approx(
        3 * (of(1.1 * right) + 0.5 * (of(right) + of(2 * right))), rel=1e-5)
    assert loss({'depth': 1.1 * right}, {'depth': truth}).item() == pytest.approx(
        3 * of(1.1 * right), rel=1e-5)
    with pytest.raises(LossError, match='relative_squared'):
        make_loss('deep_supervision', losses=[{'loss': 'relative_square'}])
    with pytest.raises(LossError, match='losses, auxiliary'):
        make_loss('deep_supervision', losses=[{'loss': 'dice'}], weights=[1])
    with pytest.raises(LossError, match='cannot be repeated'):
        make_loss('deep_supervision', losses=[{'loss': 'expert_alignment'}])


def test_pixel_contrast_wants_masks_apart():
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[:, :, 2:], labels[:, 0] = 1, 255
    apart = torch.zeros(1, 2, 4, 4)
    apart[:, 0, :, :2], apart[:, 1, :, 2:] = 1, 1
    mixed = torch.zeros(1, 2, 4, 4)
    mixed[:, 0, ::2], mixed[:, 1, 1::2] = 1, 1
    loss = PixelContrast(temperature=0.3, samples=100)
    # 12 known pixels: each has 5 like it at 1 / .3, and 6 others at 0.
    expected = math.log(5 * math.exp(1 / 0.3) + 6) - 1 / 0.3
    batch = {'labels': labels}
    assert loss({'features': apart}, batch).item() == pytest.approx(expected, rel=1e-5)
    assert loss({'features': mixed}, batch).item() > expected + 0.5
    fine = torch.nn.functional.interpolate(labels[:, None].float(), scale_factor=3)[:, 0].long()
    assert loss({'features': apart}, {'labels': fine}).item() == pytest.approx(expected, rel=1e-5)
    nothing = loss({'features': apart.requires_grad_()}, {'labels': labels * 0 + 255})
    nothing.backward()
    assert nothing.item() == 0 and not apart.grad.any()
    torch.manual_seed(0)
    few = PixelContrast(samples=4)({'features': mixed}, batch)
    assert torch.isfinite(few)
