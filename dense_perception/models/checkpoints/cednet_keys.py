"""Key tables of public CEDNet checkpoints (FPN style, ConvNeXt blocks)."""

from __future__ import annotations

from collections.abc import Iterator

from dense_perception.models.checkpoints.keys import KeyTable, Rule, rule

CLASSIFIER = 'CEDNet'
MM_BACKBONE = 'CEDNet backbone (mmsegmentation, mmdetection)'

_FIRST_BLOCKS = 3  # of every public one; the layer after them leads to 1/8
_STAGES = 4  # the most that a public one has
_LEVELS = range(3)
_BLOCK = (('gamma', 'gamma'), ('pwconv1', 'mlp.fc1'), ('pwconv2', 'mlp.fc2'))
_NEXT = (*_BLOCK, ('dwconv', 'conv_dw'), ('norm', 'norm'))
_LONG_RANGE = (*_BLOCK, ('dwconv1', 'local'), ('dwconv2', 'dilated'))


def key_table(kind: str) -> KeyTable:
    """The table of one of the kinds above."""
    if kind == CLASSIFIER:
        heads = [rule(f'{theirs}.#', f'heads.#.{ours}') for theirs, ours in (
            ('final_layers', 'expand'), ('norms', 'norm'), ('heads', 'linear'))]
        return KeyTable([*_backbone('', 'backbone.'), *heads])
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
