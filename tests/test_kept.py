"""Records that earlier programs wrote stay readable, whatever is stored later: tests/golden/kept-*.sql hold studies with all
kinds of events as they were written then (see kept.py)."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from dumps import load
from kept import loss

import trimtab as tt
from trimtab.cli import cli
from trimtab.storage import open_storage
from trimtab.storage.migrations import upgrade
from trimtab.storage.revisions import KINDS
from trimtab.storage.tables import SCHEMA

KEPT = sorted((Path(__file__).parent / "golden").glob("kept-*.sql"), key=lambda p: p.stem)  # kept-0002, kept-0002-2


@pytest.fixture
def store(request, database_url, tmp_path, monkeypatch):
    """The URL of a database with the studies of the dump that the test names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # no key is trusted here, and so none is missed
    load(database_url, request.param)
    upgrade(database_url)
    return database_url


of_each = pytest.mark.parametrize("store", KEPT, indirect=True, ids=lambda p: p.stem)
of_the_newest = pytest.mark.parametrize("store", KEPT[-1:], indirect=True, ids=lambda p: p.stem)


def opened(url):
    """All studies in a database, the archived one too."""
    return [tt.Study(record.uid, storage=url) for record in open_storage(url).studies()]


@of_each
def test_a_kept_record_is_intact_follows_from_itself_and_can_be_shown(store):
    for study in opened(store):
        assert study.verify() == []
        assert study.replay().wrong == 0
        for name in ("r.html", "r.json"):
            study.report(name)
        for words in (["show"], ["show", "--json"], ["trials", "--json"], ["best"], ["explain", "--trial", "1"]):
            said = CliRunner().invoke(cli, [words[0], study.record.uid, *words[1:], "--storage", store])
            assert said.exit_code == 0, said.output
        assert study.verify() == []


@of_each
def test_a_kept_record_says_what_it_said_then(store):
    first, study, folds = opened(store)
    assert (first.name, study.name, folds.name, folds.record.state) == ("first", "kept", "folds", "archived")
    by_state = {t.state_text: t for t in study.trials}
    assert {"done", "stopped", "failed (bad result)", "failed (error)", "cancelled", "running"} == by_state.keys()
    assert by_state["failed (error)"].error == "no such tree"
    assert study.trials[2].notes == ("the sensor was replaced – é",)
    assert by_state["stopped"].curve.keys() < {1.0, 3.0, 9.0}
    assert {t.purpose for t in study.trials} == {"search", "import", "select", "certify"}
    evidence = study.result()
    assert (evidence.metric, len(evidence.pairs)) == ("loss", 3)
    assert {who for _, who in study.storage.actors(study.record.id).values()} == {"ada"}


@of_each
def test_a_kept_study_goes_on(store):
    study = tt.Study("kept", storage=store)
    before = len(study.trials)
    study.revise(budget={"trials": 60})
    study.run(loss, trials=sum(t.counts for t in study.trials) + 3, quiet=True)
    assert all(t.state in ("done", "stopped") for t in study.trials[before:])
    assert len(study.evidence(loss, replicates=4, quiet=True).pairs) == 4
    assert (study.verify(), study.replay().wrong) == ([], 0)


@of_the_newest
def test_the_newest_record_has_events_of_every_kind(store):
    kinds = {e.kind for study in opened(store) for e in study.storage.events(study.record.id)}
    assert kinds == KINDS | {"create", "enqueue", "finish", "takeover", "late"}


def fields(dump):
    """The paths of all fields in the JSON of a dump. Numbers, and the names of threads and packages, depend on the run."""
    found = set()

    def look(value, path):
        if isinstance(value, dict):
            for key, part in value.items():
                inside = f"{path}.{re.sub(r'^[0-9.]+$', '0', key)}"
                found.add(inside)
                look(None if key in ("threads", "packages") else part, inside)
        elif isinstance(value, list):
            for part in value:
                look(part, f"{path}[]")

    for text in re.findall(r"'(\{.*?\})'(?=[,)])", dump.read_text()):
        look(json.loads(text.replace("''", "'")), "")
    return found


def test_what_is_stored_today_is_in_the_newest_record(tmp_path):
    """Whoever stores a new field writes a new record of it (kept.py). If an older program would overlook the field, or stop
    at it, a migration raises the schema, even if no column is new: then an older program says at once what to do."""
    now = tmp_path / "now.sql"
    subprocess.run([sys.executable, Path(__file__).with_name("kept.py"), now], check=True)
    assert sorted(fields(now) - fields(KEPT[-1])) == []


def test_there_is_a_record_of_the_newest_schema():
    assert KEPT[-1].stem.split("-")[1] == SCHEMA
