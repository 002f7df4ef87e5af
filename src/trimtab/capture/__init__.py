"""What results depend on apart from their params: the code, the data and the machine, as fingerprints for the record.

Nothing here keeps contents: SHA-256 digests, names, types and counts only.
"""

from .code import code
from .data import Input, Look, different, look
from .environment import environment, numerics

__all__ = ["Input", "Look", "code", "different", "environment", "look", "numerics"]
