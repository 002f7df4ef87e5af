"""Opening a study: the same line continues it, another spec is an error that helps, nothing is ever deleted by it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

import trimtab as tt
from trimtab import strategies
from trimtab.errors import SpecError, StudyMismatch, StudyNotFound
from trimtab.goals import goals
from trimtab.storage.memory import Memory
from trimtab.strategies.nsga2 import NSGA2
from trimtab.strategies.random import Random


def test_another_spec_under_the_same_name_shows_the_difference(space, url):
    tt.Study("s", space, minimize="loss", storage=url)
    with pytest.raises(StudyMismatch, match=r"(?s)goals.*loss.*revise\(.*fresh=True"):
        tt.Study("s", space, maximize="auc", storage=url)
    with pytest.raises(StudyMismatch, match="space"):
        tt.Study("s", tt.Space(a=tt.Int(1, 3)), minimize="loss", storage=url)


@dataclass(frozen=True)
class Own(Random):
    """A user's strategy that holds a function."""

    name: str = "own"
    key: Callable[[float], float] = abs


def test_a_strategy_that_holds_a_function_goes_on_in_another_process():
    """There, the function has another address."""
    store = Memory()
    for key in (lambda x: x, lambda x: x):
        study = tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss", storage=store, strategy=Own(key=key), seed=1)
        study.run(lambda trial: trial.params["x"], trials=study.counts["done"] + 2, quiet=True)
    assert study.counts["done"] == 4


def test_another_space_shows_which_parameters_differ():
    old = {"a": tt.Int(1, 3, default=1), "b": tt.Choice("x", "y"), "c": tt.Float(0, 1)}
    study = tt.Study("s", old, minimize="loss", storage=(url := Memory()))
    with pytest.raises(StudyMismatch) as error:
        tt.Study("s", {**old, "a": tt.Int(1, 4, default=1), "d": tt.Float(0, 1)}, minimize="loss", storage=url)
    assert "space a: stored Int(1, 3, default=1), given Int(1, 4, default=1)\n" in str(error.value)
    assert "space d: stored None, given Float(0.0, 1.0)\n" in str(error.value)
    assert "space b" not in str(error.value)
    with pytest.raises(StudyMismatch, match=r"require: stored \[\], given \[\"c < 0.5\"\]\n"):
        tt.Study("s", study.spec.space.require("c < 0.5"), minimize="loss", storage=url)
    with pytest.raises(StudyMismatch, match="in order: stored a, b, c, given c, b, a\n"):
        tt.Study("s", dict(reversed(old.items())), minimize="loss", storage=url)


@pytest.mark.parametrize(
    ("given", "call"),
    [
        ({"minimize": "seconds"}, "revise(minimize=...)"),
        ({"minimize": "seconds", "maximize": "auc"}, "revise(minimize=..., maximize=...)"),
        ({"strategy": NSGA2(population=30)}, "revise(strategy=...)"),
        ({"space": {"a": tt.Int(1, 9), "b": tt.Int(1, 3)}}, "revise(space=..., assume={'b': ...})"),
    ],
)
def test_another_spec_shows_the_call_that_makes_the_revision(given, call):
    same = {"space": {"a": tt.Int(1, 9)}, "minimize": "loss", "strategy": "nsga2", "storage": Memory()}
    tt.Study("s", **same)
    with pytest.raises(StudyMismatch, match=re.escape(f".{call}; to begin anew")):
        tt.Study("s", **{**same, **given})


def test_options_of_another_type_are_another_spec(url):
    tt.Study("s", tt.Space(a=tt.Choice(0, 1, default=0)), minimize="loss", storage=url)
    with pytest.raises(StudyMismatch, match="space"):
        tt.Study("s", tt.Space(a=tt.Choice(False, True, default=False)), minimize="loss", storage=url)


def test_a_number_may_be_written_as_an_integer_or_a_float(url):
    """It was another spec for a study, and the same for the revision that was advised."""
    how = {"minimize": "loss", "storage": url}
    first = tt.Study("s", {"x": tt.Float(0, 1)}, fidelity=tt.Fidelity("epochs", 1, 81), **how)
    again = tt.Study("s", {"x": tt.Float(0.0, 1.0)}, fidelity=tt.Fidelity("epochs", 1.0, 81.0, 3.0), **how)
    assert again.spec == first.spec


def test_fresh_archives_and_never_deletes(space, objective, url):
    tt.Study("s", space, minimize="loss", storage=url).run(objective, trials=2, quiet=True)
    anew = tt.Study("s", space, minimize="loss", storage=url, fresh=True)
    assert anew.trials == []
    records = anew.storage.studies()
    assert [(str(r.state), r.count) for r in records] == [("archived", 2), ("open", 0)]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({}, "the study has no goal"),
        ({"minimize": "loss", "warm_start": "nope"}, "warm_start='nope': .* holds no such study"),
        ({"minimize": "loss", "on_change": "nope"}, "on_change='nope' is not known"),
        ({"minimize": "loss", "data": {"train": "nope.csv"}}, r"nope\.csv does not exist"),
    ],
)
def test_fresh_leaves_the_old_study_as_it_is_when_the_new_one_cannot_be(space, url, mistake, said):
    old = tt.Study("s", space, minimize="loss", storage=url)
    before = old.storage.studies()
    with pytest.raises(SpecError, match=said):
        tt.Study("s", space, storage=url, fresh=True, **mistake)
    assert old.storage.studies() == before


def test_fresh_may_learn_from_the_study_that_it_archives(space, objective, url):
    old = tt.Study("s", space, minimize="loss", storage=url)
    old.run(objective, trials=2, quiet=True)
    anew = tt.Study("s", space, minimize="loss", storage=url, fresh=True, warm_start="s")
    assert [source.uid for source in anew.spec.sources] == [old.record.uid]


def test_who_creates_a_study_too_late_is_told_that_it_is_another(space):
    class Raced(Memory):
        """Somebody else creates the study when this process has just looked."""

        def create(self, spec):
            super().create(replace(spec, goals=goals(None, "auc")))
            return super().create(spec)

    with pytest.raises(StudyMismatch, match="goals"):
        tt.Study("s", space, minimize="loss", storage=Raced())


def test_opening_by_name_alone(space, url):
    tt.Study("credit", space, minimize="loss", storage=url)
    assert tt.Study("credit", storage=url).spec.space == space
    with pytest.raises(StudyNotFound, match="did you mean 'credit'"):
        tt.Study("credti", storage=url)


def test_a_study_whose_name_another_has_now_is_read_by_its_uid(space, objective, url):
    first = tt.Study("s", space, minimize="loss", storage=url, seed=1)
    first.run(objective, trials=2, quiet=True)
    anew = tt.Study("s", space, minimize="loss", storage=url, fresh=True)
    assert tt.Study("s", storage=url).record.uid == anew.record.uid
    assert tt.Study(first.record.uid, storage=url).counts["done"] == 2
    assert tt.Study(first.record.uid[:8], storage=url).counts["done"] == 2
    for wrong in (first.record.uid[:7], first.record.uid + "0", ""):
        with pytest.raises(StudyNotFound):
            tt.Study(wrong, storage=url)
    assert tt.Study(anew.record.uid, storage=url).trials == []


def test_an_archived_study_can_still_be_read_by_name(space, objective, url):
    study = tt.Study("s", space, minimize="loss", storage=url, seed=1)
    study.run(objective, trials=2, quiet=True)
    study.archive()
    again = tt.Study("s", storage=url)
    assert again.counts["done"] == 2
    assert again.verify() == []
    with pytest.raises(SpecError, match="archived"):
        again.resume()
    anew = tt.Study("s", space, minimize="loss", storage=url)
    assert anew.trials == []
    assert tt.Study("s", storage=url).record.id == anew.record.id


def test_a_stored_space_with_retired_options_opens_with_the_space_as_it_is_now(url):
    study = tt.Study("s", tt.Space(kind=tt.Choice("a", "b", "c")), minimize="loss", storage=url, seed=1)
    study.add({"kind": "c"}, 1.0)
    now = tt.Space(kind=tt.Choice("a", "b"))
    study.revise(space=now)
    assert len(tt.Study("s", now, minimize="loss", storage=url).trials) == 1
    with pytest.raises(StudyMismatch, match=r"space kind: stored .*, given "):
        tt.Study("s", tt.Space(kind=tt.Choice("a")), minimize="loss", storage=url)


def test_opening_a_study_makes_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        StudyNotFound, match=r"there is no file sqlite:///tpyo\.db, and so no study 's'; the working folder"
    ):
        tt.Study("s", storage="sqlite:///tpyo.db")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["~nobody-of-this-name/t.db", "a" * 300, "a\x00b"])
def test_a_path_that_cannot_be_one_names_no_study(path):
    with pytest.raises(StudyNotFound, match="there is no file sqlite:///"):
        tt.Study("s", storage=f"sqlite:///{path}")


def test_a_name_in_other_letters_is_recognised():
    with pytest.raises(SpecError, match="strategy='TPE' is not known; did you mean 'tpe'"):
        tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss", strategy="TPE")


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """An installed package with strategies: one that works, one that is not there, one that is none."""
    info = tmp_path / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[trimtab.strategies]\nwell = plugged:Well\ngone = plugged:Gone\nnone = builtins:dict\n"
    )
    (tmp_path / "plugged.py").write_text("from trimtab.strategies.random import Random as Well\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_plug_in_is_taken_by_its_name_and_one_that_fails_is_told(plug_in):
    def new(name):
        return tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss", strategy=name)

    new("well").run(lambda trial: trial.params["x"], trials=2, quiet=True)
    with pytest.raises(
        SpecError, match=r"strategy='gone': the plug-in 'plugged:Gone' fails with AttributeError: .*version"
    ):
        new("gone")
    with pytest.raises(SpecError, match=r"strategy=\{\} is neither a name, such as 'gp', nor has name"):
        strategies.strategy("none")
    with pytest.raises(SpecError, match="strategy='wel' is not known; did you mean 'well'"):
        new("wel")
