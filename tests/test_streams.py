"""A run and a worker do their work whether or not anybody can read what they say."""

import subprocess
import sys

import pytest

import trimtab as tt

FILE = """
study: s
objective: train.py:objective
space: {x: {float: [0, 1], default: 0.5}}
minimize: loss
budget: {trials: 3}
storage: sqlite:///s.db
"""
VERBS = {
    "run": ["run", "s.yaml"],
    "worker": ["worker", "--allow", "train.py", "--trials", "3", "--storage", "sqlite:///s.db"],
}
STREAMS = {
    "closed": "<&- >&- 2>&-",
    "on a full disk": ">/dev/null 2>/dev/full",
    "a pipe without a reader": "2>&1 >/dev/null | true",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(FILE)
    (tmp_path / "train.py").write_text("def objective(trial):\n    print('said')\n    return trial.params['x']\n")


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("verb", VERBS)
def test_work_goes_on_when_nobody_can_read_about_it(verb, streams, place):
    trimtab = [sys.executable, "-m", "trimtab"]
    if verb == "worker":
        subprocess.run([*trimtab, "submit", "s.yaml"], check=True, stdout=subprocess.DEVNULL)
    line = f'set -o pipefail; "$@" {STREAMS[streams]}'
    subprocess.run(["bash", "-c", line, "bash", *trimtab, *VERBS[verb]], timeout=300, check=True)
    study = tt.Study("s", storage="sqlite:///s.db")
    assert [(t.state, t.output) for t in study.trials] == [("done", "said\n")] * 3
    assert study.verify() == []


def test_a_reader_that_goes_away_is_no_error(place):
    trimtab = [sys.executable, "-m", "trimtab"]
    subprocess.run([*trimtab, "run", "s.yaml"], check=True, capture_output=True)
    pipe = " ".join([*trimtab, "trials", "s", "--json", "--storage", "sqlite:///s.db"]) + " | head -c 1"
    result = subprocess.run(["sh", "-c", pipe], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("{", "")


def test_what_the_command_line_cannot_do_is_said_in_words(place):
    def told(line):
        return subprocess.run(["sh", "-c", line, "sh", sys.executable, "-m", "trimtab"], capture_output=True, text=True)

    full = told('"$@" --version >/dev/full')
    assert (full.returncode, full.stderr) == (2, "trimtab: standard output cannot be written: the disk is full\n")
    gone = told('mkdir gone; cd gone; rmdir ../gone; "$@" run s.yaml')
    assert (gone.returncode, gone.stderr.count("\n")) == (2, 1)
    assert gone.stderr.startswith("trimtab: the working folder does not exist any more; change to another one")


def test_a_script_without_standard_error_runs(place):
    script = "import trimtab as tt\nstudy = tt.Study('s', tt.Space(x=tt.Float(0, 1)), minimize='loss')\n"
    script += "study.run(lambda trial: 1.0, trials=2)\nprint(len(study.trials))"
    told = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert (told.returncode, told.stdout.split()) == (0, [b"2"])


def test_what_the_encoding_of_standard_output_lacks_is_shown_by_its_number(place, monkeypatch):
    tt.Study("größe-ı", {"x": tt.Float(0, 1)}, minimize="loss", storage="sqlite:///trimtab.db").ask()
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    result = subprocess.run([sys.executable, "-m", "trimtab", "list"], capture_output=True, check=True)
    assert "größe-\\u0131  open".encode("latin-1") in result.stdout
