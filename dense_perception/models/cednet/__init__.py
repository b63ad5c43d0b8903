"""CEDNet: image classification, and a backbone for everything else."""

from dense_perception.models.cednet.backbone import CEDNet
from dense_perception.models.cednet.classifier import CEDNetClassifier
from dense_perception.models.cednet.config import ARCHITECTURES, BackboneConfig, ClassifierConfig
from dense_perception.models.cednet.dense import CEDNetConfig, CEDNetDense
from dense_perception.models.cednet.detection import CEDNetDetector, DetectorConfig
from dense_perception.models.cednet.encoder import CEDNetFeatures
from dense_perception.models.cednet.variants import CLASSIFIERS, CONFIGS, DETECTORS

__all__ = ['ARCHITECTURES', 'CLASSIFIERS', 'CONFIGS', 'DETECTORS', 'BackboneConfig', 'CEDNet',
           'CEDNetClassifier', 'CEDNetConfig', 'CEDNetDense', 'CEDNetDetector', 'CEDNetFeatures',
           'ClassifierConfig', 'DetectorConfig']
