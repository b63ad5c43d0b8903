"""Key tables of the public DPT and Depth Anything V2 checkpoints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dense_perception.models.checkpoints.keys import Filler, KeyTable, Rule, State, rule

ISL = 'DPT (isl-org)'
HF = 'DPT (Hugging Face)'
OFFICIAL = 'Depth Anything V2'
HF_ANYTHING = 'Depth Anything V2 (Hugging Face)'
HF_ANYTHING_MEMORY = 'Depth Anything V2 (transformers 5 in memory)'

_LEVELS = range(4)
_UNITS = (1, 2)
_IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Traits:
    """What of a model its keys depend on, beside the layout.

    ``hybrid``: a ResNet before the blocks. ``swiglu``: gated MLPs (the giant one).
    ``segmentation``: the output head's task.
    """

    hybrid: bool = False
    swiglu: bool = False
    segmentation: bool = False


def key_table(kind: str, traits: Traits) -> KeyTable:
    """The table of one of the kinds above."""
    if kind == ISL:
        return _isl(traits)
    if kind == HF:
        return _hf_dpt(traits)
    if kind == OFFICIAL:
        return _official(traits)
    return _hf_anything(traits, in_memory=kind == HF_ANYTHING_MEMORY)


def _isl(traits: Traits) -> KeyTable:
    rules = [*_body('pretrained.model', traits), *_scratch('scratch'),
             *_output('scratch.output_conv', 'auxlayer', traits)]
    for level in _LEVELS:
        theirs = f'pretrained.act_postprocess{level + 1}'
        rules += _reassemble(level, f'{theirs}.0.project.0', f'{theirs}.3', f'{theirs}.4')
    # The classifier of the pre-trained encoder: in the file, without effect.
    head = 'pretrained.model.head'
    return KeyTable(rules, [
        Filler(f'{head}.weight', lambda state: (_IMAGENET_CLASSES, _width(state))),
        Filler(f'{head}.bias', lambda state: (_IMAGENET_CLASSES,))])


def _official(traits: Traits) -> KeyTable:
    head = 'depth_head'
    rules = [*_body('pretrained', traits), *_scratch(f'{head}.scratch')]
    for ours, theirs in (('conv1', 'output_conv1'), ('conv2', 'output_conv2.0'),
                         ('conv3', 'output_conv2.2')):
        rules.append(rule(f'{head}.scratch.{theirs}', f'depth_head.{ours}'))
    for level in _LEVELS:
        rules += _reassemble(level, f'{head}.readout_projects.{level}.0',
                             f'{head}.projects.{level}', f'{head}.resize_layers.{level}')
    return KeyTable(rules, [_mask_token('pretrained.mask_token')])


def _hf_dpt(traits: Traits) -> KeyTable:
    embeddings, backbone = 'dpt.embeddings', 'dpt.embeddings.backbone.bit'
    rules = [*_hf_neck(), *_output('head.head', 'auxiliary_head.head', traits)]
    if traits.hybrid:
        ours = 'encoder.body.patch_embed.backbone'
        rules += [rule(f'{embeddings}.projection', 'encoder.body.patch_embed.proj'),
                  rule(f'{backbone}.embedder.convolution', f'{ours}.stem.conv'),
                  rule(f'{backbone}.embedder.norm', f'{ours}.stem.norm'),
                  rule(f'{backbone}.encoder.stages.#.layers.#', f'{ours}.stages.#.blocks.#')]
    else:
        rules.append(rule(f'{embeddings}.patch_embeddings.projection',
                          'encoder.body.patch_embed.proj'))
    rules += _hf_tokens(embeddings, 'dpt.layernorm')
    layer, block = 'dpt.encoder.layer.#', 'encoder.body.blocks.#'
    rules += _qkv(layer, ('attention.attention.query', 'attention.attention.key',
                          'attention.attention.value'))
    rules += [rule(f'{layer}.{theirs}', f'{block}.{ours}') for theirs, ours in (
        ('attention.output.dense', 'attn.proj'), ('intermediate.dense', 'mlp.fc1'),
        ('output.dense', 'mlp.fc2'), ('layernorm_before', 'norm1'), ('layernorm_after', 'norm2'))]
    return KeyTable(rules)


def _hf_anything(traits: Traits, in_memory: bool) -> KeyTable:
    embeddings = 'backbone.embeddings'
    rules = [*_hf_neck(), *_hf_tokens(embeddings, 'backbone.layernorm'),
             rule(f'{embeddings}.patch_embeddings.projection', 'encoder.body.patch_embed.proj'),
             *(rule(f'head.conv{n}', f'depth_head.conv{n}') for n in (1, 2, 3))]
    layer, block = 'backbone.encoder.layer.#', 'encoder.body.blocks.#'
    for n in _UNITS:
        rules += [rule(f'{layer}.norm{n}', f'{block}.norm{n}'),
                  rule(f'{layer}.layer_scale{n}.lambda1', f'{block}.ls{n}.gamma')]
    hub = _qkv(layer, ('attention.attention.query', 'attention.attention.key',
                       'attention.attention.value'))
    memory = _qkv(layer, ('attention.q_proj', 'attention.k_proj', 'attention.v_proj'))
    hub.append(rule(f'{layer}.attention.output.dense', f'{block}.attn.proj'))
    memory.append(rule(f'{layer}.attention.o_proj', f'{block}.attn.proj'))
    if traits.swiglu:
        hub += [rule(f'{layer}.mlp.weights_in', f'{block}.mlp.fc1'),
                rule(f'{layer}.mlp.weights_out', f'{block}.mlp.fc2')]
        memory += [rule((f'{layer}.mlp.gate_proj', f'{layer}.mlp.up_proj'), f'{block}.mlp.fc1'),
                   rule(f'{layer}.mlp.down_proj', f'{block}.mlp.fc2')]
    else:
        rules += [rule(f'{layer}.mlp.fc{n}', f'{block}.mlp.fc{n}') for n in _UNITS]
    return KeyTable([*rules, *(memory if in_memory else hub)],
                    [_mask_token(f'{embeddings}.mask_token')])


def _body(prefix: str, traits: Traits) -> list[Rule]:
    """An encoder under timm's names, but for DINOv2's gated MLP."""
    rules = []
    if traits.swiglu:
        rules += [rule(f'{prefix}.blocks.#.mlp.w12', 'encoder.body.blocks.#.mlp.fc1'),
                  rule(f'{prefix}.blocks.#.mlp.w3', 'encoder.body.blocks.#.mlp.fc2')]
    return rules + [rule(f'{prefix}.{name}', f'encoder.body.{name}') for name in (
        'cls_token', 'pos_embed', 'patch_embed', 'blocks', 'norm')]


def _scratch(prefix: str) -> Iterable[Rule]:
    """The 3x3 convolutions after Reassemble and the fusion, in the names of isl-org."""
    for level in _LEVELS:
        block = f'{prefix}.refinenet{level + 1}'
        yield rule(f'{prefix}.layer{level + 1}_rn', f'reduce.{level}')
        yield rule(f'{block}.out_conv', f'fusion.{level}.project')
        for unit in _UNITS:
            for n in _UNITS:
                ours = f'fusion.{level}.residual{unit}'
                yield rule(f'{block}.resConfUnit{unit}.conv{n}', f'{ours}.conv{n}')
                yield rule(f'{block}.resConfUnit{unit}.bn{n}', f'{ours}.norm{n}')


def _hf_neck() -> Iterable[Rule]:
    """The same as ``_scratch``, and Reassemble, in the names of Hugging Face."""
    stage = 'neck.reassemble_stage'
    for level in _LEVELS:
        layer = f'{stage}.layers.{level}'
        yield from _reassemble(level, f'{stage}.readout_projects.{level}.0',
                               f'{layer}.projection', f'{layer}.resize')
        # Their fusion counts from the coarsest.
        block = f'neck.fusion_stage.layers.{_LEVELS[-1] - level}'
        yield rule(f'neck.convs.{level}', f'reduce.{level}')
        yield rule(f'{block}.projection', f'fusion.{level}.project')
        for unit in _UNITS:
            for n in _UNITS:
                theirs = f'{block}.residual_layer{unit}'
                ours = f'fusion.{level}.residual{unit}'
                yield rule(f'{theirs}.convolution{n}', f'{ours}.conv{n}')
                yield rule(f'{theirs}.batch_norm{n}', f'{ours}.norm{n}')


def _hf_tokens(embeddings: str, norm: str) -> list[Rule]:
    return [rule(f'{embeddings}.cls_token', 'encoder.body.cls_token'),
            rule(f'{embeddings}.position_embeddings', 'encoder.body.pos_embed'),
            rule(norm, 'encoder.body.norm')]


def _qkv(layer: str, names: tuple[str, str, str]) -> list[Rule]:
    return [rule(tuple(f'{layer}.{name}' for name in names), 'encoder.body.blocks.#.attn.qkv')]


def _reassemble(level: int, read: str, project: str, resample: str) -> list[Rule]:
    ours = f'reassemble.{level}'
    return [rule(read, f'{ours}.read.project'), rule(project, f'{ours}.project'),
            rule(resample, f'{ours}.resample')]


def _output(head: str, aux: str, traits: Traits) -> list[Rule]:
    """The heads of DPT: numbered layers, their meaning depends on the task."""
    if not traits.segmentation:
        return [rule(f'{head}.{n}', f'depth_head.conv{n // 2 + 1}') for n in (0, 2, 4)]
    return [rule(f'{theirs}.{n}', f'{ours}.{name}')
            for theirs, ours in ((head, 'segmentation_head'), (aux, 'aux_head'))
            for n, name in ((0, 'conv'), (1, 'norm'), (4, 'classifier'))]


def _mask_token(key: str) -> Filler:
    """DINOv2's token for masked patches: pre-training only."""
    return Filler(key, lambda state: (1, _width(state)))


def _width(state: State) -> int:
    return state['encoder.body.cls_token'].shape[-1]
