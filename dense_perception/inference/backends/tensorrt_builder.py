"""Build an engine: every branch between generations of TensorRT is here, and asks for features.

Works for ``tensorrt`` 8.5 to 11 and for ``tensorrt_rtx``, whose module is a parameter. Since 10
networks are strongly typed: what computes in half precision is written into the network. Before,
a flag allows it, and single layers are held back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dense_perception.inference.backends.base import ANY_BATCH, BackendError, Progress

_PRODUCTS = ('CONVOLUTION', 'DECONVOLUTION', 'MATRIX_MULTIPLY', 'FULLY_CONNECTED')
"""Layers that compute in the lower precision. All others stay in fp32: sums over many values
(normalisation; global response normalisation, whose squares overflow), exponentials, geometry."""

GIVEN_UP = 'the build was given up'


@dataclass(frozen=True)
class BuildOptions:
    """What is built.

    ``precision``: one of ``base.PRECISIONS``. ``targets``: names of compute capabilities, such as
    SM86, that TensorRT for RTX builds for ahead of time; empty = the GPU of this machine.
    ``batch``: the most images that the engine is to take at once, if the model file takes any
    number; the engine is tuned for so many.
    """

    precision: str = 'fp32'
    targets: tuple[str, ...] = ()
    batch: int = 1


def build_engine(trt: Any, path: Path, options: BuildOptions,
                 progress: Progress = lambda share: True) -> bytes:
    """Parse a model file and build its engine.

    :param trt: the module ``tensorrt`` or ``tensorrt_rtx``. Without ``targets`` the caller has
        made sure that there is a GPU: some versions crash without one.
    :param progress: versions before 10 have no progress monitor and never call it.
    :raises BackendError: an operator is not supported (named with its layer), memory ran out,
        the version cannot do what the options ask for, or ``progress`` returned False.
    """
    log = make_log(trt)
    try:
        builder = trt.Builder(log)
    except TypeError:
        raise BackendError(f'{label(trt)} cannot start: {log.reason()}') from None
    network = _network(trt, builder)
    _parse(trt, network, path, log)
    config = builder.create_builder_config()
    _set_profile(builder, network, config, options.batch)
    keep_alive = _set_precision(trt, network, config, options.precision)
    _set_targets(trt, config, options.targets)
    monitor = _monitor(trt, progress)
    if monitor is not None:
        config.progress_monitor = monitor
    engine = builder.build_serialized_network(network, config)
    del keep_alive
    if engine is None:
        if monitor is not None and monitor.stopped:
            raise BackendError(GIVEN_UP)
        raise BackendError(f'{label(trt)} cannot build {path.name}: {log.reason()}')
    return bytes(engine)


def label(trt: Any) -> str:
    """Name and version of the library, for sentences."""
    product = 'TensorRT for RTX' if trt.__name__.startswith('tensorrt_rtx') else 'TensorRT'
    return f'{product} {trt.__version__}'


def make_log(trt: Any) -> Any:
    """A TensorRT logger that keeps errors: its functions return None without reasons."""
    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: object, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

        def reason(self) -> str:
            text = '; '.join(dict.fromkeys(self.errors)) or 'it gives no reason'
            out_of_memory = any(word in text.lower() for word in
                                ('outofmemory', 'out of memory', 'insufficient memory'))
            return ('the GPU is out of memory (close what else uses it): ' if out_of_memory
                    else '') + text

    return Log()


def _network(trt: Any, builder: Any) -> Any:
    flags = 0
    for name in ('EXPLICIT_BATCH', 'STRONGLY_TYPED'):
        flag = getattr(trt.NetworkDefinitionCreationFlag, name, None)
        flags |= 0 if flag is None else 1 << int(flag)
    return builder.create_network(flags)


def strongly_typed(trt: Any) -> bool:
    """True if the types in the network decide; False if flags of the builder do."""
    return (hasattr(trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED')
            or not hasattr(trt.BuilderFlag, 'FP16'))


def _parse(trt: Any, network: Any, path: Path, log: Any) -> None:
    parser = trt.OnnxParser(network, log)
    if parser.parse_from_file(str(path)):
        return
    reasons = [_reason(parser.get_error(index)) for index in range(parser.num_errors)]
    raise BackendError(f'{label(trt)} does not support {path.name}: '
                       f'{"; ".join(reasons) or log.reason()}')


def _reason(error: Any) -> str:
    """An error of the parser, with the operator and the layer where the version tells them."""
    where = f'node {error.node()}'
    if hasattr(error, 'node_operator') and error.node_operator():
        layer = error.node_name() or f'number {error.node()}'
        where = f'operator {error.node_operator()} in layer {layer}'
    return f'{where}: {error.desc()}'


def _set_precision(trt: Any, network: Any, config: Any, precision: str) -> object:
    """Make the network or the flags what ``precision`` says; what must outlive the build."""
    if precision == 'fp32' and hasattr(trt.BuilderFlag, 'TF32'):
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default, with 10 bits of mantissa
    if strongly_typed(trt):
        return _lower_products(trt, network, precision)
    if any(_kind(layer) == 'QUANTIZE' for layer in _layers(network)):
        config.set_flag(trt.BuilderFlag.INT8)
    if precision in ('fp16', 'bf16'):
        flag = getattr(trt.BuilderFlag, precision.upper(), None)
        if flag is None:
            raise BackendError(f'{label(trt)} cannot compute in {precision}')
        config.set_flag(flag)
        config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
        for layer in _layers(network):
            if _kind(layer) not in _PRODUCTS and layer.get_output(0).dtype == trt.float32:
                layer.precision = trt.float32
    return None


def _lower_products(trt: Any, network: Any, precision: str) -> object:
    """Casts around convolutions and matrix products; TensorRT fuses casts into its kernels."""
    if precision in ('fp32', 'tf32'):
        return None
    lower = trt.float16 if precision == 'fp16' else getattr(trt, 'bfloat16', None)
    if lower is None:
        raise BackendError(f'{label(trt)} cannot compute in {precision}')
    layers = list(_layers(network))
    quantised = {layer.get_output(0).name for layer in layers if _kind(layer) == 'DEQUANTIZE'}
    readers: dict[str, list[tuple[Any, int]]] = {}
    for layer in layers:
        for index, tensor in _inputs(layer):
            readers.setdefault(tensor.name, []).append((layer, index))
    # TensorRT for RTX 1.7 has no deconvolution in bfloat16, and says so only when it builds.
    lowered = set(_PRODUCTS) - ({'DECONVOLUTION'} if precision == 'bf16' else set())
    kept = []
    for layer in layers:
        output = layer.get_output(0)
        inputs = list(_inputs(layer))
        if (_kind(layer) not in lowered or output.dtype != trt.float32
                or output.is_network_output or quantised & {t.name for _, t in inputs}):
            continue
        kept.append(_lower_weights(trt, layer, lower))
        for index, tensor in inputs:
            layer.set_input(index, network.add_cast(tensor, lower).get_output(0))
        back = network.add_cast(output, trt.float32).get_output(0)
        for reader, index in readers.get(output.name, ()):
            reader.set_input(index, back)
    return kept


def _lower_weights(trt: Any, layer: Any, lower: Any) -> object:
    """Kernel and bias that are attributes of a layer must have the type of its input."""
    kept: list[np.ndarray] = []
    if _kind(layer) == 'MATRIX_MULTIPLY':
        return kept
    layer.__class__ = {'CONVOLUTION': trt.IConvolutionLayer,
                       'DECONVOLUTION': trt.IDeconvolutionLayer}[_kind(layer)]
    for name in ('kernel', 'bias'):
        values = getattr(layer, name)
        if isinstance(values, np.ndarray) and values.size:  # else a tensor, or none
            weights, array = _as(trt, values, lower)
            kept.append(array)
            setattr(layer, name, weights)
    return kept


def _as(trt: Any, values: np.ndarray, lower: Any) -> tuple[Any, np.ndarray]:
    if lower == trt.float16:
        array = np.ascontiguousarray(values, np.float16)
    else:  # bfloat16: the upper half of a float32, rounded to nearest
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        array = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return trt.Weights(lower, array.ctypes.data, array.size), array


def _set_profile(builder: Any, network: Any, config: Any, batch: int) -> None:
    """Say how many images come at once, where the network leaves it open."""
    profile = None
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        rest = tuple(tensor.shape)[1:]
        if tensor.shape[0] == ANY_BATCH:
            profile = profile or builder.create_optimization_profile()
            profile.set_shape(tensor.name, (1, *rest), (batch, *rest), (batch, *rest))
    if profile is not None:
        config.add_optimization_profile(profile)


def _set_targets(trt: Any, config: Any, targets: tuple[str, ...]) -> None:
    if not targets:
        return
    known = getattr(trt, 'ComputeCapability', None)
    if known is None or not hasattr(config, 'set_compute_capability'):
        raise BackendError(f'{label(trt)} builds for the GPU of this machine only; TensorRT for '
                           'RTX builds for others')
    names = [name for name in dir(known) if name.startswith('SM')]
    for target in targets:
        if target not in names:
            raise BackendError(f'{label(trt)} does not build for "{target}"; choose from '
                               f'{", ".join(names)}')
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        config.set_compute_capability(getattr(known, target), index)


def _layers(network: Any) -> Iterator[Any]:
    return (network.get_layer(index) for index in range(network.num_layers))


def _inputs(layer: Any) -> Iterator[tuple[int, Any]]:
    for index in range(layer.num_inputs):
        tensor = layer.get_input(index)
        if tensor is not None:
            yield index, tensor


def _kind(layer: Any) -> str:
    return str(layer.type).rpartition('.')[2]


def _monitor(trt: Any, progress: Progress) -> Any:
    """A progress monitor, where the version has them: phases are nested, steps count."""
    if not hasattr(trt, 'IProgressMonitor'):
        return None

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stopped = False
            self._phases: dict[str, list] = {}  # name -> [parent, steps, steps done]
            self._share = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = [parent_phase, max(num_steps, 1), 0]

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._phases:
                self._phases[phase_name][2] = step + 1
                # Phases of one parent may overlap; what is shown only grows.
                self._share = max(self._share, min(self._done(phase_name), 1.0))
            # Exceptions must not pass through TensorRT.
            self.stopped = self.stopped or not progress(self._share)
            return not self.stopped

        def _done(self, name: str) -> float:
            parent, steps, done = self._phases[name]
            share = done / steps
            if parent not in self._phases:
                return share
            return self._done(parent) + min(share, 1) / self._phases[parent][1]

    return Monitor()
