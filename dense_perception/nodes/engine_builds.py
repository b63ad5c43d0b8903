"""The action ``build_engine``: an engine is built and compared while the node serves."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimedOut
from typing import Any

from rclpy.action.server import ServerGoalHandle

from dense_perception.inference import engine_build
from dense_perception.inference.agreement import Agreement, Limits
from dense_perception.inference.backends import (
    Backend,
    BackendError,
    BackendOptions,
    open_backend,
)
from dense_perception.inference.backends.tensorrt_builder import GIVEN_UP
from dense_perception.inference.engine_build import Built, Order, Report
from dense_perception.inference.model_file import ModelFile, ModelFileError
from dense_perception.inference.predictor import Predictor
from dense_perception.ros.background_action import BackgroundAction
from dense_perception.ros.managed import ManagedNode
from dense_perception.ros.parameters import Parameters
from dense_perception.ros.worker import Worker
from dense_perception.sources.base import SourceError
from dense_perception.sources.opening import open_source
from dense_perception.sources.sampling import spread
from dense_perception_msgs.action import BuildEngine

_SAMPLES = 16
_PATIENCE_S = 10.0


class EngineBuilds:
    """Serves the action; see docs/nodes.md.

    :param serving: the predictor in use, or None.
    :param worker: whose thread predicts.
    :param batch: the most images that an engine is to take at once.
    """

    def __init__(self, node: ManagedNode, parameters: Parameters,
                 serving: Callable[[], Predictor | None], worker: Worker, batch: int) -> None:
        self._node, self._parameters, self._batch = node, parameters, batch
        self._serving, self._worker = serving, worker
        self._closed = False
        self._server = BackgroundAction(node, BuildEngine, '~/build_engine', self._work,
                                        self._conclude)

    def close(self) -> None:
        """Give up a build, and wait for its end."""
        self._closed = True
        self._server.close(_PATIENCE_S)

    def _work(self, goal: ServerGoalHandle) -> BuildEngine.Result:
        """:raises BackendError: there is no engine; the message says why."""
        request = goal.request
        served = self._serving()
        try:
            order = self._order(request, served)
            built = engine_build.build(
                order, self._reporter(goal), lambda backend, report: _compare(
                    order.model, backend, self._parameters['threads'], report))
        except (ModelFileError, SourceError) as error:
            raise BackendError(str(error)) from None
        about = built.cache.about
        figures = about.get('figures', {})
        result = BuildEngine.Result(
            success=True, engine='' if built.cache.problem else str(built.cache.path),
            seconds=float(about.get('build_seconds', 0.0)), images=int(figures.get('images', 0)))
        for name, kind in result.get_fields_and_field_types().items():
            if kind == 'float' and name != 'seconds':
                setattr(result, name, float(figures.get(name, 'nan')))
        result.message = f'{order.model.card.name} on {built.runtime} {order.precision}: ' \
                         f'{self._taken_over(order, built, served)}'
        if built.cache.problem:
            result.message += f'; {built.cache.problem}'
        return result

    def _order(self, request: BuildEngine.Goal, served: Predictor | None) -> Order:
        if request.model:
            model = ModelFile.open(request.model)
        else:
            model = served.model if served else ModelFile.open(self._parameters['model'])
        return Order(model, request.backend, request.precision or self._parameters['precision'],
                     tuple(request.targets), self._batch)

    def _reporter(self, goal: ServerGoalHandle) -> Report:
        reached, said = 0.0, ''

        def report(stage: str, progress: float) -> bool:
            nonlocal reached, said
            reached = max(reached, min(progress, 1.0))
            message = self._words(stage, reached)
            try:
                if message != said and self._node.context.ok():
                    goal.publish_feedback(BuildEngine.Feedback(
                        stage=stage, progress=reached, message=message))
            except Exception:  # must not pass through TensorRT, which calls this
                if self._node.context.ok():
                    self._node.get_logger().warning('build_engine: feedback cannot be published')
            said = message
            return not (self._closed or goal.is_cancel_requested) and self._node.context.ok()
        return report

    def _words(self, stage: str, reached: float) -> str:
        if stage != 'waiting':
            return f'{stage}, {reached:.0%}'
        served = self._serving()
        other = served.backend_state if served else ''
        return f'waiting for another build{": " if other else ""}{other}'

    def _taken_over(self, order: Order, built: Built, served: Predictor | None) -> str:
        """Let the node serve from a new engine if it is what it shall; say what became of it."""
        if built.backend is None:
            batch = f' --batch {order.batch}' if order.batch > 1 else ''
            return (f'built for {", ".join(order.targets)}, not compared with fp32; there '
                    f'"dense-perception build-engine MODEL --backend {built.runtime} --precision '
                    f'{order.precision}{batch} --from {built.cache.path.name}" does that')
        if served is None or served is not self._serving():
            return 'built; it serves as soon as the node is configured for it'
        if served.model.sha256 != order.model.sha256:
            return f'built; the node serves {served.card.name}, load_model changes that'
        if order.precision != self._parameters['precision']:
            return (f'built; the node is set to precision {self._parameters["precision"]}, the '
                    'parameter changes that while it is unconfigured')
        backend = built.backend
        try:
            self._worker.submit(lambda: served.adopt(built.runtime, backend)).result(_PATIENCE_S)
        except TimedOut:
            return 'built; it serves at the next start'
        return f'built; {served.backend} serves'

    def _conclude(self, goal: ServerGoalHandle,
                  future: Future[BuildEngine.Result]) -> BuildEngine.Result:
        try:
            result = future.result()
            goal.succeed()
            self._node.get_logger().info(f'build_engine: {result.message}')
            return result
        except BackendError as error:
            if goal.is_cancel_requested:
                goal.canceled()
            else:
                goal.abort()
            self._node.get_logger().error(f'build_engine: {error}')
            return _failure(str(error))
        except Exception as error:
            goal.abort()
            self._node.get_logger().error(f'build_engine: {error!r}')
            return _failure(repr(error))


def _failure(message: str) -> Any:
    nan = float('nan')
    return BuildEngine.Result(
        message=message, abs_rel=nan, max_error=nan, d1=nan, unknown_differ=nan,
        labels_differ=nan, miou=nan, normals_degrees=nan, alpha_mad=nan)


def _compare(model: ModelFile, backend: Backend, threads: int,
             report: Report) -> dict[str, float]:
    """Figures of an engine against ONNX Runtime in fp32 on the demo clip.

    :raises BackendError: beyond the limits, or given up.
    """
    reference = Predictor.on(model, open_backend('onnxruntime-cpu', model,
                                                 BackendOptions(threads)))
    candidate = Predictor.on(model, backend)
    agreement = Agreement(model.card)
    frames = spread(open_source('demo'), _SAMPLES)
    for i, frame in enumerate(frames):
        if not report('comparing', i / len(frames)):
            raise BackendError(GIVEN_UP)
        agreement.add(*(predictor.predict(frame.image, frame.intrinsics, frame.mount).arrays
                        for predictor in (reference, candidate)))
    if problem := agreement.problem(Limits()):
        raise BackendError(f'refused: {problem}')
    report('comparing', 1.0)
    return agreement.figures()
