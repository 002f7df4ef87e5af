"""Commands as objectives: how they are called, and how what they print is read."""

import io
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from objectives import SPEC, Listener, run, task, write
from waiting import until

import trimtab as tt
from trimtab.cli import cli
from trimtab.errors import ObjectiveError
from trimtab.objective import ActiveTrial, Command, as_program, evaluation, report_metrics
from trimtab.objective.output import PrintedMetrics
from trimtab.objective.template import arguments
from trimtab.stopping.promotion import Promotion

names = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)


def active(**params):
    return ActiveTrial(task(params=params), Listener())


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("train --lr {lr} --depth {depth} --fast", ["train", "--lr", "0.25", "--fast"]),
        ("train --lr={lr} --depth={depth}", ["train", "--lr=0.25"]),
        ("train -d {depth} {lr}", ["train", "0.25"]),
        ("train {params} --seed {seed}", ["train", "--lr", "0.25", "--batch_size", "8", "--seed", "11"]),
        ("train 'two words' \"{lr} and {batch_size}\"", ["train", "two words", "0.25 and 8"]),
        ("train '{{\"n\": {trial}}}'", ["train", '{"n": 4}']),
        ("train --x {depth} --y {depth}", ["train"]),
        ("train --epochs {fidelity} --dir {checkpoint}", ["train"]),
    ],
)
def test_words_of_inactive_parameters_are_left_out(template, expected):
    assert arguments(template, active(lr=0.25, batch_size=8)) == expected


def test_a_flag_is_a_choice_of_null_and_the_flag(folder):
    """None is left out as an inactive parameter is; an empty text is an argument like any other."""
    template = "cc {native} -o out --sep {sep} --limit {limit} {params}"
    without = arguments(template, active(native=None, sep="", limit=None, level=2))
    assert without == ["cc", "-o", "out", "--sep", "", "--sep", "", "--level", "2"]
    assert arguments("cc {native} -O{level}", active(native="-march=native", level=2)) == ["cc", "-march=native", "-O2"]
    assert arguments("cc {seed} {params}", active(seed=None, params=None)) == ["cc"]


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("echo 'open", "close the quote"),
        ("echo {lrr}", "{lrr} is no parameter; did you mean 'lr'"),
        ("echo x{params}", "makes several words"),
        ("no-such-program {lr}", "no program 'no-such-program'"),
        ("./plain.txt", "chmod"),
    ],
)
def test_a_wrong_command_is_told_before_the_first_trial(template, pattern, folder):
    write(folder / "plain.txt", "echo\n")
    with pytest.raises(ObjectiveError, match=pattern):
        as_program(Command(template), SPEC)


def test_a_parameter_that_may_be_inactive_has_no_name_of_a_placeholder():
    """{checkpoint} would become the checkpoint's folder in trials without the parameter."""
    space = tt.Space(journal=tt.Choice("wal", "off"), checkpoint=tt.Int(1, 9, when={"journal": "wal"}))
    study = tt.Study("s", space, minimize="ms")
    with pytest.raises(ObjectiveError, match="rename the parameter"):
        study.run(Command("echo {checkpoint}"), trials=1, quiet=True)
    study.run(Command("echo 1 {params}"), trials=1, quiet=True)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["epoch 1", "auc: 0.5", "auc: 0.91"], {"auc": 0.91}),
        (["auc = 0.91, loss=2e-3"], {"auc": 0.91, "loss": 0.002}),
        (["val auc 0.91."], {"auc": 0.91}),
        (["AUC: .5"], {"auc": 0.5}),
        (["{'auc': 0.91}"], {"auc": 0.91}),
        (["loss: nan"], {"loss": math.nan}),
        (["loss -inf"], {"loss": -math.inf}),
        (["train_auc: 0.99", "auc_young: 0.8", "--auc 0.3", "x.auc: 1"], {}),
        (['{"auc": 0.9, "time": 3, "model": "tree"}', "auc: 0.1"], {"auc": 0.9, "time": 3}),
        (['{"auc": "high"}'], {"auc": "high"}),
        (['{"level": "info", "time": 3}', "{broken", "[1, 2]"], {}),
        (["auc: 0.5%"], {"auc": 0.5}),
        (["loss: 999.5", "loss: 1,234.5"], {"loss": "1,234.5"}),
        (["auc = 0,93"], {"auc": "0,93"}),
        (["loss: 12 345.6"], {"loss": "12 345.6"}),
        (["loss: -1'234 and auc: 1\u202f000\u202f000"], {"auc": "1\u202f000\u202f000", "loss": "-1'234"}),
        (["loss 0.25 100 auc 0 500 loss: 5 20"], {"auc": 0.0, "loss": 5.0}),  # of a table: no thousands
        (["\x1b[1mloss\x1b[0m: \x1b[38;5;9m0.25\x1b[0m\x1b[K", "\x1b[32mauc=0.5"], {"loss": 0.25, "auc": 0.5}),
        (['\x1b[32m{"loss": 0.5}\x1b[0m'], {"loss": 0.5}),
        (["auc 45/50, loss 3,"], {"auc": "45/50", "loss": 3.0}),
        (["auc: 1.2.3"], {}),
    ],
)
def test_metrics_are_found_in_what_a_command_prints(lines, found):
    printed = PrintedMetrics(("auc", "loss"))
    for line in lines:
        assert printed.line(line + "\n", active()) is False
    assert str(printed.metrics()) == str(found)


@given(names, finite)
def test_a_printed_metric_is_read_exactly(name, value):
    for line in (f"{name}: {value!r}", f"{name}={value!r}", json.dumps({name: value})):
        printed = PrintedMetrics((name,))
        printed.line(line, active())
        assert printed.metrics() == {name: value}


def test_a_bare_number_will_do_where_one_metric_is_needed():
    assert run(Command("sh -c 'echo hello; echo 0.75; echo'"))["metrics"] == {"loss": 0.75}
    assert "missing metric 'loss', 'auc'" in run(Command("echo 0.75"), metrics=("loss", "auc"))["error"]


def test_a_command_knows_its_trial_and_its_output_is_passed_on(folder, capfd):
    write(
        folder / "script.sh",
        """
        echo "$TRIMTAB_PARAMS $TRIMTAB_SEED $TRIMTAB_TRIAL $TRIMTAB_PURPOSE $TRIMTAB_REPLICATE"
        test -w "$TRIMTAB_RESULT" && echo "loss 1" && echo careful >&2
        """,
    )
    assert run(Command("sh script.sh"), purpose="certify", replicate=2)["metrics"] == {"loss": 1.0}
    out, err = capfd.readouterr()
    assert out == '{"lr": 0.25, "batch_size": 8} 11 4 certify 2\nloss 1\n'
    assert err == "careful\n"


def test_output_that_a_full_disk_does_not_take_is_no_fault_of_the_command(monkeypatch):
    with open("/dev/full", "wb", buffering=0) as full:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(full, write_through=True))
        assert run(Command("sh -c 'echo loss 1; echo careful >&2'"))["metrics"] == {"loss": 1.0}
        for stream in (sys.stdout, sys.stderr):
            stream.detach()


@pytest.mark.parametrize("place", ["TMPDIR", "."])
def test_a_failure_names_the_disk_that_is_full(folder, monkeypatch, place):
    """Also if the program itself does not say why it could not write."""
    monkeypatch.setenv("TMPDIR", "/tmp")
    full = Path.cwd() if place == "." else Path("/tmp")
    monkeypatch.setattr(evaluation, "is_full", lambda disk: disk == full)
    failed = run(Command("sh -c 'echo sorry >&2; exit 3'"))["error"]
    assert failed.splitlines()[0] == f"the command ended with exit code 3: sorry (the disk of {full} is full)"
    assert failed.splitlines()[2] == "command: sh -c 'echo sorry >&2; exit 3'"


@pytest.mark.parametrize(
    ("fidelity", "said"), [(1234567.0, "1234567"), (1e6, "1000000"), (0.1, "0.1"), (1 / 3, repr(1 / 3))]
)
def test_a_command_is_told_its_fidelity_exactly(capfd, fidelity, said):
    run(Command("""sh -c 'echo "$TRIMTAB_FIDELITY"; echo 1'"""), fidelity=fidelity)
    assert capfd.readouterr().out.splitlines()[0] == said


UNTOLD = "env -u TRIMTAB_CHECKPOINT -u TRIMTAB_FIDELITY"


@pytest.mark.parametrize("command", ["sh train.sh {x}", UNTOLD + " sh train.sh {x} {fidelity} {checkpoint}"])
@pytest.mark.parametrize("how", [{"stopping": Promotion(trust=0)}, {"strategy": "pbt"}])
def test_a_command_goes_on_from_the_checkpoint_that_is_handed_over(tmp_path, monkeypatch, how, command):
    """Each line of the file is an epoch: as many as the trial was to be trained, the parent's among them."""
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path / "train.sh",
        """
        file="${3:-$TRIMTAB_CHECKPOINT}/epochs"
        touch "$file"
        before=$(wc -l < "$file")
        for i in $(seq $((before + 1)) ${2:-$TRIMTAB_FIDELITY}); do echo $i >> "$file"; done
        echo "{\\"loss\\": $1, \\"before\\": $before, \\"after\\": $(wc -l < "$file")}"
        """,
    )
    study = tt.Study(
        "s", {"x": tt.Float(0, 1)}, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 9), budget={"trials": 12}, seed=1, **how
    )  # fmt: skip
    study.run(Command(command), quiet=True)
    assert study.notices == []
    went_on = [t for t in study.trials if t.parent is not None]
    assert all(t.metrics["after"] == t.fidelity for t in study.trials)
    assert all(t.metrics["before"] == study.trials[t.parent].fidelity for t in went_on)
    assert len(went_on) >= 2


def test_trials_that_go_on_from_one_another_and_save_nothing_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = tt.Study(
        "s", {"x": tt.Float(0, 1)}, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 9), budget={"trials": 12}, seed=1,
        stopping=Promotion(trust=0),
    )  # fmt: skip
    study.run(Command("echo loss {x}"))
    (told,) = (n for n in study.notices if "trained from scratch" in n)
    assert capsys.readouterr().err.count(f"s: {told}\n") == 1


def test_a_command_that_names_its_checkpoint_has_one_without_a_fidelity_too(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    study = tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss")
    study.run(Command("""sh -c 'test -d "$0" && echo loss 1' {checkpoint}"""), trials=1, quiet=True)
    assert study.counts["done"] == 1


def test_a_command_of_a_study_without_a_fidelity_leaves_no_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    study = tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss")
    study.run(Command("""sh -c 'test -z "$TRIMTAB_CHECKPOINT" && echo loss 1'"""), trials=1, quiet=True)
    assert study.counts["done"] == 1
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("shell", "reason", "text"),
    [
        ("echo loss 1; echo first >&2; echo last >&2; exit 3", "error", "exit code 3: last"),
        ("kill -11 $$", "error", "signal 11 (SIGSEGV)"),
        ("echo no number", "bad result", "missing metric 'loss' on the standard output of the command"),
        ("echo loss: nan", "bad result", "loss=nan"),
        ("echo {{}}", "bad result", "missing metric"),
        ("echo loss: 0.27ms", "bad result", "(it printed 'loss: 0.27ms')"),
        ("echo loss 1 >&2", "bad result", "(on standard error, which is not searched, it printed 'loss 1')"),
    ],
)
def test_a_command_that_fails_is_told(shell, reason, text):
    message = run(Command(f"sh -c '{shell}'"))
    assert (message["state"], message["reason"]) == ("failed", reason)
    assert text in message["error"].splitlines()[0]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("signal", [9, 15])
def test_a_command_that_is_killed_from_outside_runs_again_and_three_times_is_lost(signal, workers, tmp_path):
    write(
        tmp_path / "killed.sh",
        f"""
        echo "$TRIMTAB_TRIAL" >> {tmp_path}/begun
        times=$(grep -c "^$TRIMTAB_TRIAL$" {tmp_path}/begun)
        [ "$TRIMTAB_TRIAL" = 1 ] || [ "$TRIMTAB_TRIAL$times" = 21 ] && kill -{signal} $$
        echo loss: 0.5
        """,
    )
    study = tt.Study(
        "s", {"x": tt.Float(0, 1)}, minimize="loss", strategy="random", storage=f"sqlite:///{tmp_path}/s.db"
    )
    study.run(Command(f"sh {tmp_path}/killed.sh"), trials=4, workers=workers, quiet=True)
    ends = [(str(t.state), t.reason, t.attempt) for t in study.trials]
    assert ends == [("done", None, 1), ("failed", "lost", 3), ("done", None, 2), ("done", None, 1)]
    assert study.verify() == []


def test_a_flood_of_output_is_no_harm():
    assert run(Command(f"sh -c 'head -c 10000000 /dev/zero | tr \"\\\\0\" x; echo; echo loss {0.5}'"))["metrics"] == {
        "loss": 0.5
    }


def test_output_that_is_passed_on_slowly_is_read_to_its_end(monkeypatch):
    """As on a disk that is busy: the command has long ended when its first line has been written."""

    class Slow(io.StringIO):
        def write(self, text):
            time.sleep(1.2)
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Slow())
    message = run(Command(f"sh -c 'echo parameters; echo loss {0.5}'"))
    assert message["metrics"] == {"loss": 0.5}
    assert sys.stdout.getvalue() == "parameters\nloss 0.5\n"


def test_what_a_command_leaves_running_does_not_hold_the_trial():
    message = run(Command("sh -c 'sleep 20 & echo $!; echo loss 1'"))
    assert message["metrics"] == {"loss": 1.0}


def test_a_command_reports_and_is_ended_by_a_rule(folder):
    write(
        folder / "report.sh",
        """
        for i in $(seq 600); do
            echo "{\\"step\\": $i, \\"loss\\": $i.5}"
            sleep 0.05
        done
        """,
    )
    heard = Listener(stop_at=3)
    message = run(Command("sh report.sh"), listener=heard)
    assert message == {"state": "stopped", "metrics": {"loss": 3.5}}
    assert [m["step"] for m in heard.messages] == [1.0, 2.0, 3.0]


def test_metrics_may_come_through_the_result_file(tmp_path):
    script = tmp_path / "shell.sh"
    python = f"{sys.executable} -c 'import sys; from trimtab.objective import report_metrics as r; "
    write(script, f'{python} r(["loss=0.9"], step=1)\'\n{python} r(["loss=0.4", "auc=1"])\'\necho loss 77\n')
    heard = Listener()
    assert run(Command(f"sh {script}"), listener=heard)["metrics"] == {"loss": 0.4, "auc": 1.0}
    assert heard.messages == [{"kind": "report", "step": 1.0, "metrics": {"loss": 0.9}}]


@pytest.mark.parametrize("pairs", [[], ["auc"], ["=1"], ["auc=high"]])
def test_wrong_metrics_are_refused(pairs, tmp_path, monkeypatch):
    with pytest.raises(ObjectiveError, match="inside the command of a trial"):
        report_metrics(["auc=1"])
    monkeypatch.setenv("TRIMTAB_RESULT", str(tmp_path / "result"))
    with pytest.raises(ObjectiveError, match=r"auc=0\.91"):
        report_metrics(pairs)


def test_an_untouched_argparse_script_is_an_objective(folder):
    write(
        folder / "script.py",
        """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=float)
        parser.add_argument("--batch_size", type=int)
        args = parser.parse_args()
        print(f"val loss: {args.lr * args.batch_size}")
        """,
    )
    assert run(Command("python script.py {params}"))["metrics"] == {"loss": 2.0}


def test_commands_die_with_the_process_that_started_them(folder):
    write(
        folder / "starter.py",
        """
        import sys
        sys.path[:] = PATH
        from trimtab.objective.command import run
        from trimtab.objective import ActiveTrial
        task = dict(params={}, seed=1, number=1, purpose="search", replicate=None, attempt=1, metrics=["loss"])
        run("sh -c 'echo $$; exec sleep 300'", ActiveTrial(task, lambda message: {}))
        """.replace("PATH", repr(sys.path)),
    )
    environment = {**os.environ, "TMPDIR": str(folder)}  # what a kill leaves there goes with the test
    run_it = [sys.executable, "starter.py"]
    with subprocess.Popen(run_it, stdout=subprocess.PIPE, text=True, env=environment) as starter:
        pid = int(starter.stdout.readline())
        starter.kill()
    until(lambda: not os.path.exists(f"/proc/{pid}"))


def report(*given):
    """What `trimtab report-metrics`, which a command may call, answers."""
    return CliRunner().invoke(cli, ["report-metrics", *given])


def test_report_metrics_outside_a_trial_is_an_error(monkeypatch):
    monkeypatch.delenv("TRIMTAB_RESULT", raising=False)
    outside = report("auc=0.9")
    assert outside.exit_code == 2
    assert "TRIMTAB_RESULT" in outside.stderr


def test_report_metrics_writes_lines(tmp_path, monkeypatch):
    result = tmp_path / "result"
    monkeypatch.setenv("TRIMTAB_RESULT", str(result))
    result.touch()
    assert report("auc=0.9", "loss=1e-3").exit_code == 0
    assert report("auc=0.8", "--step", "3").exit_code == 0
    lines = [json.loads(line) for line in result.read_text().splitlines()]
    assert lines == [{"auc": 0.9, "loss": 1e-3}, {"step": 3.0, "auc": 0.8}]
    wrong = report("auc")
    assert wrong.exit_code == 2
    assert "auc" in wrong.stderr
