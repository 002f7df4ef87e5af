"""docs/reference.md lists everything that is public, option by option and argument by argument; the settings of stopping
rules are in the guide to them."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

import trimtab as tt
from trimtab import errors, stopping
from trimtab.cli import cli
from trimtab.objective import ActiveTrial
from trimtab.reports.plots import Plots
from trimtab.studyfile import read

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "reference.md").read_text()


def section(title, page=PAGE):
    """The words in code style in a section of a page."""
    text = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)[1]
    text = re.sub("^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return " ".join(re.findall(r"`([^`]+)`", text))


def missing(names, code):
    return [name for name in names if not re.search(rf"(?<![\w-]){name}(?!\w)", code)]


def public(kind):
    return [name for name in dir(kind) if not name.startswith("_")]


def arguments(*calls):
    return {name for called in calls for name in inspect.signature(called).parameters} - {"self"}


def commands(group, words=()):
    """Each command of the command line, with the words that call it."""
    for name, made in group.commands.items():
        if isinstance(made, click.Group):
            yield from commands(made, (*words, name))
        else:
            yield " ".join((*words, name)), made


@pytest.mark.parametrize(("words", "made"), [*commands(cli)], ids=str)
def test_each_command_is_listed_with_its_options(words, made):
    rows = [line for line in PAGE.splitlines() if re.match(rf"\| `trimtab (\w+ NAME`, `)?{words}[ `]", line)]
    options = {word for p in made.params if isinstance(p, click.Option) for word in p.opts} - {"--storage"}
    assert len(rows) == 1
    assert missing(options, rows[0]) == []


def test_each_member_and_argument_of_a_study_is_listed():
    code = section("`Study`")
    assert missing([f"{name}=" for name in arguments(tt.Study) - {"name", "space"}], code) == []
    assert missing([*public(tt.Study), *public(Plots)], code) == []
    calls = (tt.Study.run, tt.Study.submit, tt.Study.evidence, tt.Study.holdout, tt.Study.report, tt.Study.reproduce)
    assert missing(arguments(*calls), code) == []


def test_each_attribute_of_what_a_user_holds_is_listed():
    assert missing(set(public(ActiveTrial)) - {"of"}, section("Objectives")) == []
    assert missing(arguments(tt.Budget, tt.Resources), section("`Budget`, `Resources`")) == []
    assert missing(arguments(tt.CrossValidation), section("`CrossValidation`")) == []
    assert missing([f.name for f in fields(tt.Evidence)], section("`Evidence`")) == []


def test_each_error_is_listed():
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert missing(kinds - {"Stale"}, section("`TrimtabError`")) == []


def test_each_key_of_a_study_file_is_listed(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("quizzical: 1\n")
    with pytest.raises(errors.SpecError, match="known: ") as refused:
        read(file)
    keys = str(refused.value).rpartition("known: ")[2].split(", ")
    assert len(keys) > 20
    assert missing(keys, section("The study file")) == []


@pytest.mark.parametrize("name", stopping.names())
def test_each_setting_of_a_stopping_rule_is_listed(name):
    guide = section("Settings of a rule", (DOCS / "how-to" / "stop-early.md").read_text())
    rule = stopping.rule({"rule": name, "metric": "m", "above": 0.0} if name == "threshold" else name)
    settings = {f.name for f in fields(rule)} - {"name"}
    assert missing({type(rule).__name__, *settings} if settings else (), guide) == []
