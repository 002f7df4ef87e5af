"""The names that users rely on, in Python and on the command line: others may join them, but none of these may go."""

import runpy
from inspect import signature
from pathlib import Path

import pytest

import trimtab as tt
from trimtab import stopping, strategies
from trimtab.cli import cli
from trimtab.objective import ActiveTrial

MEMBERS = {
    tt: "Space Float Int Choice Study Trial State Budget Resources Fidelity Evidence",
    tt.Space: "require",
    tt.Study: "ask tell run enqueue add note best pareto trials frame evidence report verify replay reproduce "
    "pause resume cancel archive delete",
    tt.Trial: "number state params metrics seed purpose",
    tt.Evidence: "metric baseline tuned pairs difference interval p_better decision text",
    ActiveTrial: "report should_stop note",
}
KEYWORDS = {
    tt.Float: "low high log step default when prior",
    tt.Int: "low high log step default when prior",
    tt.Choice: "options ordered default when prior",
    tt.Study: "name space minimize maximize subject_to storage seed budget baseline replicates retries max_failures "
    "strategy stopping fidelity fresh",
    tt.Budget: "trials time cpu_hours gpu_hours cost",
    tt.Resources: "cpus memory time",
    tt.Fidelity: "name low high",
    tt.Study.run: "objective trials time workers resources",
    tt.Study.ask: "lease",
    tt.Study.tell: "trial metrics failed",
    tt.Study.enqueue: "params",
    tt.Study.add: "params metrics",
    tt.Study.note: "number text",
    tt.Study.evidence: "objective replicates",
    tt.Study.report: "path",
    ActiveTrial.report: "step",
    ActiveTrial.note: "text",
}
VERBS = (
    "demo run list show best trials evidence report verify replay reproduce pause resume cancel archive delete db worker "
    "report-metrics"
)


def missing(names, there):
    return [name for name in names.split() if name not in there]


@pytest.mark.parametrize("home", MEMBERS, ids=lambda home: home.__name__)
def test_no_promised_member_is_gone(home):
    assert missing(MEMBERS[home], [*dir(home), *getattr(home, "__dataclass_fields__", ())]) == []


@pytest.mark.parametrize("call", KEYWORDS, ids=lambda call: call.__qualname__)
def test_no_promised_argument_is_gone(call):
    assert missing(KEYWORDS[call], signature(call).parameters) == []


def test_what_a_trial_has_while_it_runs():
    trial = tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss").ask()
    assert missing("params seed number", vars(trial)) == []


def test_no_promised_strategy_rule_state_or_verb_is_gone():
    assert missing("auto grid random sobol gp tpe cma evolution nsga2 pbt", strategies.names()) == []
    assert missing("median asha hyperband wilcoxon", stopping.names()) == []
    assert [*tt.State] == ["queued", "running", "done", "stopped", "failed", "cancelled"]
    assert missing(VERBS, cli.commands) == []
    assert missing("upgrade", cli.commands["db"].commands) == []


def test_every_public_name_is_where_it_says_and_a_typed_program_runs(tmp_path, capsys):
    assert sorted(tt.__all__) == sorted([*tt._HOME, "__version__"])
    made = runpy.run_path(str(Path(__file__).parent / "examples" / "typed.py"))
    assert "metrics.loss" in made["documents"](tmp_path)
    assert (tmp_path / "report.html").exists()
    assert "6 of its 6 trials are given out" in capsys.readouterr().out
