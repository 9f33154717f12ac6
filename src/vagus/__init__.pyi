# What `import vagus` offers, for type checkers; a test compares it with the package itself.

from vagus.api.connect import connect as connect
from vagus.api.remote import RemotePolicy as RemotePolicy
from vagus.api.run import run as run
from vagus.api.serve import serve as serve
from vagus.control.config import LoopConfig as LoopConfig
from vagus.edge.config import EdgeConfig as EdgeConfig
from vagus.errors import VagusError as VagusError
from vagus.features import ActionFeature as ActionFeature
from vagus.features import Limits as Limits
from vagus.features import StateFeature as StateFeature
from vagus.policies.declare import policy as policy
from vagus.policies.policy import Policy as Policy
from vagus.robots.robot import Robot as Robot
from vagus.server.config import ServeConfig as ServeConfig
from vagus.specs import CameraSpec as CameraSpec
from vagus.specs import PolicySpec as PolicySpec
from vagus.specs import RobotSpec as RobotSpec
from vagus.types import ActionChunk as ActionChunk
from vagus.types import Observation as Observation

__all__: list[str]
__version__: str
_PLACES: dict[str, str]
