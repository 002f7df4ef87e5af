"""What templates say of the frameworks that they follow."""

import pytest

from trimtab.dossier.frameworks import framework
from trimtab.errors import SpecError


@pytest.mark.parametrize(
    ("item", "point"),
    [("overrides", "2(b)"), ("slices", "3"), ("objective_reason", "4"), ("changes", "6"), ("monitoring", "9")],
)
def test_an_item_is_filed_under_the_point_of_annex_iv_that_asks_for_it(item, point):
    assert [s.refs for s in framework("eu-ai-act-annex-iv-2024").sections if item in s.items] == [[point]]


def test_what_annex_iv_asks_for_and_a_study_cannot_tell_is_named():
    annex = framework("eu-ai-act-annex-iv-2024")
    assert "2(e) (human oversight)" in annex.text
    assert all("2(e)" not in s.refs for s in annex.sections)


def test_references_stand_as_they_were_written(tmp_path):
    file = tmp_path / "ours.yaml"
    file.write_text(
        "name: ours\ntitle: Yes\nframework: 2026\ncolumns: [no, 1:30]\n"
        "sections: [{title: 1.20, refs: [4.10, 010], items: [task]}]\n"
    )
    ours = framework(str(file))
    assert (ours.title, ours.text, ours.sections[0].title) == ("Yes", "2026", "1.20")
    assert ours.columns == ["no", "1:30"]
    assert ours.sections[0].refs == ["4.10", "010"]


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("sections: [{title: A, refs: [4.10], items: [task]}]", "'A' has more refs than there are columns \\(0\\)"),
        ("columns: [X]\nsections: [{title: A, refs: 4.10, items: [task]}]", "is no template \\('4.10' is no list\\)"),
        ("columns:\nsections: [{title: A, items: [task]}]", "is no template \\(None is no list\\)"),
        ("sections: [{title: , items: [task]}]", "is no template \\(None is no text\\)"),
        ("sections: [{title: A, items: [tusk]}]", "'tusk' is no item; did you mean 'task'"),
        ("sections: [{title: A, items: [task]}, {title: B, items: [task]}]", "'task' stands in two sections"),
    ],
)
def test_a_template_of_the_wrong_form_is_said(tmp_path, rest, says):
    file = tmp_path / "ours.yaml"
    file.write_text(f"name: ours\ntitle: T\nframework: F\n{rest}\n")
    with pytest.raises(SpecError, match=says):
        framework(str(file))
