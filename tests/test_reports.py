"""Figures and the document, on records of every shape."""

import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab import formatting, strategies
from trimtab.dossier import evidence
from trimtab.engine import incumbents
from trimtab.errors import SpecError, UserError
from trimtab.evidence import Contest, certify
from trimtab.explanation import Explanation
from trimtab.fidelity import Fidelity
from trimtab.goals import Goal, constraint
from trimtab.records import (
    Budget,
    Cost,
    Event,
    Purpose,
    Reason,
    State,
    StudyRecord,
    StudySpec,
    StudyState,
    Trial,
)  # fmt: skip
from trimtab.reports import Plots, figures, render, sections
from trimtab.reports.axes import axis
from trimtab.reports.facts import MOST_DRAWN, Facts
from trimtab.reports.limits import limits
from trimtab.reports.origins import Origins
from trimtab.reports.sections.design import METHODS
from trimtab.reports.snapshot import Snapshot
from trimtab.reports.style import view
from trimtab.space import Choice, Float, Int, Space

SPACE = Space(
    kind=Choice("tree", "line<b>", None, default="tree"),
    rate=Float(1e-4, 1, log=True, default=0.1),
    depth=Int(1, 12, default=6, when={"kind": "tree"}),
    fixed=Int(3, 3, default=3),
).require("depth <= 10 or rate < 0.5")
ENDS = [State.DONE, State.DONE, State.DONE, State.STOPPED, State.FAILED, State.CANCELLED]


LOSS = (Goal("loss", False),)


def study(n=30, goals=LOSS, constraints=("size <= 80",), states=ENDS, baseline=True, certify=0, name="s"):
    """A record: n search trials that pass through `states`, then `certify` pairs of evidence trials."""
    spec = StudySpec(
        name, SPACE, tuple(goals), tuple(constraint(c) for c in constraints), Budget(trials=max(n, 1)),
        baseline=SPACE.defaults() if baseline else None,
    )  # fmt: skip
    rng = np.random.default_rng(n)
    params = SPACE.decode(SPACE.sample(n, rng)) if n else []
    if baseline and n:
        params[0] = SPACE.defaults()
    trials = []
    for i in range(n + 2 * certify):
        state = State.DONE if i >= n else states[i % len(states)]
        setting = params[i] if i < n else (SPACE.defaults(), params[1])[i % 2]
        metrics = {"loss": rng.uniform(), "gain": rng.uniform(), "size": rng.uniform(0, 100), "late": 1.0}
        done = state in (State.DONE, State.STOPPED)
        ended = state not in (State.QUEUED, State.RUNNING)
        trials.append(
            Trial(
                1,
                i,
                state,
                Purpose.SEARCH if i < n else Purpose.CERTIFY,
                setting,
                i,
                "gp" if i or not baseline else "baseline",
                "1",
                replicate=(i - n) // 2 if i >= n else None,
                started=1e9 + i,
                ended=1e9 + i + 1.5 if ended else None,
                metrics=metrics if done else {},
                reason=Reason.TIMEOUT if state is State.FAILED else None,
                cost=Cost(1.5, 1.4, 0, 1e8),
                told=i + 1,
                private={"worker": ["s", f"w{i % 3}"], "error": ["s", "</script><img src=x onerror=alert(1)>\nmore"]},
            )
        )
    record = StudyRecord(
        1, "u" * 32, name, spec, StudyState.OPEN, 1e9, len(trials), n, Cost(n, n, 0, 1e8), 1, "ab" * 32
    )
    return record, trials


def proof(record, trials):
    runs = [t for t in trials if t.purpose is Purpose.CERTIFY]
    pairs = [(b.metrics, t.metrics) for b, t in zip(runs[::2], runs[1::2], strict=True)]
    goal, spec = record.spec.goals[0], record.spec
    return certify(goal, Contest(spec.baseline, trials[1].params, 1), pairs, constraints=spec.constraints)


class Reader(HTMLParser):
    """The visible text, the elements, and the addresses that a document refers to."""

    def __init__(self, text):
        super().__init__()
        self.said, self.tags, self.addresses, self._script = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._script = tag in ("script", "style")
        self.addresses += [v for k, v in attrs if k in ("src", "href", "data", "action")]

    def handle_endtag(self, tag):
        self._script = False

    def handle_data(self, data):
        if not self._script:
            self.said.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.said))


def document(record, trials, evidence=None, **more):
    events = more.pop("events", [Event(1, "create", None, 1e9, {}, "h")])
    if evidence is not None:
        events.append(Event(len(events) + 1, "evidence", None, 1e9, {"evidence": evidence.to_json()}, "h"))
    return render(Snapshot(record, trials, [], events, **more), {"items": [], "statuses": {}})


SHAPES = {
    "usual": study(certify=6),
    "empty": study(0),
    "one": study(1),
    "all failed": study(8, states=[State.FAILED]),
    "all running": study(4, states=[State.RUNNING]),
    "all infeasible": study(12, constraints=["size <= -1"]),
    "relative, baseline failed": study(12, constraints=["size <= 2 * baseline"], states=[State.FAILED, State.DONE]),
    "no baseline": study(12, baseline=False),
    "three goals": study(20, goals=[Goal("loss", False), Goal("gain", True), Goal("size", False)]),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "name",
    "history parallel slices importance timeline pareto effects pairs ablation safe_ranges calibration".split(),
)
def test_every_figure_is_drawn_from_every_record(shape, name):
    fig = getattr(Plots(lambda: SHAPES[shape]), name)()
    assert fig.to_json()
    assert fig.data or fig.layout.annotations  # something is drawn, or it says why not


@pytest.mark.parametrize("shape", SHAPES)
def test_the_document_is_written_for_every_record(shape):
    record, trials = SHAPES[shape]
    page = Reader(document(record, trials))
    for heading in (
        "Question",
        "Data",
        "Space",
        "All trials",
        "Evidence",
        "Failures",
        "Limits",
        "Environment",
        "Integrity",
    ):
        assert heading in page.text
    assert f"The study's row says {len(trials)}: it fits" in page.text
    assert not re.search(r"\b(nan|inf|None)\b", page.text)


def test_the_document_needs_no_network():
    page = Reader(document(*SHAPES["usual"]))
    assert all(a.startswith("#") for a in page.addresses)
    assert "link" not in page.tags
    assert document(*SHAPES["usual"]).count("plotly.js v") == 1


def test_the_figures_of_an_explanation_show_what_it_says():
    record, trials = SHAPES["usual"]
    told, plots = Explanation.of(record, trials), Plots(lambda: SHAPES["usual"])
    (bars,) = plots.ablation().data
    assert sum(bars.x) == pytest.approx(sum(s.gain for s in told.ablation()), rel=0.01)
    assert bars.base[0] == 0
    marks = {t.name: t for t in plots.safe_ranges().data}
    assert len(marks["chosen"].x) == len(told.safe_ranges())
    inside = [x for x in marks["does as well"].x if x is not None]
    assert all(0 <= x <= 1 for x in inside)
    for s, x in zip(told.safe_ranges()[::-1], marks["chosen"].x, strict=True):
        if s.name == "rate":
            assert x == pytest.approx(1 + math.log10(s.at) / 4, abs=1e-4)
    seen = plots.calibration().data[-1]
    c = told.calibration()
    assert seen.x == pytest.approx(c.predicted, rel=1e-3)
    assert seen.y == pytest.approx(c.results, rel=1e-3)
    shares = {t.name: t for t in plots.effects().data}
    assert list(shares["by itself (first order)"].x) == pytest.approx(sorted_by_total(told), abs=1e-3)
    curve = plots.dependence("rate")
    assert curve.layout.xaxis.type == "log"
    assert len(plots.dependence("kind").data[0].x) == 3
    assert np.shape(plots.surface("rate", "kind").data[0].z) == (3, 16)
    with pytest.raises(SpecError, match="did you mean 'rate'"):
        plots.dependence("rat")


def test_a_document_explains_the_setting_that_was_certified():
    record, trials = SHAPES["usual"]
    best = Facts(record, trials).explanation.best
    chosen = Facts(record, trials, certified=1).explanation
    assert best != trials[1].params == chosen.best
    assert chosen.ablation()[-1].params == trials[1].params


def sorted_by_total(told):
    totals = told.totals()
    return [told.sobol()[n].value for n in sorted(totals, key=lambda n: -totals[n].value)[::-1]]


def test_the_same_record_gives_the_same_bytes():
    record, trials = SHAPES["usual"]
    assert document(record, trials, proof(record, trials)) == document(record, trials[::-1], proof(record, trials))


def test_texts_of_users_are_disarmed():
    record, trials = study(12, name="<script>alert(1)</script>")
    text = document(record, trials, data={"<b>": "<img src=x>"})
    page = Reader(text)
    assert page.tags.count("script") == 4
    assert "img" not in page.tags
    assert "<script>alert(1)" in page.text
    assert "</script><img" in page.text  # the first line of the error, shown as it is


@pytest.mark.parametrize("decision", ["proven", "infeasible", "worse", "not shown"])
def test_the_answer_comes_first(decision):
    record, trials = SHAPES["usual"]
    if decision == "proven":
        record = replace(record, spec=replace(record.spec, constraints=()))
    shift = {"proven": -5.0, "infeasible": -5.0, "worse": 5.0, "not shown": 0.0}[decision]
    runs = [t if t.purpose is Purpose.SEARCH or t.number % 2 == 0 else moved(t, shift) for t in trials]
    found = proof(record, runs)
    assert found.decision == decision
    page = Reader(document(record, runs, found)).text
    assert page.index(formatting.estimate(found.difference, found.interval)[0]) < page.index("Question")
    assert decision.capitalize() in page[: page.index("Question")]
    assert ("It broke 'size <= 80'" in page) == (decision != "proven")


def moved(t, shift):
    return replace(t, metrics={**t.metrics, "loss": t.metrics["loss"] + shift})


def test_without_evidence_nothing_is_claimed():
    page = Reader(document(*study(12))).text
    head = page[: page.index("Question")].lower()
    assert "no evidence" in head
    assert "not been tested" in head
    assert "By the first of 3 goals, the best setting" in Reader(document(*SHAPES["three goals"])).text
    assert "proven" not in head
    assert "Not filled in" not in page  # it is drawn by the style sheet
    assert document(*study(12)).count('class="missing"') >= 5


def test_changed_parameters_are_marked():
    record, trials = SHAPES["usual"]
    found = proof(record, trials)
    changed = {k for k in SPACE.names if found.baseline.get(k, ...) != found.tuned.get(k, ...)}
    assert document(record, trials, found).count('<tr class="changed"') == len(changed) > 0


def test_findings_are_an_alarm():
    page = Reader(document(*SHAPES["one"], findings=["event 3 (finish): its content does not fit its hash"])).text
    assert "does not fit its chain" in page[: page.index("Question")]
    assert "event 3 (finish)" in page


def test_events_and_revisions_are_counted():
    events = [Event(i + 1, kind, None, 1e9, {}, "h") for i, kind in enumerate(["create", "spec", "finish", "finish"])]
    page = Reader(document(*SHAPES["one"], events=events)).text
    assert "4 events: 1 create, 1 spec, 2 finish" in page
    assert "Changes after the study was created" in page


def test_certify_trials_stay_out_of_the_figures_of_the_search():
    record, trials = SHAPES["usual"]
    search = [t for t in trials if t.purpose is Purpose.SEARCH]
    for name in ("history", "parallel", "slices", "importance", "pareto"):
        draw = getattr(figures, name)
        assert draw(Facts(record, trials)).to_json() == draw(Facts(record, search)).to_json()


def test_the_timeline_hatches_the_runs_of_the_evidence_and_no_others():
    record, trials = study(12, states=[State.DONE], certify=2)
    trials[5:7] = [replace(trials[n], purpose=Purpose.SELECT) for n in (5, 6)]
    shapes = {bars.name: bars.marker.pattern.shape for bars in figures.timeline(Facts(record, trials)).data}
    assert shapes == {"search, done": "", "select, done": "/", "certify, done": "/"}


def test_statuses_differ_in_shape_and_in_colour():
    fig = figures.history(Facts(*SHAPES["usual"]))
    marks = {t.name: t.marker for t in fig.data if t.name in ("feasible", "infeasible", "stopped early", "failed")}
    assert len(marks) == 4
    assert len({m.symbol for m in marks.values()}) == len({m.color for m in marks.values()}) == 4


def test_the_best_so_far_only_improves_and_is_feasible():
    record, trials = SHAPES["usual"]
    facts = Facts(record, trials)
    best = [t.metrics["loss"] for t in facts.incumbents()]
    assert best == sorted(best, reverse=True)
    assert all(t.metrics["size"] <= 80 for t in facts.incumbents())
    (line,) = [t for t in figures.history(Facts(record, trials)).data if t.name == "best so far"]
    assert min(line.y) == min(c.metrics["loss"] for c in facts.candidates if c.feasible)


def test_a_short_training_is_no_best_so_far():
    record, trials = study(12, states=[State.DONE])
    record = replace(record, spec=replace(record.spec, fidelity=Fidelity("epochs", 1, 9), constraints=()))
    trials = [replace(t, fidelity=1.0 if t.number % 2 else 9.0) for t in trials]
    facts = Facts(record, trials)
    assert [t.number % 2 for t in facts.incumbents()] == [0] * len(facts.incumbents())
    assert facts.incumbents()[-1].number == facts.best.number


@given(st.floats(1e-300, 1e300), st.floats(1.0, 1e3))
def test_a_logarithmic_axis_has_a_few_marks_however_narrow_its_range(low, ratio):
    p = Float(low, min(low * ratio, 1e306), log=True)
    marks = axis(StudySpec("s", Space(rate=p), LOSS), "rate")["tickvals"]
    assert 1 <= len(marks) <= 5
    assert [*marks] == sorted(marks)
    assert p.low <= marks[0] <= marks[-1] <= p.high


def test_logarithmic_parameters_have_logarithmic_axes():
    fig = figures.slices(Facts(*SHAPES["usual"]))
    assert (fig.layout.xaxis2.type, fig.layout.xaxis3.type) == ("log", None)
    assert fig.layout.xaxis.ticktext == ("tree", "line&lt;b&gt;", "none")


def test_slices_of_some_parameters_can_be_asked_for():
    plots = Plots(lambda: SHAPES["usual"])
    assert plots.slices(["rate"]).layout.xaxis.title.text == "rate"
    for wrong, said in (({"params": ["rat"]}, "did you mean 'rate'"), ({"params": "rate"}, r"write params=\['name'\]"),
                        ({"columns": 0}, "columns=0 must be")):  # fmt: skip
        with pytest.raises(SpecError, match=said):
            plots.slices(**wrong)


def test_goals_of_a_figure_are_named_by_metric_or_place():
    record, trials = study(12, goals=(*LOSS, Goal("gain", True)), states=[State.DONE])
    plots = Plots(lambda: (record, trials))
    assert plots.pareto(("gain", "loss")) == plots.pareto((1, 0))
    assert plots.history("gain") == plots.history(1)
    for wrong in (lambda: plots.history("size"), lambda: plots.pareto((0, 2)), lambda: plots.pareto(("gain", "los"))):
        with pytest.raises(SpecError, match="none of the study's goals: loss, gain"):
            wrong()
    for wrong in (1, "gain", ("gain",)):
        with pytest.raises(SpecError, match=r"write goals=\(0, 1\)"):
            plots.pareto(wrong)


def test_of_very_many_trials_figures_draw_the_best_and_a_sample_and_say_so():
    record, trials = study(4500, constraints=(), states=[State.DONE])
    facts = Facts(record, trials)
    best = sorted(trials, key=lambda t: t.metrics["loss"])[:500]
    assert facts.drawn >= {t.number for t in [*best, *facts.incumbents(), trials[0]]}
    assert 1500 < len(facts.drawn) <= MOST_DRAWN
    others = sorted(facts.drawn - {t.number for t in best})
    assert max(b - a for a, b in pairwise([0, *others, 4500])) < 20  # evenly over the whole search
    said = f"{len(facts.drawn):,} of 4,500 trials are drawn"
    assert facts.left_out.startswith(said)
    assert said in Reader(document(record, trials)).text
    few, every = figures.history(facts), [t.metrics["loss"] for t in trials]
    assert said in [note.text for note in few.layout.annotations]
    assert sum(len(t.x) for t in few.data if t.name == "feasible") == len(facts.drawn)
    assert list(few.layout.yaxis.range) == view(every, maximize=False)[0]
    fifths = [t for t in figures.parallel(facts).data if t.name in ("best fifth", "worst fifth by loss")]
    assert len(fifths[1].x) > len(fifths[0].x) > 0  # by all trials, of which more good ones are drawn


def test_trials_that_follow_one_another_closely_share_a_bar():
    record, trials = study(3000, states=[State.DONE, State.DONE, State.FAILED])
    trials = [replace(t, ended=t.started + 0.9, private={}) for t in trials]
    trials[2000:] = [replace(t, started=t.started + 2000, ended=t.ended + 2000) for t in trials[2000:]]
    done, failed = figures.timeline(Facts(record, trials)).data
    for bars, count in ((done, 2000), (failed, 1000)):
        spans = [(60 * b, 60 * (b + x)) for b, x in zip(bars.base, bars.x, strict=True)]
        assert len(spans) == 2
        assert spans[0] == pytest.approx((0, 2000), abs=3)
        assert spans[1] == pytest.approx((4000, 5000), abs=3)  # nothing ran between them
        others = [int(n.replace(",", "")) for text in bars.hovertext for n in re.findall(r"and ([\d,]+) trial", text)]
        assert len(spans) + sum(others) == count
    assert failed.width < done.width


def test_overlapping_trials_without_a_worker_get_lanes_of_their_own():
    record, trials = study(6, states=[State.DONE])
    fig = figures.timeline(Facts(record, [replace(t, private={}) for t in trials]))
    assert set(fig.data[0].y) == {0, 1}  # each runs 1.5 s and starts 1 s after the one before


def test_the_lane_of_a_worker_that_is_over_is_free():
    """Each call of `run` is a worker of its own: ten calls one after the other are one lane."""
    record, trials = study(10, states=[State.DONE])
    calls = [replace(t, ended=t.started + 0.5, private={"worker": ["s", f"call {t.number}"]}) for t in trials]
    assert set(figures.timeline(Facts(record, calls)).data[0].y) == {0}


def test_a_long_metric_does_not_outgrow_a_low_panel():
    name = "neg_mean_absolute_percentage_error"
    record, trials = study(8, goals=(Goal(name, True),), states=[State.DONE])
    trials = [replace(t, metrics={name: 1.0 * t.number}) for t in trials]
    assert figures.slices(Facts(record, trials)).layout.yaxis.title.text == "neg_mean_absolute_perce…"


def test_runs_by_which_the_search_chose_are_not_called_fresh():
    record, trials = study(8, states=[State.DONE], certify=4)
    found = proof(record, trials)
    said = [sections.answer.headline(Facts(record, trials), e)[1] for e in (found, replace(found, doubtful=True))]
    assert ["4 pairs of fresh runs" in text for text in said] == [True, False]
    assert "4 pairs of runs" in said[1]


@given(st.lists(st.floats(-1e6, 1e6), max_size=40), st.booleans())
def test_an_axis_shows_at_least_nine_tenths(values, maximize):
    span, beyond = view(values, maximize)
    if span is None:
        assert not values
        return
    inside = sum(span[0] <= v <= span[1] for v in values)
    assert inside == len(values) - beyond >= math.floor(0.9 * len(values))
    assert (max(values) if maximize else min(values)) <= span[1]


def test_limits_are_found():
    record, trials = study(12, states=[State.DONE, State.FAILED, State.DONE])
    said = " ".join(limits(Facts(record, trials), None, []))
    for expected in ("No evidence", "Small budget", "Failures: 4 of 12", "ran once"):
        assert expected in said
    said = " ".join(limits(Facts(*study(3, baseline=False, states=[State.RUNNING])), None, []))
    assert "No baseline" in said
    assert "3 trials queued or running" in said


def test_a_best_on_the_edge_or_close_to_a_limit_is_told():
    record, trials = study(40, states=[State.DONE])
    edge = {"kind": "tree", "rate": 0.0001, "depth": 10, "fixed": 3}
    metrics = {"loss": -1.0, "size": 79.0}
    said = " ".join(limits(Facts(record, [*trials[:-1], replace(trials[-1], params=edge, metrics=metrics)]), None, []))
    assert "rate = 0.0001 (from 0.0001 to 1)" in said
    assert "depth" not in said
    assert "fixed" not in said
    assert "Close to a limit (size <= 80)" in said


def test_the_report_cuts_a_long_list_and_the_evidence_record_has_every_trial(monkeypatch):
    record, trials = SHAPES["one"]
    many = [replace(trials[0], number=n) for n in range(sections.trials.MOST_ROWS + 5)]
    created = Event(1, "create", None, 1e9, {"spec": record.spec.to_json()}, "h")
    listed = evidence.trials(Snapshot(record, many, [], [created]))[-1]
    assert (listed.title, len(listed.rows)) == ("Every trial", len(many))
    monkeypatch.setattr(sections.trials, "MOST_ROWS", 5)
    text = document(*SHAPES["usual"])
    assert len(re.findall(r"<td>search</td>", text)) == 1 + 5  # of the table of counts, and of the list
    assert "The first 5 of 42" in Reader(text).text


def test_a_failed_trial_shows_its_reason_and_another_one_how_far_it_was_trained():
    record, trials = study(2, states=[State.FAILED, State.DONE])
    trained = [replace(t, curve={1.0: {"loss": 1.0}, 3.0: {"loss": 0.5}}) for t in trials]
    rows = sections.trials.trial_table(Facts(record, trained), Origins(record, ())).rows
    assert [(row[2], source) for row, source in rows] == [
        ("failed (timeout)", ("trial:0",)),
        ("done at 3", ("trial:1",)),
    ]


@pytest.mark.parametrize("change", [{"baseline": {"kind": None, "rate": 0.5, "fixed": 3}}, {"baseline": None}])
def test_a_document_has_the_baseline_that_the_study_has(change):
    """After a revision of the baseline trial 0 is the run of an earlier one, and no limit is relative to it."""
    record, trials = study(12, constraints=["size <= 2 * baseline"], states=[State.DONE])
    revised = replace(record, spec=replace(record.spec, **change))
    for row in (record, revised):
        ledger = Explanation.of(row, trials).ledger
        facts = Facts(row, trials)
        assert facts.baseline == ledger.baseline
        assert facts.candidates == incumbents.of_ledger(ledger)
    assert Facts(record, trials).baseline == trials[0]
    assert Facts(revised, trials).reference is None
    assert not any(t.name == "baseline" for t in figures.history(Facts(revised, trials)).data)


def test_settings_are_compared_with_their_types():
    """1 and True are options of their own: what ran twice is the one, and the chosen one ran once."""
    space = Space(k=Choice(1, True, default=1), x=Float(0, 1, default=0.5))
    record, trials = study(3, states=[State.DONE], constraints=())
    record = replace(record, spec=replace(record.spec, space=space, baseline=space.defaults()))
    settings = [{"k": 1, "x": 0.5}, {"k": 1, "x": 0.5}, {"k": True, "x": 0.5}]
    trials = [
        replace(t, params=s, metrics={"loss": float(-n)}) for n, (t, s) in enumerate(zip(trials, settings, strict=True))
    ]
    assert Facts(record, trials).best.params["k"] is True
    assert "ran once in the search" in " ".join(limits(Facts(record, trials), None, []))


def test_what_is_inactive_lies_on_no_edge():
    """A parameter that a revision added under a condition has its assumed value in the setting of every older trial."""
    record, trials = study(40, states=[State.DONE], baseline=False)
    record = replace(record, spec=replace(record.spec, assumed={"depth": 12}))
    best = replace(trials[-1], params={"kind": None, "rate": 0.1, "fixed": 3}, metrics={"loss": -1.0, "size": 1.0})
    assert "edge" not in " ".join(limits(Facts(record, [*trials[:-1], best]), None, []))


def test_studies_that_were_archived_under_the_same_name_are_a_limit():
    record, trials = study()
    body = {"spec": record.spec.to_json(), "earlier": ["ab" * 16, "cd" * 16]}
    said = limits(Facts(record, trials), None, [Event(1, "create", None, 1e9, body, "h")])
    assert said[0] == (
        "Begun anew 2 times: what the archived studies of this name found (abababababab, cdcdcdcdcdcd) is not counted here."
    )


@pytest.mark.parametrize(
    ("missing", "extra"), [(["plotly"], "plot"), (["jinja2"], "report"), (["plotly", "jinja2"], "report")]
)
def test_a_missing_extra_is_named(monkeypatch, missing, extra):
    for name in [m for m in sys.modules if m.split(".")[0] in missing]:
        monkeypatch.delitem(sys.modules, name)
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf'pip install "trimtab\[{extra}\]"'):
        document(*SHAPES["usual"])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (formatting.number(0.123456789), "0.12346"),
        (formatting.number(1234567.0), "1,234,567"),
        (formatting.number(1234567.8), "1,234,568"),
        (formatting.number(99_999.7), "100,000"),
        (formatting.number(-99_999.7), "-100,000"),
        (formatting.number(999.4, 3), "999"),
        (formatting.number(math.nan), "unknown"),
        (formatting.number(1.5e-7), "1.5e-07"),
        (formatting.percent(0.9999), "> 99.9 %"),
        (formatting.percent(1.0), "100 %"),
        (formatting.duration(0.4213), "0.421 s"),
        (formatting.duration(200), "3 min 20 s"),
        (formatting.duration(7200), "2 h"),
        (formatting.duration(90061), "1 d 1 h"),
        (formatting.duration(None), "unknown"),
        (formatting.size(1536), "1.5 KiB"),
        (formatting.size(2**31), "2 GiB"),
        (formatting.size(1010 * 2**20), "1,010 MiB"),
        (formatting.moment(0.0), "1970-01-01 00:00:00 UTC"),
        (formatting.plural(1, "trial"), "1 trial"),
        (formatting.plural(2000, "trial"), "2,000 trials"),
        (formatting.estimate(0.0082621, (0.0072, 0.0093)), ("+0.0083", "+0.0072", "+0.0093")),
        (formatting.estimate(0.0, (0.0, 0.0)), ("0", "0", "0")),
        (formatting.setting({"a": None, "b": True, "c": 0.1, "d": 3}), "a=none, b=True, c=0.1, d=3"),
    ],
)
def test_figures_read_well(said, expected):
    assert said == expected


def test_every_strategy_has_its_method_in_words():
    assert set(strategies.names()) - {"auto"} <= METHODS.keys()
