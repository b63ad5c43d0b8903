"""What the backend's source names of TensorRT's Python API, and whether a version has it.

Read from the source, so that nothing that is added can be forgotten here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from helpers.source_tree import PACKAGE

FILES = [PACKAGE / 'inference' / 'backends' / name
         for name in ('tensorrt.py', 'tensorrt_builder.py', 'tensorrt_execution.py')]

CLASSES = {
    'builder': 'Builder', 'network': 'INetworkDefinition', 'config': 'IBuilderConfig',
    'parser': 'OnnxParser', 'error': 'ParserError', 'layer': 'ILayer', 'reader': 'ILayer',
    'tensor': 'ITensor', 'output': 'ITensor', 'self._runtime': 'Runtime',
    'profile': 'IOptimizationProfile', 'engine': 'ICudaEngine', 'self._engine': 'ICudaEngine',
    'self._context': 'IExecutionContext'}
"""Variable of the source -> class of the API."""

_NOT_OURS = {'trt': {'__name__', '__version__'}, 'layer': {'__class__'},
             'trt.__name__': {'startswith'}, 'trt.__version__': {'split'}}

_BY_NAME = {
    'NetworkDefinitionCreationFlag': ('EXPLICIT_BATCH', 'STRONGLY_TYPED'),
    'BuilderFlag': ('FP16', 'BF16'),
    'LayerType': ('CONVOLUTION', 'DECONVOLUTION', 'MATRIX_MULTIPLY', 'QUANTIZE', 'DEQUANTIZE'),
    'DataType': ('FLOAT', 'HALF', 'UINT8', 'INT8', 'INT32', 'BOOL'),
    'IConvolutionLayer': ('kernel', 'bias'), 'IDeconvolutionLayer': ('kernel', 'bias')}
"""What the source names in strings, for getattr and setattr and to compare with."""


def named() -> set[str]:
    """Attributes as ``Class.attribute`` or ``name``, of all that the source names."""
    found = {f'{owner}.{name}' for owner, names in _BY_NAME.items() for name in names}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            owner = ast.unparse(node.value)
            if node.attr in _NOT_OURS.get(owner, ()):
                continue
            if owner == 'trt' or owner.startswith('trt.'):
                found.add(ast.unparse(node).removeprefix('trt.'))
            elif owner in CLASSES:
                found.add(f'{CLASSES[owner]}.{node.attr}')
    return found


def _has(trt: Any, path: str) -> bool:
    for name in path.split('.'):
        if not hasattr(trt, name):
            return False
        trt = getattr(trt, name)
    return True


def _typed(trt: Any) -> bool:
    from dense_perception.inference.backends.tensorrt_builder import strongly_typed
    return strongly_typed(trt)


def _itself(path: str) -> Callable[[Any], bool]:
    return lambda trt: _has(trt, path)


REACHED: dict[str, Callable[[Any], bool]] = {
    # Asked for by hasattr or getattr with a default: used only where it is.
    **{path: _itself(path) for path in (
        'BuilderFlag.FP16', 'BuilderFlag.BF16', 'BuilderFlag.TF32', 'IProgressMonitor',
        'NetworkDefinitionCreationFlag.EXPLICIT_BATCH', 'ParserError.node_operator',
        'NetworkDefinitionCreationFlag.STRONGLY_TYPED',
        'IBuilderConfig.set_compute_capability')},
    'IProgressMonitor.__init__': _itself('IProgressMonitor'),
    'IBuilderConfig.progress_monitor': _itself('IProgressMonitor'),
    'ParserError.node_name': _itself('ParserError.node_operator'),
    'IBuilderConfig.num_compute_capabilities': _itself('IBuilderConfig.set_compute_capability'),
    # Flags decide what is computed in half precision, or the types in the network.
    **{path: lambda trt: not _typed(trt) for path in (
        'BuilderFlag.INT8', 'BuilderFlag.PREFER_PRECISION_CONSTRAINTS', 'ILayer.precision')},
    **dict.fromkeys((
        'INetworkDefinition.add_cast', 'ILayer.set_input', 'Weights', 'IConvolutionLayer',
        'IDeconvolutionLayer', 'IConvolutionLayer.kernel', 'IConvolutionLayer.bias',
        'IDeconvolutionLayer.kernel', 'IDeconvolutionLayer.bias'), _typed),
}
"""Attribute -> whether the code comes to it with a module; all others it always comes to."""


def reached(trt: Any) -> set[str]:
    """Attributes that the code comes to with this module."""
    return {path for path in named() if REACHED.get(path, lambda trt: True)(trt)}


def missing(trt: Any) -> list[str]:
    """Of these, what the module does not have."""
    return sorted(path for path in reached(trt) if not _has(trt, path))
