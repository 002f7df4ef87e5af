"""The demo: its data are those of UCI, its protocol keeps tuning and reserve apart, its quick form runs end to end."""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

import trimtab as tt
from trimtab.demo import credit, run
from trimtab.errors import UserError
from trimtab.records import Purpose

SMALL = {"features": "ratios and history", "learning_rate": 0.1, "max_iter": 20, "growth": "by depth", "max_depth": 3,
         "min_samples_leaf": 50, "l2_regularization": 1.0, "max_features": 0.5, "early_stopping": False}  # fmt: skip


@dataclass
class Asked:
    """What the demo's objective reads of a trial."""

    params: dict
    seed: int = 1
    purpose: Purpose = Purpose.SEARCH
    replicate: int | None = None


def test_the_data_are_those_of_uci():
    X, y = credit.table()
    assert X.shape == (30_000, 23)
    assert y.sum() == 6_636
    assert np.bincount(X[:, 1].astype(int)).tolist() == [0, 11_888, 18_112]  # SEX
    assert np.bincount(X[:, 2].astype(int)).tolist() == [14, 10_585, 14_030, 4_917, 123, 280, 51]  # EDUCATION
    assert X[:, 0].mean() == pytest.approx(167_484.32, abs=0.01)  # LIMIT_BAL
    assert credit.fingerprint() in (Path(credit.__file__).parent / "data" / "LICENSE").read_text()


def test_tuning_and_reserve_share_no_row():
    searched = np.unique(np.concatenate([np.concatenate(split) for split in credit.tuning()]))
    certified = np.unique(np.concatenate([np.concatenate(split) for split in credit.reserve()]))
    assert len(searched) == credit.TUNING
    assert len(certified) == 30_000 - credit.TUNING
    assert not np.intersect1d(searched, certified).size


def test_the_folds_of_the_reserve_are_disjoint_and_have_the_ratio_of_the_evidence():
    folds = credit.reserve()
    tested = np.concatenate([test for _, test in folds])
    assert len(np.unique(tested)) == len(tested) == 20_000
    assert all(not np.intersect1d(train, test).size for train, test in folds)
    assert np.mean([len(test) / len(train) for train, test in folds]) == pytest.approx(credit.RATIO)


def test_the_defaults_are_those_of_scikit_learn():
    defaults = credit.space().defaults()
    model = credit.model(defaults, seed=0)[-1].get_params()
    usual = {**HistGradientBoostingClassifier().get_params(), "early_stopping": True, "random_state": 0}
    assert model == usual


def test_every_setting_makes_a_model():
    space = credit.space()
    X, y = (part[:400] for part in credit.table())
    for params in space.decode(space.sample(12, np.random.default_rng(0))):
        small = {**params, "max_iter": 3, "min_samples_leaf": 5}
        assert credit.model(small, seed=1).fit(X, y).predict_proba(X).shape == (400, 2)


def test_the_finalists_are_measured_again_on_the_rows_of_the_search():
    again = np.concatenate([np.concatenate(split) for split in credit.rehearsal()])
    assert set(again) == set(np.concatenate([np.concatenate(split) for split in credit.tuning()]))
    assert len(credit.rehearsal()) == len(credit.reserve()) == credit.FOLDS


@pytest.mark.parametrize("stopped", [True, False])
def test_the_limit_is_on_the_size_that_a_setting_can_lead_to(stopped):
    """Early stopping ends later on more rows, so that the size on the rows of the search would say nothing."""
    params = {**SMALL, "max_iter": 60, "learning_rate": 0.3, "early_stopping": stopped}
    X, y = credit.table()
    few = np.arange(8000)
    size = credit.full_grown_kib(credit.model(params, 1).fit(X[few], y[few]), params, 1, few)
    whole = credit.model({**params, "early_stopping": False}, 1).fit(X, y)
    assert whole[-1].n_iter_ == 60
    assert size == pytest.approx(credit.size_kib(whole), rel=0.05)
    if stopped:
        assert credit.model(params, 1).fit(X[:8000], y[:8000])[-1].n_iter_ < 60


@pytest.mark.parametrize("asked", [Asked(SMALL), Asked(SMALL, purpose=Purpose.CERTIFY, replicate=3),
                                   Asked(SMALL, purpose=Purpose.SELECT, replicate=3)])  # fmt: skip
def test_the_objective_repeats_itself(asked):
    first = credit.objective(asked)
    assert first == credit.objective(asked)
    assert 0.7 < first["auc"] < 0.85
    assert 10 < first["size_kib"] < 128


def test_the_quick_demo_runs_in_any_folder_and_again_with_the_same_answer(tmp_path):
    command = [sys.executable, "-m", "trimtab", "demo", "--quick", "--out", "here"]
    first, again = (
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert first == again
    lines = first.splitlines()
    assert lines[-1] == "here/report-quick.html"
    said = {line.split()[0]: line for line in lines[2:] if line}
    assert {"baseline", "tuned", "difference", "decision", "model"} <= said.keys()
    assert "95 % interval" in said["difference"]
    assert "<html" in (tmp_path / lines[-1]).read_text()[:500]

    assert "KiB" in said["model"]

    study = tt.Study("credit-default-quick", storage=f"sqlite:///{tmp_path}/here/trimtab.db")
    assert study.counts["done"] == 8
    assert study.verify() == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here"]
    card = json.loads((tmp_path / "here" / "model-quick.json").read_text())
    saved = tmp_path / "here" / "model-quick.joblib"
    assert card["sha256"] == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert card["origin"]["uid"] == study.record.uid
    assert card["origin"]["trial"] == study.result().tuned_trial
    assert card["origin"]["params"] == study.result().tuned
    X, y = credit.table()
    chance = joblib.load(saved).predict_proba(X[:2000])[:, 1]
    assert chance[y[:2000] == 1].mean() > chance[y[:2000] == 0].mean()


def test_the_output_folder_must_be_one(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file; name a folder with --out"):
        next(run(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be made: Not a directory; name another folder with --out"):
        next(run(tmp_path / "file" / "folder"))


def test_without_its_packages_the_demo_names_the_extra(tmp_path):
    code = "import sys; sys.modules['sklearn'] = None; sys.argv = ['trimtab', 'demo']; from trimtab.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == 'trimtab: the demo needs sklearn; run: pip install "trimtab[demo]"\n'
