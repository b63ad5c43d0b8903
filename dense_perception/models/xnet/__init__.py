"""xNet, the ablations that lead to it, and the registered variants."""

from dense_perception.models.xnet.config import XNetConfig
from dense_perception.models.xnet.ladder import FPN, AblatedXNet, LadderConfig, ladder_model
from dense_perception.models.xnet.variants import CONFIGS
from dense_perception.models.xnet.xnet import XNet

__all__ = ['CONFIGS', 'FPN', 'AblatedXNet', 'LadderConfig', 'XNet', 'XNetConfig', 'ladder_model']
