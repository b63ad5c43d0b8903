"""One image to one prediction, apart from the stream: the service ``predict``."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CameraInfo

from dense_perception.inference.backends import BackendError
from dense_perception.inference.batches import run
from dense_perception.inference.predictor import Predictor
from dense_perception.ros.camera import Camera
from dense_perception.ros.cloud_settings import CloudSettings
from dense_perception.ros.cloud_stage import Wants
from dense_perception.ros.conditions import Conditions
from dense_perception.ros.encodings import ImageError
from dense_perception.ros.images import colour_from_image, image_from_array
from dense_perception.ros.metres import Metres
from dense_perception.ros.parameters import Parameters
from dense_perception.ros.pipeline import Pipeline, Result
from dense_perception_msgs.srv import Predict


def predict(request: Predict.Request, response: Predict.Response, predictor: Predictor,
            parameters: Parameters, metres: Metres, topic: str) -> Predict.Response:
    """Answer a request with the model and the parameters of a stream, and its camera's mount.

    Nothing of it stays: neither the calibration nor, as one image has no before, a scale; depth
    is metric if the model alone makes it so.

    :param predictor: not in use meanwhile.
    :param topic: of the stream's images; its name may say whether they are rectified.
    """
    header = request.image.header
    problems = Conditions(lambda level, sentence: None)
    lens = Camera(problems, topic, 'camera_info', parameters['image_geometry'],
                  parameters['rectify'])
    if request.camera_info != CameraInfo(header=request.camera_info.header):
        lens.on_info(request.camera_info)
    pipeline = Pipeline(predictor, parameters['output_size'])
    try:
        pixels, colour_order = colour_from_image(request.image)
        height, width = pixels.shape[:2]
        calibration = lens.calibration(header, width, height,
                                       pipeline.rectified_size(width, height))
        mount = metres.mount_at(header)
        rectification = calibration and calibration.rectification
        result = run(pipeline.run(
            rectification.apply(pixels) if rectification else pixels, colour_order,
            calibration and calibration.intrinsics, mount.mount, Wants(),
            CloudSettings.of(parameters), lambda prediction: prediction,
            rectification and rectification.seen))
    except (ImageError, BackendError) as error:
        response.message = f'image refused: {error}'
        return response
    if calibration:
        response.camera_info = lens.output_info(calibration, result.width, result.height, header)
    _fill(response, result, request)
    reasons = [sentence for _, sentence in problems.report()]
    if predictor.card.takes_mount:
        response.mount_source = mount.source
        reasons += [mount.problem] if mount.problem else []
    response.message = '' if result.metric else '; '.join(reasons)
    return response


def _fill(response: Predict.Response, result: Result, request: Predict.Request) -> None:
    response.success, response.metric = True, result.metric
    for field, values, encoding in (('depth', result.depth, '32FC1'),
                                    ('mask', result.labels, 'mono8'),
                                    ('confidence', result.confidence, 'mono8')):
        if values is not None:
            setattr(response, field, image_from_array(
                np.ascontiguousarray(values), encoding, request.image.header))
