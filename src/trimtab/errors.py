"""The exception tree. Every message names the value, the rule that it breaks and the repair.

TrimtabError
├── UserError            the call, file or environment is wrong; the command line exits with status 2
│   ├── SpaceError       a parameter, a condition or a `require` expression
│   ├── SpecError        a study's goals, constraints, budget, baseline, strategy or file
│   │   └── WrongCall    a call has arguments that do not exist, or lacks some
│   ├── ObjectiveError   the objective cannot be found, sent to a worker, or never returns what the study needs
│   ├── InputChanged     data or code is not what the record names, and the user refuses changes
│   ├── StudyNotFound    no study of that name in the store
│   ├── StudyMismatch    the name is taken by a study with another spec
│   └── StorageError     the store cannot be opened, read or written (locked, corrupt, foreign, read-only, full)
│       ├── Damaged      a row is not what this program writes; `verify` reports it
│       ├── SetBack      the record has lost events that this process has read
│       └── OverQuota    checkpoints that a study needs have no room
├── RunFailed            the study stopped because its trials fail; exit status 1
├── Stale                somebody else was faster: read the record again and retry (never shown to a user)
├── BudgetSpent          the budget has no room for these proposals
├── Exhausted            every point of a finite space has been proposed
└── LeaseLost            the trial now belongs to another worker, or has ended
"""

import difflib
from collections.abc import Iterable


class TrimtabError(Exception):
    """Root of everything that Trimtab raises on purpose."""


class UserError(TrimtabError):
    """The call, the file or the environment is wrong. Nothing was changed."""


class SpaceError(UserError):
    """A parameter, a condition or a `require` expression is wrong."""


class SpecError(UserError):
    """A study's goals, constraints, budget, baseline, strategy or file is wrong."""


class WrongCall(SpecError, TypeError):
    """A call has arguments that it does not take, or lacks some. It is a TypeError, too."""


class ObjectiveError(UserError):
    """The objective cannot be found, cannot be sent to a worker, or never returns what the study needs."""


class InputChanged(UserError):
    """Data or code differs from the record, and the study was opened with on_change="refuse"."""


class StudyNotFound(UserError):
    """The store has no study of that name."""


class StudyMismatch(UserError):
    """The name belongs to a study with another spec."""


class StorageError(UserError):
    """The store cannot be opened, read or written."""


class OverQuota(StorageError):
    """The checkpoints that a study needs exceed its quota, or the disk's room."""


class Damaged(StorageError):
    """A row of the store is not something that this program writes."""


class SetBack(StorageError):
    """The record has lost events that this process has read: a backup was restored, or a server failed over."""


class RunFailed(TrimtabError):
    """The run stopped because its trials keep failing."""


class Stale(TrimtabError):
    """The record has moved on since it was read."""


class BudgetSpent(TrimtabError):
    """The study's budget has no room for these proposals."""


class Exhausted(TrimtabError):
    """Every point of a finite space has been proposed."""


class LeaseLost(TrimtabError):
    """The trial has ended, or belongs to another worker by now."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` if a known name is close to `word`, else the list of known names."""
    names = [str(k) for k in known]
    by_letters = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(str(word).casefold(), by_letters, n=1)
    if close:
        return f"; did you mean {by_letters[close[0]]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
