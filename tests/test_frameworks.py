"""What templates say of the frameworks that they follow."""

import pytest

from trimtab.dossier.frameworks import framework


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
        "name: ours\ntitle: Yes\nframework: 2026\nsections: [{title: 1.20, refs: [4.10, 010], items: [task]}]\n"
    )
    ours = framework(str(file))
    assert (ours.title, ours.text, ours.sections[0].title) == ("Yes", "2026", "1.20")
    assert ours.sections[0].refs == ["4.10", "010"]
