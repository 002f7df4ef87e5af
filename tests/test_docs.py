"""Every Python block of the documentation runs, in order, in a fresh folder."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from trimtab.cli import cli

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
WITHOUT_CODE = [ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")
HEADING = re.compile(r"^#+ (.*)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_python_blocks_of_a_page_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    blocks = BLOCK.findall(page.read_text())
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert len(names) > 1 or not blocks


@pytest.mark.parametrize("page", [*PAGES, *WITHOUT_CODE], ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target, section in LINK.findall(page.read_text()):
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not section or section in sections(there), f"{target}#{section}"


def test_the_list_of_pages_lists_each_guide_and_explanation():
    linked = {target for target, _ in LINK.findall((ROOT / "docs" / "README.md").read_text())}
    pages = {
        f"{p.parent.name}/{p.name}" for room in ("how-to", "explanation") for p in (ROOT / "docs" / room).glob("*.md")
    }
    assert pages - linked == set()


def test_the_program_of_its_page_is_tuned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    page = (ROOT / "docs" / "how-to" / "tune-a-program.md").read_text()
    for name, text in re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        Path(name).write_text(text)
    ran = CliRunner().invoke(cli, ["run", "pragmas.yaml", "--trials", "4", "--quiet"])
    assert "4 of 30 trials: 4 done" in ran.stdout
    shown = CliRunner().invoke(cli, ["evidence", "pragmas", "--replicates", "2", "--quiet"])
    assert shown.stdout.startswith("decision ")
    assert "over 2 pairs" in shown.stdout


def sections(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(BLOCK.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
