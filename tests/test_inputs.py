"""What results depend on is on record, and a change of it under a study is noticed before the next trial starts."""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet
from scipy import sparse

import trimtab as tt
from trimtab.capture import Input, different, environment, look
from trimtab.capture.code import code
from trimtab.errors import InputChanged, SpecError

SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))


def loss(trial):
    return trial.params["x"]


def told(study, kind="inputs"):
    return [e.body for e in study.storage.events(study.record.id) if e.kind == kind]


def edit_a_cell(path):
    text = path.read_text().replace("3.5", "3.6")
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if it were the old file


@pytest.fixture
def train(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("age,income\n1,3.5\n2,4.5\n")
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cell_changed_under_a_running_study_is_refused_before_the_next_trial(train, url, workers):
    """The objective of trial 3 changes the file, as another program might; nothing starts after that."""

    def meddling(trial):
        if trial.number == 3:
            edit_a_cell(train)
        return trial.params["x"]

    study = tt.Study("s", SPACE, minimize="loss", storage=url, data={"train": train}, on_change="refuse", seed=1)
    with pytest.raises(InputChanged, match="data train: its content changed"):
        study.run(meddling, trials=9, workers=workers, quiet=True)
    assert 2 < study.counts["done"] <= 3 + workers  # what still ran was given back
    assert study.counts["running"] == 0
    with pytest.raises(InputChanged):
        study.run(loss, trials=9, quiet=True)
    assert [body["refused"] for body in told(study)] == [True, True]
    again = tt.Study("s", storage=url, data={"train": train}, on_change="record")
    again.run(loss, trials=9, quiet=True)
    assert again.counts["done"] == 9
    assert told(again)[-1]["changed"].keys() == {"data train", "code"}
    assert again.verify() == []


def test_by_default_a_change_is_recorded_with_what_was_running(train, url):
    def meddling(trial):
        if trial.number == 2:
            edit_a_cell(train)
        return trial.params["x"]

    study = tt.Study("s", SPACE, minimize="loss", storage=url, data={"train": train}, seed=1)
    study.run(meddling, trials=5, quiet=True)
    (event,) = told(study)
    assert (event["changed"], event["refused"]) == ({"data train": "its content"}, False)
    before, after = told(study, "run")[0]["data"]["train"], event["data"]["train"]
    assert before["sha256"] != after["sha256"]
    study.run(meddling, trials=6, quiet=True)
    assert len(told(study)) == 1  # accepted once, it is no news
    assert any("changed under the study (data train: its content, at event" in n for n in study.notices)


def test_ask_looks_at_the_data_too(train):
    study = tt.Study("s", SPACE, minimize="loss", data={"train": train}, on_change="refuse")
    study.tell(study.ask(), 1.0)
    assert told(study)[0]["data"]["train"]["kind"] == "file"
    edit_a_cell(train)
    with pytest.raises(InputChanged, match="Put it back"):
        study.ask()
    train.unlink()
    with pytest.raises(InputChanged, match="cannot be read any more"):
        study.ask()


def test_a_run_that_is_refused_leaves_no_folder_behind(train, tmp_path, monkeypatch):
    study = tt.Study("s", SPACE, minimize="loss", data={"train": train}, on_change="refuse")
    study.tell(study.ask(), 1.0)
    edit_a_cell(train)
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with pytest.raises(InputChanged):
        study.run(loss, trials=9, workers=2, quiet=True)
    assert list(place.iterdir()) == []


SCRIPT = "def loss(trial):\n    return trial.params['x']\n"


def test_another_objective_or_an_edited_file_is_noticed(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(SCRIPT)
    study = tt.Study("s", SPACE, minimize="loss", storage=url, on_change="refuse")
    study.run("model.py:loss", trials=2, quiet=True)
    run = told(study, "run")[0]["code"]
    assert run["files"].keys() == {"model.py"}
    Path("model.py").write_text(SCRIPT + "    # a comment\n")
    with pytest.raises(InputChanged, match=r"code: files model\.py changed"):
        study.run("model.py:loss", trials=3, quiet=True)
    Path("model.py").write_text(SCRIPT)
    study.run("model.py:loss", trials=3, quiet=True)
    with pytest.raises(InputChanged, match=r"the objective \(was model\.py:loss, is .*test_inputs\.loss\)"):
        study.run(loss, trials=4, quiet=True)


def test_a_change_that_was_let_pass_is_told_once_by_run_and_by_every_document(url, tmp_path, capsys):
    """Who edits a cell of a notebook and runs it again mixes the results of two objectives."""

    def other(trial):
        return trial.params["x"] + 5

    study = tt.Study("s", SPACE, minimize="loss", storage=url, seed=1)
    said = []
    for objective, n in ((loss, 2), (other, 4), (other, 6)):
        study.run(objective, trials=n)
        said.append("code or data changed under the study (code: the objective (was" in capsys.readouterr().err)
    assert said == [False, True, False]
    (notice,) = (n for n in study.notices if "changed under the study" in n)
    record = json.loads(study.report(tmp_path / "record.json").read_text())
    facts = {item["id"]: [f["text"] for f in item["facts"]] for item in record["items"]}
    assert any("the objective (was" in text for text in facts["code"])
    assert any(notice[1:] in text for text in facts["limits"])


def test_files_of_one_name_are_told_apart_from_anywhere(tmp_path, monkeypatch):
    files = [str(tmp_path / folder / "conf.py") for folder in ("a", "b")]
    for file in files:
        Path(file).parent.mkdir()
        Path(file).write_text(SCRIPT)
    (tmp_path / "train.py").write_text(SCRIPT)
    seen = code("train", "", [*files, str(tmp_path / "train.py")], {}, repository=False)["files"]
    assert seen.keys() == {"a/conf.py", "b/conf.py", "train.py"}
    monkeypatch.chdir(tmp_path / "a")
    Path("conf.py").write_text("")
    after = code("train", "", ["conf.py", "../b/conf.py"], {}, repository=False)["files"]
    assert (after["a/conf.py"] != seen["a/conf.py"], after["b/conf.py"]) == (True, seen["b/conf.py"])


def test_a_study_file_names_its_data(tmp_path):
    (tmp_path / "model.py").write_text(SCRIPT)
    (tmp_path / "train.csv").write_text("a\n1\n")
    text = """
        study: s
        objective: model.py:loss
        space: {x: {float: [0, 1], default: 0.5}}
        minimize: loss
        data: {train: train.csv}
        on_change: refuse
        """
    (tmp_path / "study.yaml").write_text(textwrap.dedent(text))

    def call(*args):
        environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
        command = [sys.executable, "-m", "trimtab", *args, "--quiet"]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert call("run", "study.yaml", "--trials", "2").returncode == 0
    (tmp_path / "train.csv").write_text("a\n2\n")
    said = call("run", "study.yaml", "--trials", "3")
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert "data train: its content changed" in said.stderr


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"on_change": "ignore"}, "on_change='ignore' is not known; choose 'record' or 'refuse'"),
        ({"data": {"train": "nowhere.csv"}}, "nowhere.csv does not exist"),
        ({"data": {"train": object()}}, "data 'train' is a object; give a path"),
        ({"data": ["a"]}, "has no names"),
    ],
)
def test_what_cannot_be_watched_is_said(how, says):
    with pytest.raises(SpecError, match=says):
        tt.Study("s", SPACE, minimize="loss", **how)


# ---------------------------------------------------------------------------------------------------------- fingerprints


def sha(what):
    return look(Input("x", what)).fingerprint["sha256"]


NEAR = st.datetimes(pd.Timestamp(1900, 1, 1), pd.Timestamp(2200, 1, 1))  # which nanoseconds reach
TEXT = st.none() | st.text(st.characters(codec="utf-8"), max_size=4)
COLUMNS = st.fixed_dictionaries(
    {
        "f": st.lists(st.floats(width=64, allow_infinity=True), min_size=4, max_size=4),
        "i": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4),
        "n": st.lists(st.none() | st.integers(0, 9), min_size=4, max_size=4),
        "b": st.lists(st.booleans(), min_size=4, max_size=4),
        "t": st.lists(TEXT, min_size=4, max_size=4),
        "c": st.lists(st.sampled_from(["x", "y"]), min_size=4, max_size=4),
        "k": st.lists(st.none() | st.integers(0, 9), min_size=4, max_size=4),
        "d": st.lists(st.none() | NEAR, min_size=4, max_size=4)
        | st.lists(st.none() | st.datetimes(), min_size=4, max_size=4),
    }
)


def frame(columns):
    made = pd.DataFrame({k: columns[k] for k in "fib"})
    made["n"] = pd.array(columns["n"], dtype="Int32")
    made["t"] = pd.array(columns["t"], dtype="string")
    made["c"] = pd.Categorical(columns["c"])
    made["k"] = pd.Categorical(columns["k"])
    made["d"] = pd.to_datetime(pd.Series(columns["d"], dtype="datetime64[us]"))
    return made


@settings(max_examples=15, deadline=None)
@given(columns=COLUMNS)
def test_a_table_has_one_fingerprint_in_memory_in_arrow_and_in_parquet(tmp_path_factory, columns):
    folder, made = tmp_path_factory.mktemp("t"), frame(columns)
    table = pa.Table.from_pandas(made)
    parquet.write_table(table, folder / "a.parquet", row_group_size=2)
    made.to_parquet(folder / "b.parquet")
    feather.write_feather(table, folder / "c.feather", chunksize=3)
    forms = [
        made,
        table,
        pa.concat_tables([table.slice(0, 1), table.slice(1)]),
        folder / "a.parquet",
        folder / "b.parquet",
    ]
    assert {sha(form) for form in [*forms, folder / "c.feather"]} == {sha(made)}


@pytest.mark.parametrize("name", list("fibntckd"))
def test_one_changed_cell_changes_the_fingerprint_and_names_the_column(name):
    day = pd.Timestamp(2026, 1, 1)
    columns = {"f": [0.5] * 4, "i": [1] * 4, "b": [True] * 4, "n": [1, None, 2, 3], "t": ["a", None, "b", ""]}
    columns |= {"c": list("xyxy"), "k": [1, None, 2, 3], "d": [day, None, day, day]}
    other = {"f": 0.6, "i": 2, "b": False, "n": 7, "t": "z", "c": "y", "k": 7, "d": day + pd.Timedelta(1, "us")}
    before = look(Input("x", frame(columns))).fingerprint
    after = look(Input("x", frame({**columns, name: [other[name], *columns[name][1:]]}))).fingerprint
    assert different(before, after) == f"columns {name}"


def test_what_does_not_matter_does_not_change_a_fingerprint():
    base = pa.array([1.0, None, 3.0])
    hidden = pa.Array.from_buffers(
        pa.float64(), 3, [base.buffers()[0], pa.py_buffer(np.array([1.0, 99.0, 3.0]).tobytes())]
    )
    assert sha(pa.table({"a": base})) == sha(pa.table({"a": hidden}))  # the bytes under a missing value
    assert sha(pa.table({"a": ["x", "y", "x"]})) == sha(pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode()}))
    assert sha(np.array([[1.0, -0.0]])) == sha(np.asfortranarray([[1.0, 0.0]]))
    assert sha(pd.DataFrame({"a": [1, 2]})) == sha(pd.DataFrame({"a": [1, 2]}).copy())


def test_what_matters_changes_a_fingerprint():
    a = np.arange(6.0)
    assert len({sha(v) for v in (a, a.reshape(2, 3), a.astype("f4"), a.astype("i8"), a[::-1], a[:5])}) == 6
    assert sha(pd.DataFrame({"a": [1, 2], "b": [3, 4]})) != sha(pd.DataFrame({"b": [3, 4], "a": [1, 2]}))
    assert sha(pd.DataFrame({"a": [1, 2]})) != sha(pd.DataFrame({"a": [1, 2]}, index=[5, 6]))
    assert sha(np.array(["a", "bc"], dtype=object)) != sha(np.array(["ab", "c"], dtype=object))


def test_arrays_in_a_column_are_known_by_all_their_values():
    """Numpy's repr shows six of a thousand, and eight of their digits."""
    long, tiny = np.arange(2000.0), 1e-12 * (np.arange(2000) == 1000)
    assert len({sha(pd.Series([long, long[:5]])), sha(pd.Series([long + tiny, long[:5]]))}) == 2
    table = pa.table({"rows": [[0.5, 1.5], [2.5]]})
    assert sha(table) == sha(table.to_pandas()) == sha(pd.DataFrame({"rows": [[0.5, 1.5], [2.5]]}))


@pytest.mark.parametrize("seed", ["1", "2"])
def test_values_and_code_have_one_text_in_all_processes(seed):
    """Sets have another order in each, and objects another address."""
    script = """
        import numpy as np
        from trimtab.capture import Input, look
        from trimtab.objective.source import text_of
        tags = np.array([{"a", "b", "c", "d"}, {"e", "f", "g", object}], dtype=object)
        code = lambda trial: float(trial.params["x"] in {"a", "b", "c", "d"})
        print(look(Input("x", tags)).fingerprint["sha256"], text_of(code))"""
    texts = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env={**os.environ, "PYTHONHASHSEED": s},
            capture_output=True,
            text=True,
        )
        for s in ("0", seed)
    ]
    assert texts[0].stdout == texts[1].stdout != "", texts[1].stderr


def test_a_sparse_matrix_is_known_by_its_values_and_places_whatever_its_form():
    dense = np.array([[0.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    stored = ([1.0, 1.0, 3.0, 0.0], ([0, 0, 1, 1], [1, 1, 0, 2]))  # 1 + 1 at one place, and a 0
    zeros = sparse.coo_array(stored, shape=(2, 3))
    forms = [sparse.csr_array(dense), sparse.csc_matrix(dense), sparse.coo_array(dense), sparse.lil_array(dense), zeros]
    assert len({sha(form) for form in forms}) == 1
    assert zeros.nnz == 4  # as it was
    others = [dense.T, dense + dense, dense.astype("f4"), dense[:, [1, 0, 2]], np.c_[dense, [0, 0]]]
    assert len({sha(sparse.csr_array(v)) for v in [dense, *others]}) == 6
    study = tt.Study("s", SPACE, minimize="loss", data={"train": zeros}, seed=1)
    study.run(lambda trial: 1.0, trials=2, quiet=True)
    assert study.verify() == []


def test_a_folder_names_the_file_that_changed(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "images" / name).write_bytes(name.encode())
    given = Input("images", tmp_path / "images")
    before = look(given)
    (tmp_path / "images" / "b.png").write_bytes(b"other")
    assert different(before.fingerprint, look(given, before).fingerprint) == "files b.png"


def git(folder, *words):
    subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@x", *words], cwd=folder, check=True, capture_output=True
    )


def test_names_that_are_no_utf_8_are_kept_apart_and_the_working_folder_is_a_folder(tmp_path, monkeypatch):
    """As old archives bring them: café.csv and cafè.csv, in Latin-1."""
    monkeypatch.chdir(tmp_path)
    for name in (b"caf\xe9.csv", b"caf\xe8.csv"):
        Path(os.fsdecode(name)).write_text("a\n1\n")
    table = pd.DataFrame([[1, 2]], columns=pd.Index(["\udce8", "\udce9"], dtype=object))
    data = {"folder": ".", "file": os.fsdecode(b"caf\xe9.csv"), "table\udce9": table}
    study = tt.Study("s", SPACE, minimize="loss", data=data, seed=1)
    study.run(loss, trials=2, quiet=True)
    made = told(study, "run")[0]["data"]
    assert [*made["folder"]["files"]] == [r"caf\udce8.csv", r"caf\udce9.csv"]
    assert (made["file"]["path"], [*made[r"table\udce9"]["columns"]]) == (r"caf\udce9.csv", [r"\udce8", r"\udce9"])
    assert study.verify() == []
    Path(os.fsdecode(b"caf\xe8.csv")).write_text("a\n2\n")
    study.run(loss, trials=3, quiet=True)
    assert told(study)[-1]["changed"] == {"data folder": r"files caf\udce8.csv"}


def test_the_version_that_git_or_dvc_keeps_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train.csv"
    path.write_text("a\n1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    told = look(Input("x", path)).fingerprint["git"]
    assert (len(told["commit"]), told["dirty"]) == (40, False)
    md5 = "7f0b6bb0b7e951b7fd2b2a4a326297e1"
    (tmp_path / "train.csv.dvc").write_text(f"outs:\n- md5: {md5}\n  hash: md5\n  path: train.csv\n")
    path.write_text("a\n2\n")
    told = look(Input("x", path)).fingerprint
    assert told["git"]["dirty"] is True
    assert told["dvc"] == {"md5": md5, "dirty": True}
    (tmp_path / "train.csv.dvc").unlink()
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": {"s": {"outs": [{"path": "train.csv", "md5": md5}]}}}))
    assert look(Input("x", path)).fingerprint["dvc"]["md5"] == md5


@pytest.mark.parametrize("lock", ["stages: [1]", "stages: {s: {outs: 5}}", "[" * 1000, "a: &a [*a]", "stages: {s: 7}"])
def test_a_lock_of_dvc_that_is_none_is_left_alone(tmp_path, lock):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("a\n")
    (tmp_path / "dvc.lock").write_text(lock)
    assert "dvc" not in look(Input("x", tmp_path / "data" / "train.csv")).fingerprint


def test_the_code_s_repository_is_told_with_what_is_not_committed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(SCRIPT)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    Path("model.py").write_text(SCRIPT + "\n")
    study = tt.Study("s", SPACE, minimize="loss")
    study.run("model.py:loss", trials=1, quiet=True)
    told = study.storage.events(study.record.id)[1].body["code"]
    assert told["git"]["dirty"] is True
    assert len(told["git"]["diff_sha256"]) == 64


def test_a_document_tells_other_code_among_the_changes_and_what_the_evidence_cost(tmp_path):
    study = tt.Study("s", SPACE, minimize="loss", seed=1)
    study.run(loss, trials=3, quiet=True)

    def lower(trial):
        return trial.params["x"] - trial.seed % 7

    study.run(lower, trials=6, quiet=True)
    study.evidence(lower, replicates=2, tuned=2, quiet=True)
    items = {i["id"]: i for i in json.loads(study.report(tmp_path / "s.json").read_text())["items"]}
    (row,) = (row["cells"] for table in items["space_history"]["tables"] for row in table["rows"])
    assert row[2] == "inputs"
    assert "code: the objective (was test_inputs.loss" in row[3]
    spent = {f["label"]: f["value"] for f in items["cost"]["facts"]}
    pairs = [t for t in study.trials if t.purpose == "certify"]
    assert len(pairs) == 4
    assert spent["Trial time of the evidence, beside it"] == pytest.approx(sum(t.cost.wall for t in pairs))


def test_the_environment_names_what_shapes_results():
    told = environment()
    assert told["packages"]["numpy"] == np.__version__
    assert f"numpy=={np.__version__}" in told["installed"]
    assert len(told["numerics"]) == 16
    assert told["cpus"] >= 1
    assert told["memory"] > 2**28
    assert told["blas"]
    json.dumps(told, allow_nan=False)
