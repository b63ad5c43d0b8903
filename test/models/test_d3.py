"""D3-Predictor: sizes, the aligned maps, the projection heads, and that nothing is random."""

from __future__ import annotations

import sys

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import create_model, model_entry  # noqa: E402
from dense_perception.models.complexity import meta_model  # noqa: E402

pytest.importorskip('diffusers', reason='D3-Predictor is built on diffusers')

from dense_perception.models.d3.adapters import Mapping256, ProjectionHeads  # noqa: E402
from dense_perception.models.d3.alignment import (  # noqa: E402
    ExpertAlignment,
    cosine_distance,
    stratified_timesteps,
)

SIDES = {'mid': 12, 'us1': 12, 'us2': 12, 'us3': 24, 'us4': 24, 'us5': 24, 'us6': 48, 'us7': 48,
         'us8': 48, 'us9': 96, 'us10': 96}
WIDTHS = {'mid': 1280, 'us1': 1280, 'us2': 1280, 'us3': 1280, 'us4': 1280, 'us5': 1280,
          'us6': 1280, 'us7': 640, 'us8': 640, 'us9': 640, 'us10': 320}
# mid and us1..us10 of the tiny one, at 64x128 (a latent of 8x16): tokens and channels.
TINY_MAPS = [(2, 64), (2, 64), (2, 64), (8, 64), (8, 64), (8, 64), (32, 64), (32, 32), (32, 32),
             (128, 32), (128, 16)]


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def tiny(task: str = 'depth', **options: object) -> torch.nn.Module:
    """A tiny D3-Predictor whose text is not zero and so is looked at."""
    torch.manual_seed(0)
    model = create_model(f'd3_tiny_{task}', **options)
    model.context.normal_()
    return model


def image(batch: int = 2, height: int = 64, width: int = 128) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize('task', ['depth', 'normals', 'matting'])
def test_parameters_are_those_of_stable_diffusion_and_cleandift(task: str):
    model = meta_model(f'd3_{task}')
    assert count(model.denoiser) == 865_910_724
    assert count(model.vae) == 83_653_863
    assert count(model) == 865_910_724 + 83_653_863 + 1
    assert model.context.shape == (1, 77, 1024) and model.multiple == 64
    with torch.device('meta'):
        heads = ProjectionHeads(model.denoiser.feature_widths)
    assert count(heads.adapters) == 123_801_600
    assert count(heads.mapping) == 1_180_672 and count(heads.time_in_proj) == 65_536


def test_aligned_maps_of_stable_diffusion():
    model = meta_model('d3_depth')
    assert model.denoiser.feature_widths == WIDTHS
    with torch.device('meta'):
        _, features = model.denoiser.with_features(torch.zeros(1, 4, 96, 96), torch.zeros(1),
                                                   model.context)
    assert {name: tuple(value.shape) for name, value in features.items()} == {
        name: (1, side ** 2, WIDTHS[name]) for name, side in SIDES.items()}


def test_training_gives_eleven_maps_and_evaluation_none():
    model = tiny().train()
    outputs = model(image())
    assert [tuple(v.shape[1:]) for v in outputs['features'].values()] == TINY_MAPS
    assert list(outputs['features']) == list(SIDES)
    assert outputs['latent'].shape == (2, 4, 8, 16) and not outputs['latent'].requires_grad
    assert list(model.eval()(image())) == ['depth']
    hooks = [module for module in model.modules() if module._forward_hooks]
    assert hooks == []


@pytest.mark.parametrize(('task', 'output', 'shape'), [
    ('depth', 'depth', (2, 64, 128)), ('normals', 'normals', (2, 3, 64, 128)),
    ('matting', 'alpha', (2, 64, 128))])
def test_outputs_and_one_call_of_each_network(task: str, output: str, shape: tuple[int, ...]):
    model = tiny(task).eval()
    calls = []
    for name in ('denoiser', 'vae.encoder', 'vae.decoder'):
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
    with torch.no_grad():
        first = model(image())
        assert sorted(calls) == ['denoiser', 'vae.decoder', 'vae.encoder']
        assert list(first) == [output] and first[output].shape == shape
        assert torch.equal(model(image())[output], first[output])
    assert model_entry(f'd3_{task}').tasks == (task,)
    assert model_entry(f'd3_{task}').depth_convention == ('affine' if task == 'depth' else None)


def test_depth_is_the_mean_colour_and_normals_are_turned_into_the_optical_frame(monkeypatch):
    model = tiny().eval()
    colours = torch.tensor([-3.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    monkeypatch.setattr(model, 'decode', lambda latent: colours)
    with torch.no_grad():
        assert torch.allclose(model(image(1, 64, 64))['depth'], torch.tensor(0.5))  # clamped
        normals = tiny('normals').eval()
        monkeypatch.setattr(normals, 'decode', lambda latent: colours)
        assert normals(image(1, 64, 64))['normals'][0, :, 0, 0].tolist() == [-3, 0, -1]


def test_a_sampled_latent_is_another_every_time():
    model = tiny(encoding='sample').eval()
    with torch.no_grad():
        torch.nn.init.zeros_(model.vae.quant_conv.weight)  # mean 0, variance 1
        assert not torch.equal(model(image())['depth'], model(image())['depth'])


def test_the_heads_are_the_identity_at_the_start():
    widths = {'mid': 64, 'us10': 16}
    heads = ProjectionHeads(widths)
    maps = {name: torch.randn(2, 6, width) for name, width in widths.items()}
    projected = heads(maps, torch.tensor([3, 900]))
    assert all(torch.equal(projected[name], maps[name]) for name in maps)
    condition = Mapping256()(torch.randn(2, 256))
    assert condition.square().mean(-1).allclose(torch.ones(2), atol=1e-3)


def test_every_weight_of_the_heads_can_change_what_they_give():
    heads = ProjectionHeads({'mid': 8})
    for parameter in heads.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    heads({'mid': torch.randn(2, 5, 8)}, torch.tensor([5, 700]))['mid'].square().sum().backward()
    assert [n for n, p in heads.named_parameters() if not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize('checkpointing', [False, True])
def test_loss_is_zero_where_expert_and_clean_branch_see_the_same(checkpointing: bool):
    model = tiny(gradient_checkpointing=checkpointing).train()
    same = torch.full((2,), int(model.timestep.item()))
    # One network for both: in a copy, whose weights lie elsewhere in memory, torch's kernels may
    # add in another order.
    alignment = ExpertAlignment(model.denoiser, model.context)
    with torch.no_grad():
        outputs = model(image())
        latent, features = outputs['latent'], outputs['features']
        assert alignment.distance(latent, features, same, None).item() == 0
        copied = model.alignment()
        assert copied.distance(latent, features, same, None).item() < 1e-10
        other = copied.distance(latent, features, same + 300, None).item()
        assert 1e-6 < other < copied(latent, features).item()


def test_each_third_of_the_timesteps_is_drawn_once_for_every_sample():
    torch.manual_seed(0)
    drawn = stratified_timesteps(4000, 3)
    assert drawn.shape == (3, 4000) and drawn.dtype == torch.int64
    for row, (low, high) in zip(drawn, [(1, 333), (333, 666), (666, 998)], strict=True):
        assert low <= row.min() <= low + 1 and high - 1 <= row.max() <= high
    assert stratified_timesteps(1000, 1).float().mean().item() == pytest.approx(500, abs=30)


def test_one_step_asks_three_experts_and_the_clean_branch_once():
    model = tiny().train()
    alignment = model.alignment()
    seen: list[torch.Tensor] = []
    alignment.experts.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    clean: list[int] = []
    model.denoiser.register_forward_hook(lambda *_: clean.append(1))
    outputs = model(image())
    (alignment(outputs['latent'], outputs['features']) + outputs['depth'].mean()).backward()
    assert len(clean) == 1 and [len(t) for t in seen] == [2, 2, 2]
    thirds = torch.stack(seen).float().sub(1).div(998 / 3).floor()
    assert thirds.T.tolist() == [[0, 1, 2]] * 2


def test_only_the_named_parts_learn():
    model = tiny(gradient_checkpointing=True).train()
    alignment = model.alignment()
    for parameter in alignment.heads.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    outputs = model(image())
    (alignment(outputs['latent'], outputs['features']) + outputs['depth'].mean()).backward()
    learns = {name.split('.')[0] for name, p in model.named_parameters()
              if p.grad is not None and p.grad.abs().sum() > 0}
    assert learns == {'denoiser', 'timestep'}
    assert all(p.grad is None and not p.requires_grad for p in model.vae.parameters())
    assert all(p.grad is None for p in alignment.experts.parameters())
    assert all(p.grad is not None for p in alignment.heads.parameters())


def test_checkpointing_changes_no_gradient():
    found = []
    for checkpointing in (False, True):
        model = tiny(gradient_checkpointing=checkpointing).train()
        outputs = model(image())
        (outputs['depth'].mean() + outputs['features']['us3'].mean()).backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters()
                                if p.grad is not None]))
    assert torch.allclose(*found, atol=1e-7)


def test_the_distance_is_one_minus_the_cosine():
    a, b = torch.randn(2, 7, 5), torch.randn(2, 7, 5)
    expected = 1 - torch.nn.functional.cosine_similarity(a, b, dim=-1).mean()
    assert cosine_distance(a, 3 * b).item() == pytest.approx(expected.item(), abs=1e-6)


def test_noise_follows_stable_diffusions_schedule():
    model = tiny()
    latent, noise = torch.ones(2, 4, 8, 8), torch.full((2, 4, 8, 8), 10.0)
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, 0)[[5, 998]]
    expected = kept.sqrt() + (1 - kept).sqrt() * 10
    noisy = model.denoiser.noised(latent, noise, torch.tensor([5, 998]))
    assert torch.allclose(noisy[:, 0, 0, 0].double(), expected, rtol=1e-4)


def test_the_transformer_aligns_its_last_25_blocks_and_follows_a_straight_line():
    model = tiny('dit_depth').train()
    assert model.multiple == 16 and len(model.denoiser.single_transformer_blocks) == 26
    outputs = model(image())
    assert {tuple(v.shape) for v in outputs['features'].values()} == {(2, 32, 32)}
    assert list(outputs['features']) == [f's{n}' for n in range(25)]
    last: list[torch.Tensor] = []
    block = model.denoiser.single_transformer_blocks[-1]
    block.register_forward_hook(lambda *call: last.append(call[2][1]))
    alignment = ExpertAlignment(model.denoiser, model.context)
    same = torch.full((2,), 261)
    with torch.no_grad():
        outputs = model(image())
        assert torch.equal(last[0], outputs['features']['s24'])
        assert alignment.distance(outputs['latent'], outputs['features'], same, None).item() == 0
        assert alignment(outputs['latent'], outputs['features']).item() > 0.1
    ones = torch.ones(1, 16, 8, 8)
    noisy = model.denoiser.noised(ones, 5 * ones, torch.tensor([250]))
    assert torch.allclose(noisy, torch.tensor(2.0))
    with torch.device('meta'):
        flux = type(model.denoiser)(guidance_embeds=True)
    assert count(flux) == 11_901_408_320 and set(flux.feature_widths.values()) == {3072}


def test_patches_of_the_transformer_stay_in_their_place(monkeypatch):
    model = tiny('dit_depth').eval()
    tokens: list[torch.Tensor] = []
    monkeypatch.setattr(type(model.denoiser), '__call__',
                        lambda self, x, *_, **__: (tokens.append(x), (x,))[1])
    latent = torch.arange(16 * 4 * 6.0).view(1, 16, 4, 6)
    assert torch.equal(model.denoiser.denoise(latent, torch.tensor(3.0), model.context), latent)
    # The second token is the patch to the right; FLUX orders channel, row, column.
    assert tokens[0][0, 1, :4].tolist() == latent[0, 0, :2, 2:4].flatten().tolist()


def test_wrong_sizes_and_options_are_refused():
    with pytest.raises(ValueError, match='64x128'):
        tiny().eval()(image(1, 64, 100))
    for options, message in (({'output': 'flow'}, 'flow'), ({'backbone': 'rnn'}, 'rnn'),
                             ({'encoding': 'median'}, 'median'), ({'timestep': 2000}, '2000'),
                             ({'pretrained': True}, 'convert')):
        with pytest.raises(ValueError, match=message):
            create_model('d3_tiny_depth', **options)
    with pytest.raises(ValueError, match='strata'):
        ExpertAlignment(tiny().denoiser, torch.zeros(1, 5, 16), 0)


def test_without_diffusers_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'diffusers', None)
    with pytest.raises(ValueError, match=r'^model "d3_depth" is built on diffusers.*\[d3\]"$'):
        create_model('d3_depth')
