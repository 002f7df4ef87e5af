"""Pure statistics over the record: the certificate of a gain, and the importance of parameters."""

from .certificate import ConstraintCheck, Evidence, certify
from .importance import importance

__all__ = ["ConstraintCheck", "Evidence", "certify", "importance"]
