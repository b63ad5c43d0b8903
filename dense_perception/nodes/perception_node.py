"""The perception node: its life cycle, its services and what it says about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.task import Future
from std_srvs.srv import SetBool

from dense_perception.inference.backends import (
    BACKENDS,
    PRECISIONS,
    Backend,
    BackendError,
    BackendOptions,
)
from dense_perception.inference.batches import Frame
from dense_perception.inference.engines import Engines
from dense_perception.inference.model_file import ModelFileError
from dense_perception.inference.predictor import Predictor
from dense_perception.nodes.engine_builds import EngineBuilds
from dense_perception.ros import camera, cloud_settings, metres, single
from dense_perception.ros.background import in_background, result_of
from dense_perception.ros.conditions import Conditions, Level
from dense_perception.ros.diagnostics import Diagnostics, logger_of
from dense_perception.ros.executable import FatalError
from dense_perception.ros.managed import ManagedNode
from dense_perception.ros.parameters import Declaration, Parameters
from dense_perception.ros.statistics import Statistics
from dense_perception.ros.stream import Arrival, Stream
from dense_perception.ros.worker import MOST_INFERENCES, Worker
from dense_perception_msgs.srv import LoadModel, Predict

PARAMETERS = (
    Declaration('autostart', True, 'Configure and activate at the start; false leaves that to a '
                'lifecycle manager.', fixed=True),
    Declaration('model', 'xnet_small', 'Name of a shipped model or path of a model file; the '
                'service load_model changes it.'),
    Declaration('backend', 'auto', 'Runtime that runs the model.', choices=('auto', *BACKENDS)),
    Declaration('precision', 'fp32', 'Least precise arithmetic that the backend may use.',
                choices=PRECISIONS),
    Declaration('threads', 0, 'CPU threads of the backend; 0 = one per core this process may use.',
                minimum=0, maximum=1024),
    Declaration('inferences', 0, 'Frames that may be in inference at the same time on a CPU; '
                '0 = 2 of a small model, else 1.', minimum=0,
                maximum=MOST_INFERENCES),
    Declaration('spin_us', 0, 'Microseconds for which threads of onnxruntime-cpu stay awake when '
                'they have nothing to do within an inference.', minimum=0, maximum=10000),
    Declaration('input_transport', 'raw', 'raw subscribes to image, compressed to '
                'image/compressed (JPEG or PNG).', choices=('raw', 'compressed')),
    *camera.PARAMETERS,
    Declaration('output_size', 'model', 'Size of depth, masks and cloud: model = that of the '
                'network, camera = that of the image (nearest neighbour).',
                choices=('model', 'camera')),
    *cloud_settings.PARAMETERS,
    *metres.PARAMETERS)

# Parameters under the same names.
_BACKEND_OPTIONS = ('threads', 'inferences', 'spin_us', 'precision')
_CAUSE = 'configure'


class PerceptionNode:
    """See docs/nodes.md for topics, services, parameters and diagnostics.

    :param engines: loaded models that it shares with other nodes of the process.
    :param worker: thread that it shares with them.
    :param siblings: names of parameters that are other nodes' of the process.
    :param options: of rclpy's Node.
    :raises FatalError: a parameter or, with ``autostart``, the model file cannot be used.
    """

    def __init__(self, engines: Engines | None = None, worker: Worker | None = None,
                 siblings: Sequence[str] = (), **options: Any) -> None:
        self.node = ManagedNode('perception', self, self._failed, **options)
        self.nodes = (self.node,)
        self.finished = Future()
        self._siblings = siblings
        self._stream: Stream | None = None
        self._parameters = Parameters(self.node, PARAMETERS, self._lock_of)
        self._parameters.demand(cloud_settings.contradiction)
        self._parameters.demand(self._unsuited)
        self._conditions = Conditions(logger_of(self.node))
        self._engines = engines or Engines()
        self._worker = worker or Worker()
        self._mailbox = self._worker.join(self._handle, self._engine)
        self._statistics = Statistics(lambda: self._mailbox.replaced)
        self._enabled = True
        self._diagnostics = Diagnostics(self.node, self._conditions, self._describe)
        self._create_services()
        self._builds = EngineBuilds(self.node, self._parameters, lambda: (
            self._stream and self._stream.predictor), self._worker, self._engines.batch)
        self._say_unknown()
        if self._parameters['autostart']:
            self._start()

    def _start(self) -> None:
        try:
            self.node.start()
        except FatalError:
            # Left to the end of the interpreter it would outlive what it was made of.
            self.close()
            self.node.destroy_node()
            raise

    def configure(self) -> None:
        """Load the model and create the topics; see ``Managed``."""
        predictor = self._load(self._parameters['model'], self._parameters['backend'])
        self._stream = Stream(self.node, self._parameters, predictor, self._mailbox,
                              self._statistics, self._conditions)
        self._say_unknown(of_topics=True)

    def activate(self) -> None:
        """Begin to work, unless the service ``enable`` has paused it."""
        assert self._stream is not None
        if self._enabled:
            self._stream.open()
        self._say_model(self._stream)

    def deactivate(self) -> None:
        """Stop to work."""
        if self._stream is not None:
            self._stream.close()
        self._conditions.clear_all()

    def cleanup(self) -> None:
        """Withdraw the topics and give up the model."""
        if self._stream is not None:
            self._stream.destroy()
            self._stream = None
        self._conditions.clear_all()

    def close(self) -> None:
        """Stop the worker thread, and a build of an engine."""
        self._builds.close()
        self._worker.close()

    def _load(self, model: str, backend: str) -> Predictor:
        try:
            predictor = self._engines.predictor(
                model, backend,
                BackendOptions(**{name: self._parameters[name] for name in _BACKEND_OPTIONS}),
                self.node.get_logger().info)
        except (ModelFileError, BackendError) as error:
            raise FatalError(str(error)) from None
        if problem := cloud_settings.unsuited(predictor.card, self._parameters):
            raise FatalError(f'parameter {problem}')
        return predictor

    def _engine(self) -> Backend | None:
        return self._stream and self._stream.predictor.engine

    def _handle(self, arrival: Arrival) -> Frame[None]:
        stream = self._stream
        if stream is None:
            self._statistics.discarded()
            return
        try:
            yield from stream.handle(arrival)
        except Exception as error:
            # After a stop signal publishing fails at any point, and nobody is interested.
            if self.node.context.ok() and not self.finished.done():
                self.finished.set_exception(error)

    def _create_services(self) -> None:
        def create(kind: type, name: str, answer: Any) -> None:
            # A group of its own: a coroutine that waits would stop the others of its group.
            self.node.create_service(kind, f'~/{name}', answer,
                                     callback_group=MutuallyExclusiveCallbackGroup())

        create(SetBool, 'enable', self._on_enable)
        create(LoadModel, 'load_model', self._on_load_model)
        create(Predict, 'predict', self._on_predict)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        active = self._stream if self.node.state == 'active' else None
        if active is not None:
            (active.open if self._enabled else active.close)()
        response.success = True
        response.message = f'{"enabled" if self._enabled else "paused"}; the node is ' \
                           f'{self.node.state}'
        return response

    async def _on_load_model(self, request: LoadModel.Request,
                             response: LoadModel.Response) -> LoadModel.Response:
        stream, backend = self._stream, request.backend or self._parameters['backend']
        if stream is None:
            response.message = f'the node is {self.node.state}: set the parameter model and ' \
                               'configure it'
            return response
        try:
            predictor = await result_of(in_background(
                lambda: self._load(request.model, backend)))
            if self._stream is not stream:
                raise FatalError('the node was cleaned up while the model was loading')
            stream.serve(predictor)
            self._parameters.update(model=request.model, backend=backend)
        except FatalError as error:
            response.message = f'{error}; {self._serving()}'
            self.node.get_logger().error(f'load_model: {response.message}')
            return response
        response.success, response.message = True, self._serving()
        self._say_model(stream)
        return response

    async def _on_predict(self, request: Predict.Request,
                          response: Predict.Response) -> Predict.Response:
        stream = self._stream
        if stream is None or self.node.state != 'active':
            response.message = f'the node is {self.node.state}, it must be active'
            return response
        return await result_of(self._worker.submit(lambda: single.predict(
            request, response, stream.predictor, self._parameters, stream.metres, stream.topic)))

    def _describe(self) -> tuple[str, Mapping[str, str]]:
        self._check_graph()
        stream = self._stream
        values = {'state': self.node.state, 'enabled': str(self._enabled).lower()}
        fine = self.node.state
        if stream is not None:
            predictor = stream.predictor
            values |= {
                'model': predictor.card.name, 'model_sha256': predictor.model.sha256,
                'backend': predictor.backend,
                'max_batch': str(predictor.engine.max_batch),
                'inferences': str(predictor.engine.concurrency),
                'backend_state': predictor.backend_state,
                'backend_skipped': '; '.join(
                    f'{name}: {why}' for name, why in predictor.skipped.items()),
                **stream.describe()}
        if self.node.state == 'active':
            fine = 'paused by the service enable' if not self._enabled else (
                'running' if stream and stream.listening
                else 'idle: nobody subscribes to an output')
        return fine, values | self._statistics.describe()

    def _check_graph(self) -> None:
        mine = self.node.get_name(), self.node.get_namespace()
        twins = self.node.get_node_names_and_namespaces().count(mine)
        self._say('name', twins > 1 and (
            f'{twins} nodes are called {self.node.get_fully_qualified_name()}: their services '
            'and parameters get mixed; give each a name or namespace of its own'))
        clock = self.node.get_clock()
        self._say('clock', clock.ros_time_is_active and not clock.now().nanoseconds and (
            'use_sim_time is true, but no time comes on /clock'))

    def _lock_of(self, name: str) -> str | None:
        if self.node.state == 'unconfigured':
            return None
        way = ('the service load_model changes it' if name in ('model', 'backend')
               else 'clean the node up first, or start it anew')
        return f'{name} cannot change while the node is {self.node.state}: {way}'

    def _unsuited(self, values: Mapping[str, Any]) -> str | None:
        return self._stream and cloud_settings.unsuited(self._stream.predictor.card, values)

    def _failed(self, reason: str) -> None:
        self._say(_CAUSE, reason and f'not configured: {reason}', Level.ERROR)

    def _serving(self) -> str:
        stream = self._stream
        return stream and f'model {stream.predictor.card.name} on {stream.predictor.backend} ' \
            'serves' or 'no model serves'

    def _say_model(self, stream: Stream) -> None:
        self.node.get_logger().info(
            f'model {stream.predictor.card.name} on {stream.predictor.backend}, images from '
            f'{stream.topic}')

    def _say_unknown(self, of_topics: bool = False) -> None:
        """Warn of given parameters that nothing declares; those of topics come with the topics."""
        for name, sentence in self._parameters.unknown(self._siblings).items():
            if name.startswith('qos_overrides.') == of_topics:
                self.node.get_logger().warning(sentence)

    def _say(self, condition: str, sentence: str | bool, level: Level = Level.WARN) -> None:
        if sentence:
            self._conditions.raise_(condition, level, str(sentence))
        else:
            self._conditions.clear(condition)
