"""Key tables of public CEDNet checkpoints (FPN style, ConvNeXt blocks)."""

from __future__ import annotations

from collections.abc import Iterator

from dense_perception.models.checkpoints.keys import KeyTable, Rule, rule

CLASSIFIER = 'CEDNet'
UPERNET = 'CEDNet UPerNet (mmsegmentation)'
MM_BACKBONE = 'CEDNet backbone (mmsegmentation, mmdetection)'

_FIRST_BLOCKS = 3  # of every public one; the layer after them leads to 1/8
_STAGES = 4  # the most that a public one has
_LEVELS = range(3)
_BLOCK = (('gamma', 'gamma'), ('pwconv1', 'mlp.fc1'), ('pwconv2', 'mlp.fc2'))
_NEXT = (*_BLOCK, ('dwconv', 'conv_dw'), ('norm', 'norm'))
_CONV_NORM = (('conv', 'conv'), ('bn', 'norm'))
_LONG_RANGE = (*_BLOCK, ('dwconv1', 'local'), ('dwconv2', 'dilated'))


def key_table(kind: str) -> KeyTable:
    """The table of one of the kinds above."""
    if kind == CLASSIFIER:
        heads = [rule(f'{theirs}.#', f'heads.#.{ours}') for theirs, ours in (
            ('final_layers', 'expand'), ('norms', 'norm'), ('heads', 'linear'))]
        return KeyTable([*_backbone('', 'backbone.'), *heads])
    if kind == UPERNET:
        return KeyTable([*_backbone('backbone.', 'encoder.body.'), *_upernet()])
    return backbone_table('backbone.', 'backbone.')


def backbone_table(theirs: str, ours: str) -> KeyTable:
    """The backbone alone, with these prefixes."""
    return KeyTable(_backbone(theirs, ours))


def _backbone(theirs: str, ours: str) -> Iterator[Rule]:
    yield rule(f'{theirs}stem', f'{ours}stem')
    yield from _blocks(f'{theirs}stages.0.#', f'{ours}blocks.#', _NEXT)
    yield rule(f'{theirs}stages.0.{_FIRST_BLOCKS}', f'{ours}down')
    for stage in range(_STAGES):
        # Theirs count what comes before the first stage as one.
        encoder, layers = f'{theirs}stages.{stage + 1}.0', f'{ours}stages.{stage}.layers'
        for level in _LEVELS:
            yield from _blocks(f'{encoder}.encoder.{level}.#', f'{layers}.{level}.blocks.#',
                               _LONG_RANGE if level == _LEVELS[-1] else _NEXT)
            if level:
                yield rule(f'{encoder}.encoder_downsample.{level - 1}', f'{layers}.{level}.down')
        decoder = f'{ours}stages.{stage}.decoder'
        yield rule(f'{theirs}stages.{stage + 1}.1.decoder_upsample.#.0', f'{decoder}.project.#')
        yield rule(f'{theirs}stages.{stage + 1}.1.decoder_norm.#', f'{decoder}.norm.#')


def _blocks(theirs: str, ours: str, names: tuple[tuple[str, str], ...]) -> Iterator[Rule]:
    for their_name, our_name in names:
        yield rule(f'{theirs}.{their_name}', f'{ours}.{our_name}')


def _upernet() -> Iterator[Rule]:
    """Mmsegmentation's names of UPerNet and of its auxiliary head."""
    for theirs, ours in (('psp_modules.#.1', 'pooling.branches.#'), ('bottleneck', 'pooling.fuse'),
                         ('lateral_convs.#', 'laterals.#'), ('fpn_convs.#', 'smooth.#'),
                         ('fpn_bottleneck', 'fuse')):
        yield from _blocks(f'decode_head.{theirs}', f'head.{ours}', _CONV_NORM)
    yield rule('decode_head.conv_seg', 'predict.linear')
    yield from _blocks('auxiliary_head.convs.0', 'aux_head.conv', _CONV_NORM)
    yield rule('auxiliary_head.conv_seg', 'aux_head.linear')
