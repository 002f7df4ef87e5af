"""The auditor's side of a study: is the record intact, can it be derived again, can trials be run again; and the report."""

import dataclasses
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import checks, keys, streams
from ..capture import environment, numerics
from ..chain import seals
from ..chain.verify import findings
from ..checks import members, shown
from ..errors import Damaged, SpecError, StorageError
from ..files import replacing
from ..formatting import command
from ..objective import AnyObjective, as_program
from ..records import Change, Event, Resources, StudyRecord, StudyState
from ..records.usage import amounts
from ..replay import Replay, enoughs, replay, verdicts
from ..running.staffing import Slots
from ..storage import skip
from ..storage.revisions import user
from .answers import Answers
from .arguments import trial_number
from .reproduce import Reproduction, chosen, compared, left_out, rerun


class Audited(Answers):
    """The part of `Study` that is for auditors."""

    def replay(self) -> Replay:
        """Derive every proposal, and every stop by a rule, again from the record. The outcome is recorded as an event.

        Proposals must come out exactly on a machine with the numeric fingerprint that the record names. On another kind of
        machine, a proposal also counts if its acquisition value is within 1 % of the best. Revisions of the spec are
        followed. What another version of a strategy proposed is not judged.
        """
        study = self._live.id
        ledger = self._live.refresh()
        events = self.storage.events(study)[: ledger.study.position]
        rows = list(ledger.trials.values())
        with self._changes_named():
            ran = [e.body["environment"] for e in events if e.kind == "run"]
            machines = [m for e in ran if (m := e.get("numerics"))]
            found = replay(rows, events, self._live.strategy_of, numerics(), machines)
            stops, overturned, other_rules = verdicts(rows, self.storage.reports(study), events)
            looks, misjudged, other_outlooks = enoughs(rows, events)
            programs = dict.fromkeys(e["packages"].get("trimtab") for e in ran)
        program = environment()["packages"].get("trimtab")
        found = dataclasses.replace(
            found, verdicts=stops, overturned=overturned, looks=looks, misjudged=misjudged,
            other_rules=other_rules, other_outlooks=other_outlooks,
            programs=tuple(p for p in programs if p not in (None, program)),
        )  # fmt: skip
        self._try_to_add_event("replay", {"replay": found.to_json()})
        return found

    def reproduce(
        self,
        objective: AnyObjective,
        trials: Sequence[int] | None = None,
        *,
        tolerance: float = 0.0,
        principal: str = "",
        workers: int = 1,
        resources: Resources | Mapping[str, Any] | None = None,
        supervised: bool = False,
    ) -> Reproduction:
        """Run trials again with their params and seeds, and compare their metrics. The outcome is recorded as an event.

        No trials are added to the study.

          trials: their numbers; default: the baseline, the best one and three more.
          tolerance: the largest relative difference that still counts as the same; 0 means identical.
          principal: who does it; default: the user of this process. The event holds only a commitment to the name.

        Other arguments as in `run`. Raises SpecError, ObjectiveError.
        """
        if not isinstance(principal, str):
            raise SpecError(f"principal={shown(principal)} is no name; write it as a text")
        given = None if trials is None else [trial_number(t) for t in members("trials", trials, "trials")]
        tolerance = float(checks.nonnegative("tolerance", tolerance, repair=": a share, 0.001 for 0.1 %"))
        ledger = self._live.refresh()
        numbers = None if given is None else [ledger.trials.named(number).number for number in given]
        program = as_program(objective, ledger.study.spec)
        rows = list(ledger.trials.values())
        leader = self.standings.best
        best = None if leader is None else leader.trial
        picked = chosen(rows, numbers, best)
        slots = Slots(workers, amounts(Resources, resources, "resources"), supervised)
        ends = rerun(program, ledger.study.spec, picked, slots)
        ran = self.storage.events(self._live.id, kinds={"run"})
        found = Reproduction(
            runs=tuple(compared(t, ends[t.number], tolerance) for t in picked),
            tolerance=tolerance,
            same_code=program.fingerprint in {e.body["fingerprint"] for e in ran},
            independent=self._independent(principal or user(), [e.position for e in ran]),
            left_out=left_out(picked, numbers, best),
        )
        body = {"reproduction": found.to_json(), "objective": program.text, "fingerprint": program.fingerprint}
        self._try_to_add_event("reproduce", {**body, "environment": environment()}, principal)
        return found

    def _independent(self, who: str, runs: Sequence[int]) -> bool | None:
        """Whether `who` did not run the study; None if unknown, because names of those who ran it were erased."""
        names = {position: name for position, (_, name) in self.storage.actors(self._live.id).items()}
        ran = {names.get(position) for position in runs}
        return None if not ran or None in ran else who not in ran

    def _add_event(self, kind: str, body: Mapping[str, Any], actor: str = "") -> None:
        """Add an event that changes nothing else. Nothing is added to an archived study, which is read-only."""
        if self.record.state is not StudyState.ARCHIVED:
            self.storage.revise(self._live.id, Change(kind, body=body, actor=actor))

    def _try_to_add_event(self, kind: str, body: Mapping[str, Any], actor: str = "") -> None:
        """Add an event; if it cannot be written, warn that the outcome is not on record, instead of failing."""
        try:
            self._add_event(kind, body, actor)
        except StorageError as error:
            streams.tell(f"{self.name}: this {kind} is not on record: {error}")

    def sign(self, timestamp: str | None = None) -> None:
        """Sign the chain up to here with this user's Ed25519 key, and record that as an event (extra `sign`).

        The key is created at its first use, outside the database (see `keys`). timestamp: the URL of a time-stamp
        authority (RFC 3161), whose token is kept with the signature. Raises UserError, SpecError for an archived study,
        and Damaged if `verify` finds something: a row may name a head that no chain of events leads to. Then nothing is
        written.
        """
        if self.record.state is StudyState.ARCHIVED:
            raise SpecError(f"study {self.name!r} is archived and read-only; sign a study before it is archived")
        found, record, _ = self._examined()
        if wrong := [line for line in found if not line.endswith(seals.UNCHECKED)]:
            raise Damaged(f"study {self.name!r} is not signed, since verify finds: {wrong[0]}")
        self._add_event("checkpoint", keys.sign(record, timestamp))

    def verify(self, report: str | os.PathLike[str] | None = None) -> list[str]:
        """What does not fit in the record (its rows, chain, witness and signatures), one line each. Empty if it is intact.

        report: the file of a report, which is checked as well: an event must hold its hash.
        """
        found, _, events = self._examined()
        if report is not None:
            from .documents import unrecorded

            found += unrecorded(checks.path("report", report), events)
        return found

    def _examined(self) -> tuple[list[str], StudyRecord, Sequence[Event]]:
        """(what does not fit, the study as it was examined, its events then)."""
        study, uid = self._live.id, self._live.ledger.study.uid
        witness = [*self.storage.witnessed(uid), *keys.signed(uid)]  # read first, since the record may grow meanwhile
        try:
            snapshot = self.storage.trials(study)
            count, position = snapshot.study.count, snapshot.study.position
            events = self.storage.events(study)[:position]  # not what others have written since the snapshot
            reports = [r for r in self.storage.reports(study) if r.number < count]
            actors = {at: who for at, who in self.storage.actors(study).items() if at <= position}
        except Damaged as error:
            return [str(error)], self._live.ledger.study, ()
        found = findings(snapshot.study, snapshot.trials, reports, events, witness, actors)
        if any(e.kind == "checkpoint" for e in events):
            found += seals.findings(uid, events, keys.trusted(), keys.authorities())
        if snapshot.study.state is StudyState.ARCHIVED:
            found += self._renamed(snapshot.study)
        return found, snapshot.study, events

    def _renamed(self, archived: StudyRecord) -> list[str]:
        """Studies that were created with the name of this archived one, and no longer have it: somebody who looks for the
        name finds the archived one instead."""
        made = self.storage.first_events()
        return [
            f"study {r.name} (uid {r.uid[:8]}): it was created as {archived.name!r} and renamed outside Trimtab; verify it too"
            for r in self.storage.studies(damaged=skip)
            if r.name != archived.name and r.id in made and made[r.id].body["spec"]["name"] == archived.name
        ]

    @contextmanager
    def _changes_named(self) -> Iterator[None]:
        """A context for code that reads the record: if it fails because the record was changed outside Trimtab, the error
        names the place."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if not (found := self.verify()):
                raise
            check = command("verify", self.name, f" --storage {shlex.quote(self.storage.url)}")
            raise Damaged(
                f"study {self.name!r} was changed outside Trimtab: {found[0]}; study.verify() or `{check}` "
                "names all, restore the store from a backup"
            ) from error

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        data: Mapping[str, Any] | None = None,
        template: str = "study",
        card: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        previous: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        at: int | None = None,
    ) -> Path:
        """Write the study's report, and record its hash as an event. Returns the path of the file.

          path: a file that ends in .html, .docx or .json (which holds only the evidence record).
          data: a description of the data set (name, rows, ...).
          template: "study" (the answer first, for those who tune), a framework such as "us-sr-26-2-2026" or
              "eu-ai-act-annex-iv-2024", or your own template file.
          card: what only a person can fill in, as a YAML file or a mapping.
          previous: the evidence record (.json or .html) of the study that was approved before.
          at: the position of the event as of which the report is written; default: the last one.

        The same record gives the same bytes. Raises SpecError, and UserError if an extra (`report`, `word`) is missing
        or the file cannot be written.
        """
        from . import documents

        target, template = Path(checks.path("path", path)), checks.text("template", template, "name one")
        form = documents.form_of(target)
        given = {
            "data": documents.described(data, "data"),
            "card": documents.card_of(card),
            "previous": documents.previous_of(previous),
        }
        with self._changes_named():
            found = self.verify()  # first: it reads the whole record too, and forgets it
            then = documents.snapshot(self.storage, self.record, self.trials, found, at, **given)
            content, body = documents.written(then, template, form)
        with replacing(target, content):  # the file appears after its hash is on record
            recorded = self.storage.events(self._live.id, kinds={"report"})
            if all(e.body != {**body, "actor": e.body["actor"]} for e in recorded):
                self._try_to_add_event("report", body)
        return target
