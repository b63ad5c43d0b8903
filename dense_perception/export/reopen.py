"""A model file back to weights that can be trained on: what :mod:`onnx_export` does, undone.

The file is all that a robot keeps of a model, and all that need be kept of it: whoever has it can
go on training with images of their own.
"""

from __future__ import annotations

import copy
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from dense_perception.export.graph import DeployGraph
from dense_perception.export.merged_norms import NORMS_KEY, State, norms_after, separate, unpacked
from dense_perception.export.onnx_export import HALF
from dense_perception.export.parity import TOLERANCES, ExportError, check_parity
from dense_perception.export.weights import WeightsError, load_weights
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import ModelFile, names_file
from dense_perception.models import create_model

_PREFIX = 'model.'  # the model's place in DeployGraph
_LAST_OF_BLOCK = 'mlp.fc2.weight'  # of a ConvNeXt block, before its layer scale
_MERGED = '_bias'  # the exporter's suffix of a bias that a batch norm left in the convolution


def open_weights(folder_or_file: str | Path) -> tuple[nn.Module, ModelCard]:
    """The model and the card of a folder of weights, or of a model file.

    :raises ModelFileError: the model file cannot be read.
    :raises WeightsError: it, or the folder, holds no weights to train on.
    """
    return (reopen(folder_or_file) if names_file(folder_or_file)
            else load_weights(Path(folder_or_file)))


def reopen(name_or_path: str | Path) -> tuple[nn.Module, ModelCard]:
    """Build the variant of a file's card, with the file's weights as they were trained.

    :raises ModelFileError: there is no such model file.
    :raises WeightsError: the file does not hold the weights as they are trained: of networks with
        attention the export keeps products of matrices only, and int8 files have other weights.
    """
    file = ModelFile.open(name_or_path)
    try:
        model = create_model(file.card.variant, **file.card.options).eval()
        state = _state(file, model)
    except (TypeError, ValueError) as error:
        raise WeightsError(f'{file.path}: {error}') from None
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
    return model, file.card


def _state(file: ModelFile, model: nn.Module) -> State:
    """What a file holds of a model's state; merged norms are taken out of the convolutions."""
    proto = onnx.load(file.path)
    state = _initialisers(proto.graph)
    if hasattr(model, 'unfolded'):
        state = model.unfolded(state)
    kept = {p.key: p.value for p in proto.metadata_props}.get(NORMS_KEY)
    if kept is None:
        return state
    norms = unpacked(kept)
    merged = {norm: conv for norm, conv in norms_after(model, file.card.input_size).items()
              if f'{norm}.weight' not in state and f'{norm}.weight' in norms}
    for norm, conv in merged.items():
        state.update({k: v for k, v in norms.items() if k.rpartition('.')[0] == norm})
        # A convolution with a bias of its own keeps the merged one there.
        bias = state.get(f'{conv}.weight{_MERGED}', state.get(f'{conv}.bias'))
        separate(state, norm, conv, bias, model.get_submodule(norm).eps)
    return state


def _initialisers(graph: onnx.GraphProto) -> State:
    """Name in the model -> float32 values of all weights that a file holds."""
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


def _require_same(model: nn.Module, file: ModelFile) -> None:
    folded = copy.deepcopy(model)
    if hasattr(folded, 'fold_for_inference'):
        folded.fold_for_inference(*file.card.input_size)
    try:
        # Of a file with halved weights too: the network has those very weights now.
        check_parity(DeployGraph(folded, file.card).eval(), file.path, TOLERANCES[False])
    except ExportError as error:
        raise WeightsError(f'{file.path} cannot be trained on: {error}') from None
