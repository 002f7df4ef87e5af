"""`Study`: opens or creates a study, proposes, runs and revises it. Its questions and answers are in `answers` and
`audit`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import EllipsisType
from typing import Any, cast

from .. import checks, engine, other_tuners, proof, streams
from ..calls import checked_call
from ..checks import flag, shown
from ..engine import planning
from ..errors import BudgetSpent, Exhausted, SpaceError, SpecError, Stale
from ..evidence import Design, Evidence
from ..executors.slurm import Slurm
from ..fidelity import Fidelity
from ..formatting import plural
from ..goals import Metrics
from ..live import LiveStudy
from ..live.inputs import Inputs, named
from ..objective import ActiveTrial, AnyObjective, resolved
from ..objective.trial import note_unread
from ..outcomes import from_tell
from ..outlook import Enough, enough_from, one_goal_only
from ..proof import holdout
from ..records import Budget, Change, Proposal, Resources, State, StudyRecord, StudyState, Trial
from ..records.history import doubts
from ..records.usage import amounts
from ..running import runner, slurm, staffing
from ..running.alerts import Alerts
from ..running.crew import worker_name
from ..running.referee import Referee
from ..space import Params, Space
from ..storage import Claim, Storage, copying, open_storage
from ..strategies import Strategy
from ..units import seconds
from . import arguments, opening
from .audit import Audited
from .idle_rules import idle_rules_notice


@checked_call
@other_tuners.answering(other_tuners.STUDY)
class Study(Audited):
    """A tuning study: opened if the store has one of this name, created otherwise.

      name: unique among the studies of its store that are not archived.
      space: what may be varied (a Space, or a mapping of parameters).
      minimize, maximize: names of metrics.
      subject_to: constraints such as "latency_ms <= 20" or "auc >= 0.95 * baseline".
      budget: for the whole study, over all workers and calls.
      baseline: the params to beat; default: the defaults of the space.
      strategy: the name of a search algorithm, or an object; default: "auto".
      storage: a URL such as "sqlite:///trimtab.db"; default: private memory.
      seed: everything random in the study follows from it; default: a random one, which is recorded.
      replicates: how often strategies may propose the same params.
      retries: further attempts for a trial that failed by an error, not by a limit.
      max_failures: failures in a row after which a run stops (default 20; None: never).
      deterministic: whether equal params give equal results.
      fidelity: how far a trial may be trained, such as Fidelity("epochs", 1, 81).
      stopping: a rule's name, a rule of trimtab.stopping, several, or None; default: "asha" with a fidelity.
      data: {name: path, array or table} that results depend on; their fingerprints are recorded.
      on_change: if the data or the objective's code changes, "record" that and continue, or "refuse" to start trials.
      warm_start: earlier studies of a similar question (objects, or names in this store), whose results are copied into
          the record.
      fresh: archive an existing study of this name and start over.

    Raises SpecError and SpaceError for a wrong call, StudyMismatch if the stored study has another spec (only a changed
    budget becomes an audited revision by itself), StudyNotFound, StorageError.
    """

    def __init__(
        self,
        name: str,
        space: Space | Mapping[str, Any] | None = None,
        *,
        minimize: arguments.Names | None = None,
        maximize: arguments.Names | None = None,
        subject_to: arguments.Names | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        baseline: Params | None = None,
        strategy: str | Strategy[Any] | None = None,
        storage: str | Storage | None = None,
        seed: int | None = None,
        replicates: int | None = None,
        retries: int | None = None,
        max_failures: int | EllipsisType | None = ...,
        deterministic: bool | None = None,
        data: Mapping[str, Any] | None = None,
        on_change: str = "record",
        fidelity: Fidelity | Mapping[str, Any] | None = None,
        stopping: arguments.Stopping | EllipsisType = ...,
        warm_start: "Study | str | Sequence[Study | str] | None" = None,
        fresh: bool = False,
    ) -> None:
        given = arguments.spec_fields(
            space=space, minimize=minimize, maximize=maximize, subject_to=subject_to, budget=budget, baseline=baseline,
            strategy=strategy, seed=seed, replicates=replicates, retries=retries, max_failures=max_failures,
            deterministic=deterministic, fidelity=fidelity, stopping=stopping,
        )  # fmt: skip
        named(data, on_change)  # raises for a mistake there before the store is touched
        opening.check_file(storage, name, given)
        self.storage = open_storage(storage)
        record = opening.open_study(self.storage, name, given, fresh, warm_start)
        custom = None if strategy is None or isinstance(strategy, str) else strategy
        self._live = LiveStudy(self.storage, record.id, custom, Inputs(self.storage, record.id, data, on_change))
        self._asked: dict[int, Trial] = {}  # by number: trials that were asked for, and not told yet
        self._referee = Referee(self.storage, record.id, lambda: self._live.spec)

    def __repr__(self) -> str:
        r = self.record
        return f"<Study {r.name!r} ({r.state}): {plural(r.count, 'trial')}, {self.storage.url}>"

    # ------------------------------------------------------------------------------------------------- ask and tell

    @checked_call
    def ask(self, lease: float | str | None = None) -> ActiveTrial:
        """The next trial to evaluate: a queued one, else a new proposal.

        lease: seconds (or "5m") after which another process may take the trial, unless it reports; default: never. Raises
        BudgetSpent or Exhausted.
        """
        held = seconds(lease, "lease")
        self._live.inputs.check()
        while True:
            trial = self.storage.claim(self._live.id, worker_name(), held)
            if trial is not None:
                break
            ledger = self._live.refresh()
            runner.check_open(ledger.study)
            if (budget := planning.spent(ledger, ledger.now)) is not None:
                raise BudgetSpent(f"study {self.name!r}: its budget of {budget} is spent; raise it to go on")
            made = self._live.fill(1, ledger.study.count, Claim(worker_name(), held, 1))
            if made is None:
                raise Exhausted(f"study {self.name!r}: {self._live.why_nothing()}")
            if made:
                trial = made[0]
                break
        self._asked[trial.number] = trial
        folders = self._live.checkpoints.folders(trial)
        return ActiveTrial.of(trial, self._sender(trial, held), self._live.spec.metrics, folders)

    def _sender(self, trial: Trial, lease: float | None) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
        """The function to which a trial that was asked for sends its messages: it writes reports and notes to the store."""

        def send(message: Mapping[str, Any]) -> Mapping[str, Any]:
            if message["kind"] == "report":
                verdict = self._referee.report(trial, message["step"], message["metrics"], lease)
                if verdict is not None:
                    return {"stop": True, "rule": verdict.rule}
                return {"stop": self._live.refresh().study.state is StudyState.CANCELLED}
            self._revise("note", number=trial.number, text=message["text"])
            return {}

        return send

    @checked_call
    def tell(
        self, trial: ActiveTrial | Trial | int, metrics: float | Metrics | None = None, *, failed: str | None = None
    ) -> Trial:
        """End a trial: with its metrics (a mapping, or a float if only one metric is needed), or as `failed`, with a
        reason.

        A NaN or infinite metric makes the trial failed. A trial that obeyed `should_stop` ends as stopped; metrics that are
        not given are taken from its last reports. Raises SpecError if a metric is missing or no number (the trial stays
        running), or for a trial that is not running; LeaseLost if somebody else holds it by now.
        """
        number = arguments.trial_number(trial)
        heeded = trial.reported if isinstance(trial, ActiveTrial) and trial.rule else None
        if failed is not None and not isinstance(failed, str | BaseException):
            raise SpecError(f"trial {number}: failed={shown(failed)} is no reason; write failed='why'")
        both, neither = metrics is not None and failed is not None, metrics is None and failed is None
        if both or (neither and heeded is None):
            raise SpecError(f"trial {number}: tell its metrics, or failed='why', one of the two")
        held = self._asked.get(number) or self._live.refresh().trials.named(number)
        if held.state is not State.RUNNING:
            raise SpecError(f"trial {number} is {held.state}; only a running trial can be told")
        if isinstance(trial, ActiveTrial):
            note_unread(trial)
        if isinstance(trial, ActiveTrial | Trial):  # a former holder may not tell a trial that was taken over
            held = replace(held, attempt=trial.attempt)
        now = self._live.refresh().now
        wall = max(0.0, now - (held.started or now))
        outcome = from_tell(metrics, failed, self._live.spec.metrics, wall, heeded)
        ended = self.storage.finish(held, outcome if heeded is None else self._referee.stopped(held, outcome))
        self._asked.pop(number, None)
        self._live.tidy()
        return ended

    @checked_call
    def enqueue(self, params: Params) -> Trial:
        """Put a setting at the front of the queue. Raises SpaceError if it is not in the space."""

        def proposal(study: StudyRecord) -> Proposal:
            seed = engine.trial_seed(study.spec.seed, "user", study.count)
            return Proposal(study.spec.space.validate(params), seed, strategy="user", version="1", priority=1)

        return self._live.enqueue_one(proposal)

    @checked_call
    def add(self, params: Params | Sequence[Params], metrics: float | Metrics | Sequence[float | Metrics]) -> None:
        """Record results that were measured elsewhere: one, or sequences of settings and of results. Strategies learn from
        them.

        A NaN or infinite metric makes a failed trial. Raises SpaceError for a setting that is not in the space, SpecError
        if metrics are missing or not numbers, with its place in the sequences; then nothing is recorded.
        """
        rows = arguments.imported(self.spec, params, metrics)
        self._live.enqueue_wanted(lambda _: [])  # the baseline is trial 0
        self._revise("import", trials=rows)

    # ------------------------------------------------------------------------------------------------------- running

    @checked_call
    def run(
        self,
        objective: AnyObjective,
        *,
        trials: int | None = None,
        time: float | str | None = None,
        workers: int = 1,
        resources: Resources | Mapping[str, Any] | None = None,
        supervised: bool = False,
        executor: str | Slurm = "local",
        enough: Enough | bool = False,
        quiet: bool = False,
    ) -> None:
        """Run search trials until the study has `trials` finished ones, its budget is spent or `time` has passed.

          objective: a function of the trial, "file.py:function", "package.module:function" or a Command.
          workers: how many trials run at once, in supervised processes, which are replaced when they die. A single
              worker without resource limits runs in this process, unless `supervised`.
          resources: what each trial gets, and its limits.
          executor: "local"; "ray", one actor per worker on a Ray cluster; "slurm" or a Slurm object, one job per worker.
          enough: True, or a `trimtab.outlook.Enough`: also return when the gain that is left is below the noise or its cost.
          quiet: write no progress line and no notices.

        Running the same line again continues the study. It waits for trials that other processes run, but not for those
        that were asked for without a lease.

        Raises RunFailed after max_failures failures in a row, ObjectiveError, and KeyboardInterrupt (running trials
        return to the queue).
        """
        terms, stop_when, quiet = runner.terms_of(self._live, trials, time), self._enough(enough), flag("quiet", quiet)
        warn = (lambda _: None) if quiet else self._warn
        for notice in self._live.shortcomings():
            warn(notice)
        had = self._live.ledger.counted
        jobs = slurm.options_of(executor)
        kind = cast(str, executor) if jobs is None else "slurm"
        slots = staffing.Slots(workers, amounts(Resources, resources, "resources"), supervised, kind)
        alerts = Alerts(self._live, warn)
        if jobs is not None:
            closed = slurm.run(self._live, objective, slots, jobs, quiet, terms, stop_when)
        else:
            with staffing.hired(self._live, objective, slots, quiet, terms, alerts.look) as crew:
                events = self.storage.events(self._live.id, terms.since, kinds={"inputs", "run"})
                for notice in doubts(events):
                    warn(notice)
                closed = runner.search(crew, terms, stop_when)
        alerts.look()
        if quiet:
            return
        for notice in filter(None, [self._why_ended(closed, had, stop_when), idle_rules_notice(self._live)]):
            warn(notice)

    def _why_ended(self, closed: str, had: int, stop_when: Enough | None) -> str | None:
        """What to tell the user at the end of a run; None: nothing. closed: why it ended. had: how many trials were finished
        when it began."""
        match closed:
            case "budget":
                return self.bound
            case "exhausted":
                return self._live.why_nothing()
            case "held":
                return self._live.why_held()
            case "enough":
                return self.outlook(stop_when).text()
            case "trials" if had == self._live.ledger.counted:
                return f"nothing was run: the study has its {plural(had, 'trial')} already; ask for more to go on"
        return None

    def _warn(self, notice: str) -> None:
        streams.tell(f"{self.name}: {notice}")

    def submit(self, objective: AnyObjective, *, resources: Resources | Mapping[str, Any] | None = None) -> None:
        """Record what the study runs, and return. Workers (`trimtab worker`) that allow the objective run it.

        objective: "file.py:function", "package.module:function" or a Command. Each worker needs its own copy, since the
        record holds only its name and fingerprint. Raises ObjectiveError, and SpecError for a study that would never
        end.
        """
        record = self.record
        if runner.endless(record.spec):
            raise SpecError("nothing says when to stop; give the study a budget")
        runner.check_open(record)
        staffing.submit(self._live, objective, amounts(Resources, resources, "resources"))

    def _enough(self, given: Enough | bool) -> Enough | None:
        """The `enough` argument of `run`, checked. Raises SpecError."""
        if given is False:
            return None
        one_goal_only(self.spec)
        return enough_from(given)

    @checked_call
    def evidence(
        self,
        objective: AnyObjective,
        *,
        replicates: int | None = None,
        metric: str | None = None,
        tuned: int | None = None,
        finalists: int = 5,
        test_train_ratio: float | None = None,
        equivalence: float = 0.0,
        minimum_effect: float = 0.0,
        sequential: bool = False,
        workers: int = 1,
        resources: Resources | Mapping[str, Any] | None = None,
        supervised: bool = False,
        executor: str = "local",
        quiet: bool = False,
    ) -> Evidence:
        """Compare the tuned setting with the baseline on fresh seeds, in pairs, and say what that shows.

        If noise hides which setting is best, or there are constraints, up to `finalists` promising settings are first run
        again (`select` trials). Then `replicates` pairs (default: 20, or what the objective says) run as `certify` trials.
        Both runs of pair i have the same trial.seed, and trial.replicate == i. These trials count neither for the search
        nor for the budget. Runs that exist already are reused.

          metric: one goal; default: all goals, corrected for their number.
          tuned: number of the trial whose setting is compared, without a selection.
          test_train_ratio: test rows over training rows if pairs share training data (1/(k-1) for k-fold cross-validation), 0
              for independent repetitions; default: what the objective says.
          equivalence: the largest difference that does not matter, in the metric's unit.
          minimum_effect: the gain that "proven" needs, in the metric's unit, fixed before the runs.
          sequential: add pairs until the answer is clear.
          executor: "local" or "ray". Other arguments as in `run`.
        """
        called = resolved(objective)
        own = getattr(called, "test_train_ratio", None)
        ratio = own or 0.0 if test_train_ratio is None else test_train_ratio
        pairs = getattr(called, "replicates", 20) if replicates is None else replicates
        design = Design(ratio, equivalence, minimum_effect, sequential)
        most = getattr(called, "most_replicates", None)
        number = None if tuned is None else arguments.trial_number(tuned)
        asked = proof.Question(pairs, metric, number, finalists, design, own, most)
        slots = staffing.Slots(workers, amounts(Resources, resources, "resources"), supervised, executor)
        silent = flag("quiet", quiet)
        return proof.prove(self._live, asked, lambda: staffing.hired(self._live, objective, slots, silent))

    def holdout(
        self, objective: AnyObjective, *, tuned: int | None = None, metric: str | None = None, equivalence: float = 0.0
    ) -> Evidence:
        """Compare the tuned setting with the baseline on the rows that a `CrossValidation` has held out. Each is trained once
        on all other rows.

        tuned: the number of a trial with that setting; default: the certified one, else the best. Every look is recorded as
        an event. Raises SpecError if the search held out other rows, ObjectiveError if training or the metric fails.
        """
        number = None if tuned is None else arguments.trial_number(tuned)
        return holdout.look(self._live, objective, number, metric, equivalence)

    # ------------------------------------------------------------------------------------------ record and revisions

    def revise(self, *, assume: Params | None = None, **changes: Any) -> None:
        """Change the study's spec, by an audited revision: space, budget, subject_to, max_failures, ... as in Study().

        A new space must keep old trials valid: ranges may widen, options may be added or retired, and `assume` gives, for
        each new parameter, the value that old trials had. A revision that changes nothing is not recorded.
        """
        before, given = self.spec, arguments.spec_fields(**arguments.revision_arguments(changes))
        try:
            spec = opening.revised_spec(before, given, assume)
        except SpaceError as error:
            if self.record.count:
                raise
            raise SpaceError(
                f"{error}; or begin the study anew, which has no trials yet: fresh=True, or trimtab run FILE --fresh"
            ) from None
        if spec != before:
            self._revise("spec", spec=spec)

    def pause(self) -> None:
        """Start no new trials until `resume`."""
        self._revise("pause")

    def resume(self) -> None:
        """Continue a paused study."""
        self._revise("resume")

    def cancel(self, number: int | None = None) -> None:
        """End the study (queued trials are cancelled), or one open trial."""
        self._revise("cancel", number=None if number is None else arguments.trial_number(number))
        self._live.tidy()

    def archive(self) -> None:
        """Make the study read-only and free its name."""
        self._revise("archive")
        self._live.tidy()

    def copy(self, storage: str | Storage) -> "Study":
        """Copy the study, with its whole record, into another store. Returns the copy, opened there.

        Both have the same uid and hash chain, so continue only one of them. Checkpoints are not copied. Raises
        StudyMismatch if the other store already has the study, or another of its name, or if somebody changes the
        study meanwhile.
        """
        if storage is None:
            raise SpecError("storage=None names no store; write 'sqlite:///file.db'")
        target = open_storage(storage)
        return Study(copying.copy(self.storage, self._live.id, target).uid, storage=target)

    def delete(self) -> None:
        """Delete the study with its whole record and its checkpoints, for good."""
        self.storage.delete(self._live.id)
        self._live.checkpoints.remove()

    def note(self, number: int, text: str) -> None:
        """Attach a note to a trial."""
        self._revise("note", number=arguments.trial_number(number), text=checks.text("text", text, "write the note"))

    def _revise(self, kind: str, **what: Any) -> None:
        """Make an audited change. Raises SpecError if it is not possible."""
        try:
            self._live.revise(Change(kind, **what))
        except Stale as error:
            raise SpecError(f"{kind}: {error}") from None
