"""What is shown where there is no value: a dash or a blank; `none` is the option None of a choice."""

import pytest
from click.testing import CliRunner

import trimtab as tt
from trimtab.cli import cli
from trimtab.evidence.ablation import Step
from trimtab.reports.sections.explained import path_rows
from trimtab.reports.sections.history import flat


@pytest.fixture
def printed(tmp_path, monkeypatch):
    """What a command says of a study that holds a result from elsewhere and a trial that failed."""
    monkeypatch.chdir(tmp_path)
    study = tt.Study("s", {"x": tt.Choice(None, "a")}, minimize="loss", storage="sqlite:///trimtab.db")
    study.add({"x": None}, 1.0)
    study.enqueue({"x": "a"})
    study.tell(study.ask(), failed="out of luck")

    def call(*args):
        done = CliRunner().invoke(cli, args)
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


def test_the_option_none_is_a_value(printed):
    assert printed("best", "s").endswith("\n\nx  none\n")
    assert "\nparams    x=none\n" in printed("show", "s", "0")
    assert path_rows([Step("x", "a", None, {"x": None}, 0.5, 0.1)])[0][0] == "x: a → none"


def test_metrics_of_a_failed_trial_and_the_time_of_a_result_from_elsewhere(printed):
    elsewhere, failed = printed("trials", "s").splitlines()[1:]
    assert elsewhere.split() == ["0*", "done", "import", "1", "x=none"]
    assert failed.split()[:4] == ["1", "failed", "(error)", "search"]
    assert "\nspent" not in printed("show", "s", "0")
    assert "\nmetrics   –\n" in printed("show", "s", "1")


def test_what_a_description_leaves_open():
    assert flat({"rows": None, "source_of": {"name": "UCI"}}) == [("rows", "–"), ("source of", "name=UCI")]
