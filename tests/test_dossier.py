"""The document for a review: complete, traced to the record, the same bytes each time, and honest about what is missing."""

import json
import math
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from document_checker import Page, by_id, checked, texts, traced

import trimtab as tt
from trimtab.cli import cli
from trimtab.dossier.frameworks import names
from trimtab.dossier.items import Fact
from trimtab.errors import SpecError

CARD = {
    "purpose": {"purpose": "ranking accounts", "use": "review", "not_for": "pricing"},
    "slices": {"not applicable": "no groups"},
}


def loss(trial):
    if trial.number == 5:
        raise ValueError("out of luck")
    bonus = 0.05 * abs(trial.params["depth"] - 5) if trial.params["kind"] == "tree" else 1.0
    return abs(trial.params["rate"] - 0.01) + bonus + 0.01 * (trial.seed % 7)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store with a study in which most things have happened."""
    folder = tmp_path_factory.mktemp("store")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_STATE_HOME", str(folder / "state"))
    patch.chdir(folder)
    Path("train.csv").write_text("a\n1\n")
    space = tt.Space(
        kind=tt.Choice("linear", "tree", default="linear"),
        rate=tt.Float(1e-4, 1.0, log=True, default=0.1),
        depth=tt.Int(1, 12, default=6, when={"kind": "tree"}),
    ).require("depth <= 10 or rate < 0.5")
    study = tt.Study(
        "risk", space, minimize="loss", subject_to=["loss <= 9"], seed=3, storage="sqlite:///s.db",
        data={"train": "train.csv"}, budget={"trials": 14},
    )  # fmt: skip
    study.enqueue({"kind": "linear", "rate": 0.5})
    study.run(loss, trials=12, quiet=True)
    study.revise(budget={"trials": 16})
    study.run(loss, trials=14, quiet=True)
    study.evidence(loss, replicates=6, quiet=True)
    study.replay()
    study.reproduce(loss, [0, 2], principal="validator")
    study.sign()
    study.storage.close()
    patch.undo()
    return folder


@pytest.fixture
def study(original, tmp_path, monkeypatch):
    shutil.copytree(original, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "copy" / "state"))
    return tt.Study("risk", storage="sqlite:///s.db")


@pytest.mark.parametrize("template", names())
def test_a_document_passes_the_checker_and_is_the_same_each_time(study, template):
    first = study.report("a.html", template=template, card=CARD).read_bytes()
    record = checked(first.decode())
    assert record["items"][1]["status"] == "filled"
    assert record["items"][30]["not_applicable"] == "no groups"
    assert study.report("b.html", template=template, card=CARD).read_bytes() == first
    assert study.copy("sqlite:///other.db").report("c.html", template=template, card=CARD).read_bytes() == first
    said = [e.body for e in study.storage.events(study.record.id) if e.kind == "report"]
    assert len(said) == 1
    assert study.verify("a.html") == []


def test_the_record_of_the_usual_report_is_the_same_as_that_of_a_framework(study):
    html = study.report("study.html").read_text()
    record = traced(html)
    assert record == checked(study.report("sr.html", template="us-sr-26-2-2026").read_text())
    assert json.loads(study.report("record.json").read_text()) == record
    assert study.report("again.html").read_text() == html


def test_every_figure_of_the_usual_report_carries_a_record_that_exists(study):
    html = study.report("study.html", data={"description": "synthetic", "rows": 30}).read_text()
    record = traced(html)
    plots = json.loads(Page(html).scripts["plots"])
    assert {"gain", "ablation", "safe", "importance", "effects", "pairs", "curve-0", "calibration", "history-0"} <= set(
        plots
    )
    for broken, why in (
        (html.replace(' data-source="event:1"', "", 1), "comes from nowhere"),
        (html.replace(' data-source="trial:3"', ' data-source="trial:99"', 1), "are no records"),
        (html.replace("<td>search</td>", "<td>searched</td>", 1), "is not in the report"),
    ):
        assert broken != html
        with pytest.raises(AssertionError, match=why):
            traced(broken)
    assert record["records"]["data"]


def test_the_usual_report_says_what_persons_have_filled_in(study):
    empty = study.report("study.html").read_text()
    assert "purpose and intended use" in empty
    html = study.report("study.html", card={**CARD, "space_reason": {"reason": "as used since 2019"}}).read_text()
    traced(html)
    assert "ranking accounts" in html
    assert "as used since 2019" in html
    assert "purpose and intended use" not in html


def test_an_edited_document_is_found_out(study, tmp_path):
    path = study.report("a.html", template="us-sr-26-2-2026")
    path.write_text(path.read_text().replace("not shown", "proven", 1).replace("Proven", "PROVEN", 1))
    path.write_text(path.read_text() + " ")
    (found,) = study.verify(path)
    assert found.startswith("a.html: no report event holds its hash")


def test_a_document_as_of_an_earlier_event_leaves_out_what_came_later(study):
    events = study.storage.events(study.record.id)
    at = next(e.position for e in events if e.kind == "finish")
    record = checked(study.report("early.html", template="us-sr-26-2-2026", at=at).read_text())
    items = by_id(record)
    assert record["study"]["head"] == events[at - 1].hash
    assert (record["trials"]["all"], items["benefit"]["status"]) == (2, "missing")
    assert items["space_history"]["facts"][0]["text"].startswith("none")
    todo = " ".join(gap for i in items.values() for gap in i["gaps"])
    for line in ("replay risk", "reproduce risk", "sign risk"):  # as the reader types it, with the store's URL
        assert f"(trimtab {line} --storage URL" in todo
    with pytest.raises(SpecError, match="at=999 is no event"):
        study.report("x.html", at=999)


def test_nothing_is_invented_what_only_a_person_knows_is_an_empty_box(study):
    html = study.report("a.html", template="eu-ai-act-annex-iv-2024").read_text()
    items = by_id(checked(html))
    for id_ in ("purpose", "materiality", "objective_reason", "space_reason", "suitability", "issues"):
        assert items[id_]["status"] == "missing"
        assert items[id_]["facts"] == []
        assert items[id_]["empty"]
    assert html.count('<div class="box">') == sum(len(i["empty"]) for i in items.values())
    assert items["trade_off"]["status"] == "not applicable"


def test_what_the_record_knows_is_filled(study):
    items = by_id(json.loads(study.report("r.json").read_text()))
    filled = "space space_history strategy budget data_identity data_fingerprint trials benefit optimism stability sensitivity"
    filled += " environment seeds reproduction cost integrity"
    assert {id_: items[id_]["status"] for id_ in filled.split()} == dict.fromkeys(filled.split(), "filled")
    told = texts(items["strategy"])
    assert "1 trial, auto (version" in told["Proposed by"]
    assert ") by gp: " in told["Proposed by"]
    assert told["gp"] == "Bayesian optimisation with a Gaussian process"
    assert (
        "select trials measure" in next(f for f in items["trials"]["facts"] if f["label"] == "Select, certify")["text"]
    )
    assert {"Importance", "Variance", "Does as well"} < {f["label"] for f in items["sensitivity"]["facts"]}
    assert "somebody who did not run" in items["roles"]["facts"][0]["text"]
    assert items["overrides"]["facts"][0]["text"] == "trial 1: kind=linear, rate=0.5"
    assert len(items["approvals"]["tables"][0]["rows"]) == 1


def test_the_baseline_shows_how_much_of_the_optimism_is_no_selection(study):
    """It was not selected: what it loses on fresh runs is due to noise, and to other rows."""
    items = by_id(json.loads(study.report("r.json").read_text()))
    _, baseline = items["optimism"]["facts"]
    assert baseline["label"] == "The baseline, which was not selected"
    searched, fresh = baseline["value"]
    assert searched == study.baseline.metrics["loss"]
    assert fresh == study.result().means[0]


def test_a_proposed_trigger_says_how_often_chance_alone_sets_it_off(study):
    items = by_id(json.loads(study.report("r.json").read_text()))
    assert (
        "the range of 6 runs of the tuned setting; by chance alone, 28.6 % of further runs lie outside"
        in (items["monitoring"]["facts"][0]["text"])
    )


def test_whether_a_folder_that_dvc_tracks_has_changed_is_unknown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    Path("images", "a.png").write_bytes(b"a")
    Path("images.dvc").write_text("outs:\n- md5: 0123456789abcdef.dir\n  path: images\n")
    study = tt.Study("folder", {"x": tt.Float(0, 1)}, minimize="loss", data={"images": "images"})
    study.run(lambda t: t.params["x"], trials=1, quiet=True)
    items = by_id(json.loads(study.report("r.json").read_text()))
    row = ["images", "dvc", "0123456789abcdef.dir", "unknown"]
    assert [r["cells"] for r in items["lineage"]["tables"][0]["rows"]] == [row]


def test_it_says_what_changed_since_the_approved_study(study, original):
    study.report("approved.html", template="us-sr-26-2-2026")
    other = tt.Study(
        "risk-2",
        {"rate": tt.Float(1e-4, 0.5, log=True, default=0.1)},
        minimize="loss",
        seed=3,
        storage="sqlite:///s.db",
    )
    other.run(lambda trial: trial.params["rate"], trials=4, quiet=True)
    record = checked(other.report("new.html", template="us-sr-26-2-2026", previous="approved.html").read_text())
    item = next(i for i in record["items"] if i["id"] == "changes")
    rows = {row["cells"][0]: row["cells"][1:] for row in item["tables"][0]["rows"]}
    assert item["status"] == "filled"
    assert "0.0001 to 1" in rows["Search space"][0]
    assert "0.0001 to 0.5" in rows["Search space"][1]
    assert rows["Environment"] == ["unchanged", "unchanged"]
    with pytest.raises(SpecError, match=r"previous s\.db cannot be read"):
        other.report("x.html", previous="s.db")


@pytest.mark.parametrize("form", ["html", "json"])
def test_an_approved_study_that_was_edited_is_found_out(study, form):
    approved = study.report(f"approved.{form}", template="us-sr-26-2-2026")
    assert study.report("new.json", previous=approved)
    text = approved.read_text(encoding="utf-8")
    assert text.count("0.0001 to 1") >= 1
    approved.write_text(text.replace("0.0001 to 1", "0.0001 to 9"), encoding="utf-8")
    with pytest.raises(SpecError, match=f"previous approved.{form} was edited: its content does not fit its hash"):
        study.report("newer.json", previous=approved)
    assert not Path("newer.json").exists()


def test_a_further_framework_needs_only_a_template_file(study):
    Path("mine.yaml").write_text(
        "name: bank-1\ntitle: Our own form\nframework: Form 1 of the bank.\ncolumns: [Form 1]\n"
        "sections:\n- {title: Result, refs: ['4.2'], items: [benefit, trials]}\n"
    )
    html = study.report("mine.html", template="mine.yaml").read_text()
    checked(html)
    assert "<b>Form 1:</b> 4.2" in html
    assert "Further evidence" in html


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"template": "sr-11-7"}, "template='sr-11-7' is not known"),
        ({"card": {"purpos": "x"}}, "card: 'purpos' is no item; did you mean 'purpose'"),
        ({"card": {"purpose": {"usage": "x"}}}, "card: purpose has no field 'usage'"),
        ({"card": "nowhere.yaml"}, r"card nowhere\.yaml cannot be read"),
        ({"card": ["x"]}, "is no mapping"),
        ({"data": 5}, "data=5 is no mapping"),
        ({"at": "3"}, "at='3' is no event"),
        ({"template": "bytes.yaml"}, r"template bytes\.yaml cannot be read"),
        ({"template": "deep.yaml"}, r"deep\.yaml is no template"),
        ({"card": "deep.yaml"}, r"card deep\.yaml cannot be read"),
        ({"card": "self.yaml"}, r"card self\.yaml cannot be read: an alias .* stands inside what it names"),
        ({"previous": "deep.yaml"}, r"previous deep\.yaml cannot be read"),
        ({"previous": {"items": 1, "study": {}, "sha256": ""}}, "previous was edited"),
        ({"previous": {"items": math.nan, "study": {}, "sha256": ""}}, "previous cannot be read"),
        ({"previous": {"items": {1, 2}, "study": {}, "sha256": ""}}, "previous cannot be read"),
    ],
)
def test_a_wrong_call_is_said(study, how, says):
    Path("bytes.yaml").write_bytes(b"\xff\xfe")
    Path("deep.yaml").write_text("[" * 1000)
    Path("self.yaml").write_text("purpose: &purpose [*purpose]")
    with pytest.raises(SpecError, match=says):
        study.report("x.html", **{"template": "us-sr-26-2-2026", **how})
    with pytest.raises(SpecError, match=r"a report is written as \.html, \.docx, \.json"):
        study.report("x.pdf")


def test_what_utf_8_cannot_hold_is_replaced(study):
    said, card = {"from \ud800": "\ud801"}, {"purpose": {"use": "rank\ud800ing"}}
    html = study.report("a.html", template="us-sr-26-2-2026", data=said, card=card).read_text(encoding="utf-8")
    items = by_id(checked(html))
    assert texts(items["data_identity"])["from ?"] == "?"
    assert "rank?ing" in texts(items["purpose"]).values()


def test_what_is_said_of_the_data_may_hold_dates_numpys_numbers_and_what_is_not_finite(study):
    said = {"collected": date(2026, 1, 5), "rows": np.int64(7), "shift": math.nan, "parts": {"test": [np.float64(0.5)]}}
    card = {"retention": {"retention": date(2036, 1, 5)}}
    html = study.report("a.html", template="us-sr-26-2-2026", data=said, card=card).read_text()
    items = by_id(checked(html))
    told = texts(items["data_identity"])
    assert (told["collected"], told["rows"], told["shift"]) == ("2026-01-05", "7", "nan")
    assert "2036-01-05" in html


def test_the_figures_behind_a_fact_are_plain_json():
    made = Fact("spread", "3", ("event:1",), {"n": np.int64(3), "ends": (np.float64("nan"), -math.inf, 0.5)})
    assert json.loads(json.dumps(made.to_json()["value"])) == {"n": 3, "ends": [None, None, 0.5]}


def test_the_command_line_finds_the_card_beside_the_study_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "model.py").write_text("def loss(trial):\n    return trial.params['x']\n")
    (tmp_path / "study.yaml").write_text(
        "study: s\nobjective: model.py:loss\nspace: {x: {float: [0, 1], default: 0.5}}\nminimize: loss\nbudget: {trials: 3}\n"
    )
    (tmp_path / "card.yaml").write_text(
        "purpose: {purpose: no, use: 010, not_for: 2026-01-01}\nlimits: null\nissues: ~\n"
    )

    def call(*args):
        done = CliRunner().invoke(cli, args)
        assert done.exit_code == 0, done.output
        return done.stdout

    call("run", "study.yaml", "--quiet")
    assert call("report", "s", "--out", "sr.html", "--template", "us-sr-26-2-2026") == "sr.html\n"
    record = checked((tmp_path / "sr.html").read_text())
    assert [f["text"] for f in record["items"][1]["facts"]] == ["no", "010", "2026-01-01"]  # as it was written
    assert by_id(record)["issues"]["empty"]
    assert "is intact" in call("verify", "s", "--report", "sr.html")
