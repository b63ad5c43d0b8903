"""OpenVINO on x86 CPUs: worth its place where the CPU is made for bfloat16 or int8."""

from __future__ import annotations

import platform
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino as ov

from dense_perception.inference.backends.base import (
    ANY_BATCH,
    BackendError,
    BackendOptions,
    Company,
    check_graph,
    cpu_has,
    inferences_on_cpu,
    input_shapes,
)
from dense_perception.inference.model_file import ModelFile

_VNNI = ('avx512_vnni', 'avx_vnni')
_HINTS = {'fp32': 'f32', 'tf32': 'f32', 'bf16': 'bf16'}


class OpenVinoBackend:
    """A model compiled for the CPU, twice where it is worth that (:class:`Company`).

    The precision is always said: left to itself, OpenVINO computes in bfloat16 where it can.

    :raises BackendError: this is no x86 CPU, it cannot compute in the precision asked for, an
        int8 file would overflow on it, or OpenVINO cannot compile the model.
    """

    max_batch = 1

    def __init__(self, model: ModelFile, options: BackendOptions | None = None) -> None:
        options = options or BackendOptions()
        hint = _HINTS.get(options.precision)
        if hint is None:
            raise BackendError(f'OpenVINO gains nothing from {options.precision} on a CPU; '
                               f'ask for one of {", ".join(_HINTS)}')
        if platform.machine() not in ('x86_64', 'AMD64'):
            raise BackendError('OpenVINO is of use on x86 only; this is '
                               f'{platform.machine()}')
        if model.quantised and not cpu_has(*_VNNI):
            raise BackendError('this CPU lacks VNNI, and without it OpenVINO adds the products of '
                               'int8 in 16 bits, which overflow: what it predicted would be '
                               'wrong; take the float32 model')
        core = ov.Core()
        if hint == 'bf16' and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            raise BackendError('this CPU does not compute in bfloat16')
        self.name = 'openvino' if hint == 'f32' else f'openvino {options.precision}'
        self.concurrency = inferences_on_cpu(model, options)
        inputs = input_shapes(model.card)
        try:
            graph = core.read_model(str(model.path))
            check_graph(model.path, model.card, {
                _name(port, inputs): tuple(d.get_length() if d.is_static else ANY_BATCH
                                           for d in port.get_partial_shape())
                for port in graph.inputs},
                [_name(port, model.card.outputs) for port in graph.outputs])
            # Left open, the batch axis costs two thirds more time; a batch gains nothing.
            graph.reshape({port: inputs[_name(port, inputs)] for port in graph.inputs})
            settings = {'INFERENCE_PRECISION_HINT': hint, 'PERFORMANCE_HINT': 'LATENCY',
                        'INFERENCE_NUM_THREADS': options.cpu_threads}
            with ThreadPoolExecutor(2) as pool:  # a second each, of one thread
                compiled = list(pool.map(
                    lambda streams: core.compile_model(graph, 'CPU', settings | {
                        'NUM_STREAMS': streams}), sorted({1, self.concurrency})))
        except BackendError:
            raise
        except RuntimeError as error:
            raise BackendError(f'OpenVINO {ov.__version__} cannot load {model.path}: '
                               f'{error}') from None
        self._alone = _requests(compiled[0], 1)
        self._beside = _requests(compiled[-1], self.concurrency)
        self._company = Company()
        self._outputs = [_name(port, model.card.outputs) for port in compiled[0].outputs]

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See :class:`Backend`."""
        with self._company.joined() as alone:
            requests = self._alone if alone else self._beside
            request = requests.get()  # one that no other inference uses
            try:
                results = request.infer(inputs, share_inputs=True)
            except RuntimeError as error:
                raise BackendError(f'OpenVINO failed on an image: {error}') from None
            finally:
                requests.put(request)
        return {name: results[index] for index, name in enumerate(self._outputs)}


def _requests(compiled: ov.CompiledModel, count: int) -> SimpleQueue[ov.InferRequest]:
    requests: SimpleQueue[ov.InferRequest] = SimpleQueue()
    for _ in range(count):
        requests.put(compiled.create_infer_request())
    return requests


def _name(port: Any, known: Collection[str]) -> str:
    """Name of a port: one that merged with another, such as a cast's input, has both names."""
    return next((name for name in port.get_names() if name in known), port.any_name)
