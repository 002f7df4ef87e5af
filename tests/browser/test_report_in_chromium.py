"""The report, opened in a real browser: it draws, and its console stays silent."""

import importlib.resources
import json
import re
import shutil
import subprocess
from html import unescape

import pytest

import trimtab as tt

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=20000 --enable-logging=stderr"
).split()


@pytest.fixture(scope="module")
def study():
    """A small study: mixed space, a constraint, failures, evidence."""

    def objective(trial):
        if trial.number == 4:
            raise RuntimeError("out of luck <script>alert(1)</script>")
        noise = (trial.seed % 997) / 99700
        return {"loss": trial.params["rate"] + noise, "size": 1 / trial.params["rate"]}

    space = tt.Space(
        rate=tt.Float(1e-3, 1.0, log=True, default=0.5),
        kind=tt.Choice("a", "b", default="a"),
        depth=tt.Int(1, 9, default=3, when={"kind": "b"}),
    )
    study = tt.Study("browser", space, minimize="loss", subject_to="size <= 100", seed=1)
    study.run(objective, trials=15, quiet=True)
    study.evidence(objective, replicates=6, quiet=True)
    return study


@pytest.fixture(scope="module")
def report(study, tmp_path_factory):
    return study.report(tmp_path_factory.mktemp("report") / "report.html", data={"name": "synthetic", "rows": 0})


def chromium(tmp_path, *arguments):
    program = shutil.which("chromium")
    assert program, "run `make browser`, which installs Chromium"
    command = [program, *FLAGS, f"--user-data-dir={tmp_path}/profile", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_draws_without_a_word_in_the_console(report, tmp_path, width):
    done = chromium(tmp_path, f"--window-size={width},2000", "--dump-dom", report.as_uri())
    said = [line for line in done.stderr.splitlines() if re.search(r"CONSOLE|Uncaught|Refused to", line)]
    assert said == []
    assert done.stdout.count('class="main-svg"') >= 4
    assert "<script>alert(1)</script>" not in done.stdout


def test_the_report_asks_no_other_host(report):
    text = report.read_text()
    assert not re.search(r"""<(script|link|img)[^>]+(src|href)=["']https?:""", text)


def test_a_screenshot_can_be_taken(report, tmp_path):
    picture = tmp_path / "report.png"
    chromium(tmp_path, "--window-size=1280,3000", f"--screenshot={picture}", report.as_uri())
    assert picture.stat().st_size > 50_000


PAPER = 688  # pixels of a line on A4 between the margins
MEASURE = """<script>addEventListener("load", () => {
  document.querySelectorAll("details").forEach((d) => { d.open = true; });
  const cells = [...document.querySelectorAll("table :is(td, th)")].map((c) => c.getBoundingClientRect().right);
  document.body.dataset.right = Math.max(...cells);
});</script>"""


@pytest.mark.parametrize("template", ["study", "us-sr-26-2-2026"])
def test_on_paper_no_table_is_wider_than_the_page(tmp_path, template):
    """The rules for paper, shown on a screen of a page's width."""
    metrics = [f"share_of_customers_in_group_{i}_above_the_limit" for i in range(5)]
    space = {f"parameter_number_{i}_of_the_gradient_boosting": tt.Float(0, 1, default=0.5) for i in range(6)}
    space["encoding"] = tt.Choice("one_hot_encoding_with_rare_levels", "target_encoding_with_smoothing")
    study = tt.Study("wide", space, minimize=metrics[0], subject_to=[f"{m} <= 2" for m in metrics[1:]], seed=1)
    study.run(lambda trial: dict.fromkeys(metrics, trial.params[next(iter(space))]), trials=14, quiet=True)
    page = study.report(tmp_path / "wide.html", template=template)
    page.write_text(page.read_text().replace("@media print", "@media all").replace("</body>", f"{MEASURE}</body>"))
    done = chromium(tmp_path, f"--window-size={PAPER},2000", "--dump-dom", page.as_uri())
    (right,) = re.findall(r'<body[^>]* data-right="([\d.]+)"', done.stdout)
    assert float(right) <= PAPER


CHECK = """addEventListener("load", async () => {
  document.querySelectorAll("details").forEach((d) => { d.open = true; });
  const { violations } = await axe.run();
  document.body.dataset.found = JSON.stringify(violations.map((v) => [v.id, v.nodes[0].html]));
});"""


@pytest.mark.parametrize("template", ["study", "us-sr-26-2-2026"])
@pytest.mark.parametrize("width", [1280, 500])
def test_axe_finds_nothing_that_shuts_readers_out(study, tmp_path, template, width):
    """Contrast, landmarks, headings, tables, keyboard: the rules of axe-core, with everything unfolded."""
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
    page = study.report(tmp_path / "page.html", template=template)
    page.write_text(page.read_text().replace("</body>", f"<script>{axe}</script><script>{CHECK}</script></body>"))
    done = chromium(tmp_path, f"--window-size={width},2000", "--dump-dom", page.as_uri())
    (found,) = re.findall(r'<body[^>]* data-found="([^"]*)"', done.stdout)
    assert json.loads(unescape(found)) == []
