"""A small file of YAML does not become a large value: aliases are limited wherever YAML is read."""

import pytest
import yaml
from click.testing import CliRunner

import trimtab as tt
from trimtab import yamltext
from trimtab.cli import cli
from trimtab.dossier.quoted import quoted
from trimtab.errors import SpecError
from trimtab.schedule import Schedule
from trimtab.studyfile.yaml12 import parse
from trimtab.yamltext import TooManyAliases, load


def bomb(levels, indent=""):
    """Lists in lists: each names the one before nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "".join(f"{indent}{line}\n" for line in lines)


def test_aliases_that_stand_for_too_many_values_are_refused():
    assert load(bomb(4))["a3"][8][8][8][8] == "x"
    for levels in (6, 9, 5000):  # the last: a number of values that has no text
        with pytest.raises(yaml.YAMLError):
            load(bomb(levels))
    with pytest.raises(TooManyAliases, match="more than 100,000 values"):
        load("a: &a {" + ", ".join(f"k{i}: 0" for i in range(1000)) + "}\nb:\n" + "  - <<: *a\n" * 100)


def test_what_is_written_out_has_no_limit(monkeypatch):
    monkeypatch.setattr(yamltext, "MOST", 100)
    assert len(load("[" + "x, " * 1_000 + "]")) == 1_000
    assert load("") is None
    assert load("a: &a 1\nb: *a") == {"a": 1, "b": 1}


def test_an_alias_inside_what_it_names_is_refused():
    with pytest.raises(TooManyAliases, match="stands inside what it names"):
        load("&a [*a]")
    with pytest.raises(yaml.YAMLError):
        load("a: *b")


def test_a_study_file_a_card_a_template_and_a_schedule_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage="sqlite:///s.db", seed=1)
    study.run(lambda trial: trial.params["x"], trials=2, quiet=True)
    (tmp_path / "study.yaml").write_text(f"study: t\ncommand: echo 1\nminimize: loss\nspace:\n{bomb(9, '  ')}")
    (tmp_path / "card.yaml").write_text(f"purpose:\n{bomb(9, '  ')}")
    why = "stand for more than 100,000 values; write out"
    result = CliRunner().invoke(cli, ["run", "study.yaml", "--storage", "sqlite:///s.db"])
    assert result.exit_code == 2
    assert f"study.yaml: its aliases (*name) {why}" in result.stderr
    for refused in (
        lambda: study.report("s.html", card="card.yaml"),
        lambda: study.report("s.html", template="card.yaml"),
        lambda: Schedule.from_yaml(bomb(9)),
    ):
        with pytest.raises(SpecError, match="stand for more than 100,000 values"):
            refused()
    assert [s.name for s in study.storage.studies()] == ["s"]


TAGS = ("!!bool maybe", '!!float ""', "!!timestamp x", "!!timestamp 2020-13-45", "!!int [1]", "[" * 3000)


@pytest.mark.parametrize("text", TAGS)
def test_a_value_that_does_not_fit_its_tag_or_is_too_deep_is_refused(text):
    for read in (load, quoted):
        with pytest.raises(yaml.YAMLError):
            read(text)
    for read in (parse, Schedule.from_yaml):
        with pytest.raises(SpecError):
            read(text)
    assert parse("!!bool true") is True
