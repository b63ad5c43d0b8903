"""Outputs of inner modules, kept while a network runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def tapping(modules: Mapping[str, nn.Module], part: int) -> Iterator[dict[str, torch.Tensor]]:
    """Outputs of modules by name, filled in while the context is open.

    :param part: which one of modules that give several.
    """
    maps: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            maps[name] = output[part] if isinstance(output, tuple) else output
        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()
