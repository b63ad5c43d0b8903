"""A deeper network that begins as the function a shallower one has learnt."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

from timm.models.convnext import ConvNeXtBlock
from torch import nn


def begin_as_identity(model: nn.Module, missing: Collection[str]) -> list[str]:
    """Let ConvNeXt blocks that weights lacked add nothing, and otherwise copy the block before.

    Chen et al., "Net2Net" (ICLR 2016) grow networks by identities, Gong et al., "Efficient
    training of BERT by progressively stacking" (ICML 2019) by copies. Only the last layer of a
    block is zeroed, so that its gradient is not, nor from the second step on the others'.

    :param missing: names of the parameters that were not loaded.
    :returns: names of the blocks that were missing as a whole and follow one of their stage that
        was not. Stages that were missing as a whole are left as they are.
    """
    missing, grown = set(missing), []

    def absent(name: str, block: nn.Module) -> bool:
        return missing.issuperset(f'{name}.{key}' for key, _ in block.named_parameters())

    for stage, blocks in model.named_modules():
        if not isinstance(blocks, nn.Sequential):
            continue
        for index, (before, block) in enumerate(pairwise(blocks), start=1):
            name, its_name = f'{stage}.{index}', f'{stage}.{index - 1}'
            if (isinstance(before, ConvNeXtBlock) and isinstance(block, ConvNeXtBlock)
                    and absent(name, block)
                    and (its_name in grown or not absent(its_name, before))):
                block.load_state_dict(before.state_dict())
                for parameter in block.mlp.fc2.parameters():
                    nn.init.zeros_(parameter)
                grown.append(name)
    return grown
