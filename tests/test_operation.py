"""What those who run a team's database do with it, by the commands and statements of two guides in docs/how-to."""

import json
import os
import re
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import postgres as pg
import psycopg
import pytest
from click.testing import CliRunner
from stores import DONE, SPEC, put, running, verify

import trimtab as tt
from trimtab.canonical import dumps
from trimtab.cli import cli
from trimtab.errors import Damaged, StorageError
from trimtab.records import Change, Report, StudySpec
from trimtab.storage.migrations import upgrade
from trimtab.storage.sql import Sql

GUIDES = Path(__file__).parents[1] / "docs" / "how-to"
SET_UP, LOOK_AFTER = ((GUIDES / f"{name}.md").read_text() for name in ("team-on-postgresql", "look-after-a-database"))


@pytest.fixture
def url():
    return pg.server().database()


@pytest.fixture
def roles(url):
    """The URLs of an owner, a tuner and a validator, after the owner has done what the guide says."""
    names = "owner", "tuners", "validators"
    with psycopg.connect(url, autocommit=True) as c:
        for name in names:
            c.execute(f"CREATE ROLE {name} LOGIN")
        c.execute("GRANT CREATE ON SCHEMA public TO owner")
    urls = [url.replace("tests@", f"{name}@") for name in names]
    Sql(urls[0]).close()
    with psycopg.connect(urls[0], autocommit=True) as c:
        for statements in re.findall(r"```sql\n(GRANT.*?)```", SET_UP, re.S):
            c.execute(statements)
    yield urls
    with psycopg.connect(url, autocommit=True) as c:
        for name in names:
            c.execute(f"DROP OWNED BY {name}")
            c.execute(f"DROP ROLE {name}")


def test_the_privileges_of_the_guide_are_enough_to_run_a_study_and_no_more(roles):
    _, tuner, validator = roles
    with closing(Sql(tuner)) as store, closing(Sql(validator)) as reader:
        study = store.create(SPEC).id
        held = running(store, study)
        for loss in (0.5, 0.4):  # the second report takes the place of the first
            store.report(held, [Report(0, 1, 1.0, {"loss": loss}, 7.5)], 15.0)
        store.finish(held, DONE, [Report(0, 1, step, {"loss": 0.3}, 8.5) for step in (1.0, 2.0)])
        assert [(r.step, r.metrics["loss"], r.written) for r in store.reports(study)] == [(1.0, 0.3, 3), (2.0, 0.3, 4)]
        store.revise(study, Change("note", number=0, text="n", actor="ada"))
        put(store, study, 2)
        store.revise(study, Change("archive"))
        assert verify(reader, study) == verify(store, study) == []
        for who, change in ((store, lambda: store.delete(study)), (reader, lambda: reader.create(SPEC))):
            with pytest.raises(StorageError, match=r"GRANT it, or name another user .*permission denied"):
                change()
            assert len(who.studies()) == 1


def test_only_the_owner_of_the_tables_may_upgrade_them(roles, url):
    owner, tuner, _ = roles
    with psycopg.connect(url, autocommit=True) as c:
        c.execute("DROP SCHEMA public CASCADE")
        c.execute("CREATE SCHEMA public")
        c.execute("GRANT ALL ON SCHEMA public TO PUBLIC")
    upgrade(owner, to="0001")
    with psycopg.connect(owner) as c:
        c.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO tuners")
    with pytest.raises(StorageError, match="only who owns the tables may change them: name that user in the URL"):
        upgrade(tuner)
    assert upgrade(owner) == ("0001", "0002")


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(novel=1),
        lambda spec: spec["budget"].update(water=1.0),
        lambda spec: spec["space"].update(symmetric=True),
    ],
    ids=["field", "budget", "space"],
)
def test_what_a_newer_version_wrote_is_refused_and_not_called_a_damage_only(url, change):
    with closing(Sql(url)) as store:
        store.create(SPEC)
        newer = store.create(replace(SPEC, name="newer"))
        spec = json.loads(newer.spec.text)
        change(spec)
        with psycopg.connect(url) as c:
            c.execute("UPDATE studies SET spec = %s WHERE id = %s", (dumps(spec), newer.id))
        with pytest.raises(Damaged, match=r"study 2 \(newer\): .*a newer version of Trimtab wrote it, then upgrade"):
            store.study(newer.id)
        assert [s.name for s in store.studies(damaged=lambda _: None)] == ["s"]


def test_specs_of_early_versions_are_read():
    spec = {**json.loads(SPEC.text), "workers": 1}
    assert StudySpec.from_json(spec) == SPEC


def test_listing_trials_does_not_ask_the_database_for_each_of_them(url, monkeypatch):
    asked, read = [], Sql._read
    monkeypatch.setattr(Sql, "_read", lambda store, look: asked.append(look) or read(store, look))
    counts = []
    for trials in (5, 50):
        study = tt.Study("s", SPEC.space, minimize="loss", storage=url, seed=1, strategy="random")
        study.run(lambda trial: trial.params["x"], trials=trials, quiet=True)
        asked.clear()
        listed = CliRunner().invoke(cli, ["trials", "s", "--storage", url])
        assert len(listed.stdout.splitlines()) > trials
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_a_dump_restored_by_the_commands_of_the_guide_is_whole(tmp_path):
    server = pg.server()
    env = {
        "PATH": f"{server.bin}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "tests",
    }

    def shell(commands):
        subprocess.run(["sh", "-ec", commands], check=True, cwd=tmp_path, env=env)

    shell("createdb tuning")
    with closing(Sql(server.url("tuning"))) as store:
        study = store.create(SPEC).id
        store.finish(running(store, study), DONE)
        running(store, study)
        shell(re.findall(r"```sh\n(pg_dump.*?)trimtab verify", LOOK_AFTER, re.S)[0])
    with closing(Sql(server.url("restored"))) as store:
        assert verify(store, study) == []
        assert store.claim(study, "w", 15.0) is None  # its worker's lease holds, also in the copy
        assert len(put(store, study, 2)) == 2
    with closing(Sql(server.url("tuning"))) as store:
        store.finish(running(store, study), DONE)
        shell(re.findall(r"```sh\n(dropdb.*?)```", LOOK_AFTER, re.S)[0])
        assert store.study(study).count == 4  # as in the copy
    shell("dropdb tuning")


def test_a_program_that_finds_its_tables_gone_says_so(url):
    with closing(Sql(url)) as store:
        with psycopg.connect(url) as c:
            c.execute("DROP SCHEMA public CASCADE")
        with pytest.raises(StorageError, match="its tables are not there, perhaps because it is being restored"):
            store.studies()


def test_the_questions_of_the_guide_are_answered(roles):
    _, tuner, validator = roles
    with closing(Sql(tuner)) as store:
        study = store.create(SPEC).id
        running(store, study)
        store.revise(study, Change("note", number=0, text="n", actor="ada"))
    (questions,) = re.findall(r"```sql\n(--.*?)```", LOOK_AFTER, re.S)
    with psycopg.connect(validator) as c:
        answers = [c.execute(question).fetchall() for question in questions.split(";")[:-1]]
    largest, running_now, who, connections = answers
    assert [row[:3] for row in largest] == [("s", "open", 1)]
    assert running_now == [("s", "worker", 1)]
    assert who == [("s", "ada", 1)]
    assert isinstance(connections, list)
