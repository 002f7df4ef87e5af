"""Trimtab: hyperparameter tuning that proves its gain and keeps its record.

This page is the public interface, and nothing else is. Names are imported when they are first used, so that
`import trimtab` costs no more than the interpreter's own start.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "Float": "space",
    "Int": "space",
    "Choice": "space",
    "Space": "space",
    "Study": "study",
    "Trial": "records",
    "ActiveTrial": "objective",
    "State": "records",
    "Budget": "records",
    "Fidelity": "fidelity",
    "Resources": "records",
    "Evidence": "evidence",
    "CrossValidation": "validation",
    "TrimtabError": "errors",
}

__all__ = [  # written out, since type checkers run nothing
    "ActiveTrial",
    "Budget",
    "Choice",
    "CrossValidation",
    "Evidence",
    "Fidelity",
    "Float",
    "Int",
    "Resources",
    "Space",
    "State",
    "Study",
    "Trial",
    "TrimtabError",
    "__version__",
]

if TYPE_CHECKING:
    from .errors import TrimtabError as TrimtabError
    from .evidence import Evidence as Evidence
    from .fidelity import Fidelity as Fidelity
    from .objective import ActiveTrial as ActiveTrial
    from .records import Budget as Budget
    from .records import Resources as Resources
    from .records import State as State
    from .records import Trial as Trial
    from .space import Choice as Choice
    from .space import Float as Float
    from .space import Int as Int
    from .space import Space as Space
    from .study import Study as Study
    from .validation import CrossValidation as CrossValidation


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    words = {} if name.startswith("_") else import_module(f"{__name__}.other_tuners").PACKAGE
    answer = f"; {words[name]}" if name in words else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{answer}")


def __dir__() -> list[str]:
    return sorted(__all__)
