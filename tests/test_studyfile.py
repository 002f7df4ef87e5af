"""The YAML form of a study: what it means, and what a user is told who writes it wrong."""

import itertools
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import trimtab as tt
from trimtab import studyfile
from trimtab.cli import cli
from trimtab.errors import SpaceError, SpecError, UserError
from trimtab.objective import Command

EXAMPLES = Path(__file__).parent / "examples"
WHOLE = """\
study: credit-risk
objective: train.py:objective
space:
  booster:       {choice: [gbtree, dart, gblinear], default: gbtree}
  learning_rate: {float: [1e-4, 0.3], log: true, default: 0.1, prior: [0.05, high]}
  max_depth:     {int: [2, 12], default: 6, step: 2, when: {booster: [gbtree, dart]}}
  bins:          {choice: [8, 16], ordered: true, default: 16}
require: ["max_depth <= 10 or learning_rate < 0.05"]
maximize: auc
minimize: [loss]
subject_to: ["latency_ms <= 20"]
budget: {trials: 100, time: 30m}
baseline: {booster: gblinear, learning_rate: 0.2, bins: 8}
strategy: random
seed: 7
workers: 2
replicates: 2
retries: 1
max_failures: 5
deterministic: true
resources: {cpus: 1, memory: 2GiB, time: 5m}
storage: sqlite:///trimtab.db
evidence: {replicates: 10, test_train_ratio: 0.25, equivalence: 1e-3, metric: auc}
"""


@pytest.fixture
def written(tmp_path):
    """A function that writes a text to a file and reads it."""

    def write(text):
        path = tmp_path / "study.yaml"
        path.write_text(text, encoding="utf-8")
        return studyfile.read(path)

    return write


def test_unlimited_failures_are_null(written):
    text = WHOLE.replace("max_failures: 5", "max_failures: null")
    assert written(text).study["max_failures"] is None
    assert "max_failures" not in written(WHOLE.replace("max_failures: 5\n", "")).study
    with pytest.raises(SpecError, match="max_failures"):
        written(text.replace("null", "none"))


def test_every_key_reaches_the_study(written):
    file = written(WHOLE)
    when = {"booster": ["gbtree", "dart"]}
    space = tt.Space(
        booster=tt.Choice("gbtree", "dart", "gblinear", default="gbtree"),
        learning_rate=tt.Float(1e-4, 0.3, log=True, default=0.1, prior=(0.05, "high")),
        max_depth=tt.Int(2, 12, default=6, step=2, when=when),
        bins=tt.Choice(8, 16, ordered=True, default=16),
    ).require("max_depth <= 10 or learning_rate < 0.05")
    assert file.name == "credit-risk"
    assert file.objective == "train.py:objective"
    assert file.study["space"] == space
    assert {k: v for k, v in file.study.items() if k != "space"} == {
        "maximize": ["auc"],
        "minimize": ["loss"],
        "subject_to": ["latency_ms <= 20"],
        "budget": tt.Budget(trials=100, time=1800.0),
        "baseline": {"booster": "gblinear", "learning_rate": 0.2, "bins": 8},
        "strategy": "random",
        "seed": 7,
        "replicates": 2,
        "retries": 1,
        "max_failures": 5,
        "deterministic": True,
    }
    assert (file.workers, file.storage) == (2, "sqlite:///trimtab.db")
    assert file.resources == tt.Resources(cpus=1, memory="2GiB", time="5m")
    assert file.evidence == {"replicates": 10, "test_train_ratio": 0.25, "equivalence": 1e-3, "metric": "auc"}
    assert file.path.is_absolute()


def test_the_whole_file_makes_a_study(written):
    file = written(WHOLE)
    spec = tt.Study(file.name, **file.study).spec
    assert spec.metrics == ("loss", "auc", "latency_ms")
    assert spec.seed == 7


@pytest.mark.parametrize("name", ["shell.yaml", "argparse.yaml"])
def test_the_examples_are_sound(name):
    assert isinstance(studyfile.read(EXAMPLES / name).objective, Command)


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "0.0001", ".0001", "+1.e-4"])
def test_numbers_are_those_of_yaml_1_2(written, text):
    assert written(WHOLE.replace("1e-4", text)).study["space"].params["learning_rate"].low == 1e-4


@pytest.mark.parametrize(
    "word", ["on", "off", "yes", "no", "y", "n", "On", "NO", "2024-01-31", "1:30", "1_000", "0x1f"]
)
def test_words_of_yaml_1_1_stay_words(written, word):
    text = WHOLE.replace("[gbtree, dart, gblinear]", f"[gbtree, dart, gblinear, {word}]")
    assert written(text).study["space"].params["booster"].options[-1] == word


def test_texts_in_quotes_may_look_like_python(written):
    text = WHOLE.replace("dart, gblinear]", """dart, 'None', "(1, 2)", (a), null]""")
    assert written(text).study["space"].params["booster"].options[2:] == ("None", "(1, 2)", "(a)", None)


OPTION = st.one_of(
    st.booleans(),
    st.integers(-(2**31), 2**31),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("abcxyz_-", min_size=1, max_size=8),
)


@given(st.lists(OPTION, min_size=1, max_size=6, unique_by=lambda v: (type(v), v)))
def test_options_come_back_as_written(tmp_path_factory, options):
    path = tmp_path_factory.mktemp("file") / "study.yaml"
    data = {"study": "s", "objective": "m:f", "space": {"p": {"choice": options}}, "minimize": "loss"}
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    read = studyfile.read(path).study["space"].params["p"].options
    assert [(type(v), v) for v in read] == [(type(v), v) for v in options]


BAD = [
    ("budget:", "trials: 9\nbudget:", "trials is not a key that is known here; write budget: {trials: ...}"),
    ("budget:", "cpus: 2\nbudget:", "cpus is not a key that is known here; write resources: {cpus: ...}"),
    ("budget:", "bugdet:", "bugdet is not a key that is known here; did you mean 'budget'?"),
    ("budget:", "n_trials: 9\nbudget:", "n_trials is not a key that is known here; did you mean 'budget'?"),
    (
        "budget:",
        "metric: auc\nbudget:",
        "metric is not a key that is known here; did you mean 'minimize' or 'maximize'?",
    ),
    (
        "{int: [2, 12]",
        "{min: 2, max: 12",
        "space.max_depth.min is not a key that is known here; did you mean 'float' or",
    ),
    ("time: 30m", "tim: 30m", "budget.tim is not a key that is known here; did you mean 'time'?"),
    ("memory: 2GiB", "menory: 2GiB", "resources.menory is not a key"),
    ("{replicates: 10", "{replicate: 10", "evidence.replicate is not a key that is known here; did you mean"),
    ("log: true", "lgo: true", "space.learning_rate.lgo is not a key that is known here; did you mean 'log'?"),
    ("{int: [2, 12]", "{itn: [2, 12]", "space.max_depth.itn is not a key that is known here; did you mean 'int'?"),
    ("ordered: true", "log: true", "space.bins.log is not a key"),
    (
        "[gbtree, dart, gblinear]",
        "[gbtree, None]",
        "None is a text in YAML; write null for no value, or 'None' in quotes",
    ),
    (
        "[gbtree, dart, gblinear]",
        "[gbtree, (1, 2)]",
        "(1 begins a tuple, and YAML has none: it ends this text at the comma",
    ),
    ("float: [1e-4, 0.3]", "float: 0.1", "space.learning_rate.float: 0.1; two numbers are needed here: [low, high]"),
    ("[1e-4, 0.3]", "['1e-4', 0.3]", "space.learning_rate.float[0]: '1e-4'; a number is needed here, without quotes"),
    ("[1e-4, 0.3]", "[0.3, 1e-4]", "space.learning_rate: low=0.3 is above high=0.0001; swap them"),
    ("[2, 12]", "[2.5, 12]", "space.max_depth: low=2.5 is not an integer"),
    ("log: true", "log: yes", "space.learning_rate.log: 'yes'; write true or false"),
    ("[8, 16]", "8", "space.bins.choice: 8; a list of options is needed here"),
    ("[8, 16]", "[[8], 16]", "space.bins.choice[0]: [8]; a single value is needed here"),
    ("{booster: [gbtree, dart]}", "booster", "space.max_depth.when: 'booster'; write {parent: [values]}"),
    ("{booster: [gbtree, dart]}", "{boster: dart}", "'boster', which is not a parameter; did you mean 'booster'?"),
    ("default: gbtree", "default: gbtre", "space.booster: default: 'gbtre' is not an option; did you mean 'gbtree'?"),
    ("[0.05, high]", "[0.05, high, 1]", "space.learning_rate.prior: [0.05, 'high', 1]; write a centre"),
    ("max_depth <= 10", "max_dpeth <= 10", "'max_dpeth' is not a parameter; did you mean 'max_depth'?"),
    ("study: credit-risk", "study: 2024", 'study: 2024; a text is needed here, in quotes: "2024"'),
    ("study: credit-risk", "", "study is missing; write study: a-name"),
    ("objective: train.py:objective", "", "the file needs either objective (file.py:function) or command"),
    ("seed: 7", "command: ./train.sh", "the file needs either objective (file.py:function) or command"),
    ("maximize: auc\nminimize: [loss]", "", "the study has no goal; write maximize: auc"),
    ("maximize: auc", "maximize: [auc, 3]", "maximize[1]: 3; a text is needed here"),
    ("trials: 100", "trials: 0", "budget.trials=0 must be a whole number of at least 1"),
    ("time: 30m", "time: 30q", "budget.time='30q' is no positive amount"),
    ("memory: 2GiB", "memory: lots", "resources.memory='lots' is no positive amount"),
    ("cpus: 1", "cpus: many", "resources.cpus='many' must be a whole number"),
    ("cpus: 1", "cpus: [1]", "resources.cpus: [1]; a number is needed here"),
    ("workers: 2", "workers: two", "workers: 'two'; a whole number is needed here"),
    ("workers: 2", "workers: -1", "workers: -1; a whole number of at least 1 is needed here"),
    ("workers: 2", "workers: 99999999999999999999", "workers: 99999999999999999999; it is too large"),
    ("equivalence: 1e-3", "equivalence: -1", "evidence.equivalence=-1 must be a number of at least 0, and finite"),
    ("ratio: 0.25", "ratio: .nan", "evidence.test_train_ratio=nan must be a number of at least 0"),
    ("metric: auc", "metric: acu", "evidence.metric: 'acu' is none of the goals; did you mean 'auc'?"),
    ("seed: 7", "stopping: [[asha]]", "stopping[0]: ['asha']; a text is needed here"),
    ("seed: 7", "stopping: &a [*a]", "an alias (*name) stands inside what it names"),
    ("seed: 7", "seed: !!map [7]", "line 15, column 7: this is no YAML: expected a mapping node, but found sequence"),
    ("seed: 7", "data: [a.csv]", "data: ['a.csv']; write {name: path, ...}"),
    ("workers: 2", "workers:", "workers: nothing is there; a whole number is needed here"),
    ("deterministic: true", "deterministic: on", "deterministic: 'on'; write true or false"),
    ("baseline: {booster", "baseline: booster #", "baseline: 'booster'; write {parameter: value, ...}"),
    ("storage: sqlite", "storage: {a: sqlite", "this is no YAML"),
    ("seed: 7", "workers: 7", "line 16, column 1: 'workers' stands twice in one mapping; remove one"),
    ("default: 6,", "int: [2, 5],", "'int' stands twice in one mapping"),
    ("seed: 7", "seed: [7", "this is no YAML"),
    ("seed: 7", "command: echo loss: 1", "not allowed here; a text that holds ': ' needs quotes around it"),
    ("seed: 7", "\tseed: 7", "line 15, column 1: this is no YAML: while scanning for the next token found"),
    ("seed: 7", "seed: *seven", "this is no YAML: found undefined alias 'seven'"),
    ("seed: 7", "seed: !!python/object:os.system 7", "this is no YAML: could not determine a constructor"),
    ("seed: 7", "seed: 7\n---\nseed: 8", "expected a single document"),
    (WHOLE, "", "the file is empty; write a mapping with keys such as study"),
    (WHOLE, "- study", "the file is ['study']; write a mapping"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD, ids=range(len(BAD)))
def test_what_is_wrong_is_said_with_its_place(written, old, new, message):
    assert old in WHOLE
    with pytest.raises(UserError) as caught:
        written(WHOLE.replace(old, new, 1))
    text = str(caught.value)
    assert message in text
    assert "study.yaml: " in text
    assert "\n" not in text


def test_no_two_bad_files_are_the_same():
    assert all(a[:2] != b[:2] for a, b in itertools.combinations(BAD, 2))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SpecError, match="there is no such file; the working folder is"):
        studyfile.read(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="is a folder"):
        studyfile.read(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("study: café".encode("latin-1"))
    with pytest.raises(SpecError, match="byte 10 is not UTF-8"):
        studyfile.read(tmp_path / "latin.yaml")


def test_an_error_keeps_its_type(written):
    with pytest.raises(SpaceError, match=r"learning_rate: low=0\.3 is above high=0\.0001"):
        written(WHOLE.replace("[1e-4, 0.3]", "[0.3, 1e-4]"))


@pytest.mark.parametrize(("key", "option"), [("storage: sqlite:///a.db", ""), ("", " --storage sqlite:///a.db")])
def test_revise_finds_the_store_of_the_file_and_a_hint_names_any_other(tmp_path, monkeypatch, key, option):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = "study: s\ncommand: echo {x}\nspace: {x: {int: [1, 9], default: 5}}\nminimize: loss\nbudget: {trials: 2}\n"
    Path("s.yaml").write_text(file + key)
    submit = ["submit", "s.yaml", *shlex.split(option)]
    assert CliRunner().invoke(cli, submit).exit_code == 0
    Path("s.yaml").write_text(file.replace("9", "12") + key)
    said = CliRunner().invoke(cli, submit).stderr
    hint = f"trimtab revise s.yaml{option}"
    assert said.endswith(f"On the command line: {hint}, or trimtab run s.yaml --fresh{option}\n")
    assert CliRunner().invoke(cli, shlex.split(hint)[1:]).stdout == "study 's' is what s.yaml says\n"


def test_a_file_in_the_place_of_a_study_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tt.Study("s", {"x": tt.Int(1, 9)}, minimize="loss", storage="sqlite:///trimtab.db")
    said = CliRunner().invoke(cli, ["show", "s.yaml"])
    assert said.exit_code == 2
    assert said.stderr.endswith("; give the name of the study, not of its file\n")


def test_a_run_without_a_baseline_says_what_evidence_needs_and_that_is_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = "study: s\ncommand: echo {x}\nspace: {x: {int: [1, 9]}}\nminimize: loss\nbudget: {trials: 2}\nseed: 1\n"
    Path("s.yaml").write_text(file)
    said = CliRunner().invoke(cli, ["run", "s.yaml", "--quiet"]).stdout
    ended = "To test the gain, write the setting to beat into the file, as baseline: {...}. Then: trimtab revise s.yaml"
    assert said.splitlines()[-1] == ended
    refused = CliRunner().invoke(cli, ["evidence", "s"])
    assert refused.exit_code == 2
    assert "this study has none, as not every parameter has a default" in refused.stderr
    Path("s.yaml").write_text(file + "baseline: {x: 9}\n")
    assert CliRunner().invoke(cli, ["revise", "s.yaml"]).stdout == "study 's' is what s.yaml says\n"
    again = CliRunner().invoke(cli, ["run", "s.yaml", "--quiet"]).stdout
    assert again.splitlines()[-1] == "Test the gain on fresh seeds: trimtab evidence s"
    assert CliRunner().invoke(cli, ["evidence", "s", "--replicates", "3", "--quiet"]).exit_code == 0


def test_a_run_whose_baseline_failed_says_so_at_once_and_at_its_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    Path("s.yaml").write_text(
        'study: s\ncommand: sh -c \'test "$0" != 9 && echo "$0"\' {x}\nspace: {x: {int: [1, 9], default: 9}}\n'
        "minimize: loss\nbudget: {trials: 3}\nseed: 1\n"
    )
    ran = CliRunner().invoke(cli, ["run", "s.yaml"])
    assert "s: trial 0, the baseline, failed (error): " in ran.stderr
    assert ran.stdout.splitlines()[-1] == (
        "The baseline failed, so that its runs in a test of the gain may fail, too. See why: trimtab trials s"
    )
