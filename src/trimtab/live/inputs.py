"""Code and data that results depend on: checked before each trial; a change is recorded or refused, as the user chose."""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..canonical import spelled_out
from ..capture import Input, Look, code, different, look
from ..checks import shown
from ..errors import InputChanged, SpecError
from ..records import Change, State, StudyState
from ..storage import Storage

if TYPE_CHECKING:
    from ..objective import Program

POLICIES = ("record", "refuse")


def named(data: Mapping[str, Any] | None, on_change: str) -> list[Input]:
    """A user's `data` as inputs. Raises SpecError for something that cannot be checked, and for an unknown policy."""
    if not isinstance(on_change, str) or on_change not in POLICIES:
        raise SpecError(f"on_change={shown(on_change)} is not known; choose 'record' or 'refuse'")
    if data is not None and not isinstance(data, Mapping):
        raise SpecError(f"data={shown(data)} has no names; write data={{'train': 'train.csv'}}")
    return [Input(spelled_out(str(name)), what) for name, what in (data or {}).items()]


class Inputs:
    """What a study's results depend on: the named `data` (paths, arrays, tables), and the objective's files.

    on_change: after a change, "record" writes an `inputs` event and continues; "refuse" writes it and raises
    InputChanged. Inputs are compared with the record, not with what this process saw first: so a change between two runs
    is noticed when the second one starts.
    """

    def __init__(
        self, storage: Storage, study: int, data: Mapping[str, Any] | None = None, on_change: str = "record"
    ) -> None:
        self._storage, self._study = storage, study
        self._inputs = named(data, on_change)
        self._refuse = on_change == "refuse"
        self._looks: dict[str, Look] = {}  # by name of an input: what it was when it was last looked at
        self._files: dict[str, Look] = {}  # by path: the same for files with code
        self._last: Any = None  # the inputs that were last found to fit the record
        self._known: dict[str, Any] = {"data": {}, "code": None}  # what the record last accepted
        self._read = 0  # the position up to which its events were read for that
        self._refusal: Any = None  # the inputs that were last refused by an event
        self._lock = threading.Lock()

    @property
    def watched(self) -> bool:
        """Whether any data is watched."""
        return bool(self._inputs)

    @property
    def strict(self) -> bool:
        """Whether each trial must wait for a check."""
        return self.watched or self._refuse

    def begin(self, program: "Program | None" = None) -> dict[str, Any]:
        """Check everything, at the start of a run. Returns what the `run` event says about it.

        program: the objective. Raises InputChanged if a change is refused.
        """
        with self._lock:
            self._last = self._refusal = None
            return {**self._look(program, memory=True), "on_change": POLICIES[self._refuse]}

    def check(self, program: "Program | None" = None) -> None:
        """Check what is in files, before a trial starts. Raises InputChanged if a change is refused."""
        with self._lock:
            self._look(program, memory=False)

    def _look(self, program: "Program | None", memory: bool) -> dict[str, Any]:
        """Look at the inputs, and act if they have changed. memory: also look at data that is not in files."""
        for given in self._inputs:
            if memory or given.name not in self._looks or self._looks[given.name].marks:
                self._looks[given.name] = look(given, self._looks.get(given.name))
        now: dict[str, Any] = {"data": {name: found.fingerprint for name, found in self._looks.items()}, "code": None}
        if program is not None:
            now["code"] = code(program.text, program.fingerprint, program.files, self._files, repository=memory)
        if now == self._last:
            return now
        changed = self._changed(now)
        if changed or (program is None and now["data"].keys() - self._known["data"].keys()):
            self._write(now, changed)
        self._known = {"data": {**self._known["data"], **now["data"]}, "code": now["code"] or self._known["code"]}
        self._last = now
        return now

    def _changed(self, now: Mapping[str, Any]) -> dict[str, str]:
        """By name of an input: what has changed since the record last accepted it."""
        self._read_record()
        known = self._known
        found = {f"data {n}": different(known["data"][n], f) for n, f in now["data"].items() if n in known["data"]}
        if now["code"] is not None and known["code"] is not None:
            found["code"] = _other_code(known["code"], now["code"])
        return {name: what for name, what in found.items() if what}

    def _read_record(self) -> None:
        """Update `_known` by events that are new."""
        for e in self._storage.events(self._study, since=self._read, kinds=("run", "inputs")):
            self._read = e.position
            if not e.body.get("refused"):
                self._known["data"] |= e.body.get("data") or {}
                self._known["code"] = e.body.get("code") or self._known["code"]

    def _write(self, now: Mapping[str, Any], changed: Mapping[str, str]) -> None:
        """Write an `inputs` event. Raises InputChanged if the change is refused."""
        refused = bool(changed) and self._refuse
        snapshot = self._storage.outline(self._study)
        running = sorted(t.number for t in snapshot.open if t.state is State.RUNNING)
        on_record = refused and now == self._refusal
        if snapshot.study.state is not StudyState.ARCHIVED and not on_record:
            body = {**now, "changed": dict(changed), "refused": refused, "running": running}
            self._storage.revise(self._study, Change("inputs", body=body))
        self._refusal = now if refused else None
        if refused:
            what = "; ".join(f"{name}: {text} changed" for name, text in changed.items())
            raise InputChanged(
                f"study {snapshot.study.name!r}: {what}. Put it back, or go on with the change: on_change='record'"
            )


def _other_code(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs between two states of the code, in words; "" if nothing does."""
    if before["objective"] != after["objective"]:
        return f"the objective (was {before['objective']}, is {after['objective']})"
    names = [n for n in {**before["files"], **after["files"]} if before["files"].get(n) != after["files"].get(n)]
    if names:
        return f"files {', '.join(names)}"
    return "the objective's own text, or a value that it reads" if before["fingerprint"] != after["fingerprint"] else ""
