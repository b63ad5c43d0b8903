"""A model file back to weights that can be trained on: what :mod:`onnx_export` does, undone.

The file is all that a robot keeps of a model, and all that need be kept of it: whoever has it can
go on training with images of their own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from dense_perception.export.graph import DeployGraph
from dense_perception.export.onnx_export import HALF
from dense_perception.export.parity import TOLERANCES, ExportError, check_parity
from dense_perception.export.weights import WeightsError
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import ModelFile
from dense_perception.models import create_model
from dense_perception.models.complexity import input_channels

_PREFIX = 'model.'  # the model's place in DeployGraph
_LAST_OF_BLOCK = 'mlp.fc2.weight'  # of a ConvNeXt block, before its layer scale
_MERGED = '_bias'  # the exporter's suffix of a bias that a batch norm left in the convolution


@dataclass(frozen=True)
class Reopened:
    """A model with the weights of a model file, in evaluation mode.

    ``norms``: batch norm -> the convolution it was merged into, by name. Such a norm does nothing
    but add a bias until somebody measures what reaches it: before training, see
    ``dense_perception_training.norms.spread_norms``.
    """

    model: nn.Module
    card: ModelCard
    norms: dict[str, str]


def reopen(name_or_path: str | Path) -> Reopened:
    """Build the variant of a file's card, with the file's weights.

    :raises ModelFileError: there is no such model file.
    :raises WeightsError: the file does not hold the weights as they are trained: of networks with
        attention the export keeps products of matrices only, and int8 files have other weights.
    """
    file = ModelFile.open(name_or_path)
    try:
        model = create_model(file.card.variant, **file.card.options).eval()
    except (TypeError, ValueError) as error:
        raise WeightsError(f'{file.path}: {error}') from None
    state = _initialisers(file.path)
    if hasattr(model, 'unfolded'):
        state = model.unfolded(state)
    norms = {norm: conv for norm, conv in _norms_after(model, file.card).items()
             if f'{norm}.weight' not in state}
    for norm, conv in norms.items():
        # A convolution with a bias of its own keeps the merged one there.
        bias = state.get(f'{conv}.weight{_MERGED}')
        state.update(_identity(model.get_submodule(norm), bias, norm))
    wanted = model.state_dict()
    lacking = [k for k, v in wanted.items() if not k.endswith('num_batches_tracked')
               and (k not in state or state[k].shape != v.shape)]
    if lacking:
        raise WeightsError(
            f'{file.path} does not hold {lacking[0]}'
            + (f' and {len(lacking) - 1} more' if len(lacking) > 1 else '')
            + f' of {file.card.variant} as it is trained; start from the folder that the file was '
              'exported from')
    model.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=False)
    _require_same(model, file)
    return Reopened(model, file.card, norms)


def _initialisers(path: Path) -> dict[str, torch.Tensor]:
    """Name in the model -> float32 values of all weights that a file holds."""
    graph = onnx.load(path).graph
    held = {t.name.removesuffix(HALF): torch.from_numpy(numpy_helper.to_array(t).copy()).float()
            for t in graph.initializer}
    convs = {node.output[0]: node for node in graph.node if node.op_type == 'Conv'}
    for node in graph.node:
        if node.op_type == 'BatchNormalization':
            # Norms that read one map have the same statistics, of which the exporter keeps one.
            norm = node.input[1].removesuffix('.weight')
            for role, name in zip(('running_mean', 'running_var'), node.input[3:5], strict=True):
                held[f'{norm}.{role}'] = held[name]
        elif node.op_type == 'Mul':
            # The layer scale of a ConvNeXt block, whose view has no name.
            values, scale = node.input
            weight = convs[values].input[1] if values in convs else ''
            if scale in held and weight.endswith(_LAST_OF_BLOCK):
                held[weight.removesuffix(_LAST_OF_BLOCK) + 'gamma'] = held[scale].flatten()
    return {name.removeprefix(_PREFIX): value for name, value in held.items()}


def _norms_after(model: nn.Module, card: ModelCard) -> dict[str, str]:
    """Batch norm -> the convolution whose output it reads, by name."""
    maker: dict[int, str] = {}
    found: dict[str, str] = {}
    kept = []  # tensors of one pass, so that no address is used twice

    def note_output(name: str, output: torch.Tensor) -> None:
        maker[id(output)] = name
        kept.append(output)

    def note_input(name: str, value: torch.Tensor) -> None:
        if id(value) in maker:
            found[name] = maker[id(value)]

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(
                lambda _, __, output, name=name: note_output(name, output)))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(
                lambda _, inputs, name=name: note_input(name, inputs[0])))
    with torch.no_grad():
        model(torch.zeros(1, input_channels(model), *card.input_size))
    for hook in hooks:
        hook.remove()
    return found


def _identity(norm: nn.Module, bias: torch.Tensor | None, name: str) -> dict[str, torch.Tensor]:
    """State of a batch norm that adds a bias, or nothing, and does nothing else."""
    assert isinstance(norm, nn.BatchNorm2d)
    zeros = torch.zeros(norm.num_features)
    return {f'{name}.weight': torch.ones_like(zeros),
            f'{name}.bias': zeros if bias is None else bias,
            f'{name}.running_mean': zeros,
            f'{name}.running_var': torch.full_like(zeros, 1 - norm.eps)}


def _require_same(model: nn.Module, file: ModelFile) -> None:
    folded = copy.deepcopy(model)
    if hasattr(folded, 'fold_for_inference'):
        folded.fold_for_inference(*file.card.input_size)
    try:
        # Of a file with halved weights too: the network has those very weights now.
        check_parity(DeployGraph(folded, file.card).eval(), file.path, TOLERANCES[False])
    except ExportError as error:
        raise WeightsError(f'{file.path} cannot be trained on: {error}') from None
