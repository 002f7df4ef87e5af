"""The shape of the project: who may import whom, no cycles, the public page, and the sizes that keep it readable."""

import ast
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import trimtab

SRC = Path(trimtab.__file__).parent
MODULES = {
    ".".join(p.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__") or "__init__": p
    for p in SRC.rglob("*.py")
}
MODULES = {name: p for name, p in MODULES.items() if "migrations" not in p.parts}
PACKAGES = {  # from the bottom up: a module or package -> what it may import of ours beside itself
    "arrays": (),
    "errors": (),
    "checks": ("errors",),
    "other_tuners": ("errors",),
    "calls": ("errors", "checks", "other_tuners"),
    "canonical": (),
    "formatting": (),
    "streams": (),
    "interrupts": (),
    "files": ("errors",),
    "yamltext": (),
    "units": ("errors", "checks"),
    "goals": ("errors", "checks"),
    "fidelity": ("errors", "checks", "calls"),
    "space": ("arrays", "errors", "checks", "calls", "canonical"),
    "numerics": ("arrays", "errors"),
    "strategies": ("arrays", "errors", "checks", "space", "numerics"),
    "testing": ("arrays", "errors", "space", "numerics", "strategies"),
    "records": (
        "arrays",
        "errors",
        "checks",
        "other_tuners",
        "calls",
        "canonical",
        "units",
        "goals",
        "fidelity",
        "space",
    ),
    "stopping": ("arrays", "errors", "checks", "canonical", "goals", "fidelity", "numerics"),
    "chain": ("canonical", "records"),
    "capture": ("errors", "canonical", "yamltext"),
    "evidence": (
        "arrays",
        "errors",
        "checks",
        "canonical",
        "formatting",
        "goals",
        "space",
        "numerics",
        "strategies",
        "records",
    ),
    "engine": (
        "arrays",
        "errors",
        "checks",
        "canonical",
        "formatting",
        "goals",
        "space",
        "numerics",
        "strategies",
        "records",
        "stopping",
    ),
    "standing": ("arrays", "errors", "formatting", "records", "evidence", "engine"),
    "explanation": ("errors", "checks", "formatting", "space", "records", "evidence", "engine", "standing"),
    "outlook": (
        "errors",
        "checks",
        "formatting",
        "numerics",
        "strategies",
        "records",
        "evidence",
        "engine",
        "standing",
    ),
    "replay": ("errors", "canonical", "formatting", "strategies", "records", "stopping", "engine", "outlook"),
    "reports": (
        "arrays",
        "errors",
        "checks",
        "canonical",
        "formatting",
        "goals",
        "space",
        "records",
        "chain",
        "evidence",
        "engine",
        "standing",
        "explanation",
    ),
    "dossier": (
        "errors",
        "canonical",
        "formatting",
        "space",
        "records",
        "chain",
        "evidence",
        "explanation",
        "reports",
        "yamltext",
    ),
    "storage": ("errors", "checks", "canonical", "interrupts", "files", "goals", "fidelity", "records", "chain"),
    "executors": ("errors", "checks", "units", "records"),
    "objective": ("errors", "checks", "other_tuners", "calls", "canonical", "files", "goals", "space", "records"),
    "validation": (
        "arrays",
        "errors",
        "checks",
        "calls",
        "canonical",
        "formatting",
        "numerics",
        "capture",
        "objective",
    ),
    "outcomes": ("errors", "formatting", "records", "executors", "objective"),
}
SURFACE = {"__init__", "__main__", "cli", "demo", "studyfile"}
"""The user's side: may import what is public below, and nothing below may import it."""
EDGE = ("schedule", "live", "running", "keys", "proof", "study", "simulate")
"""Where IO, clocks and processes meet decisions, from the bottom up: may import all PACKAGES, and those listed before it."""


@cache
def parsed(name: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(MODULES[name].read_text())


def imports(name: str, everything: bool = True) -> set[str]:
    """Our modules that a module imports; with `everything`, also those inside functions."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    if name == "__init__":
        package = []
    found = set()
    tree = parsed(name)
    typing_only = {
        id(n)
        for i in tree.body
        if isinstance(i, ast.If) and ast.unparse(i.test) == "TYPE_CHECKING"
        for n in ast.walk(i)
    }
    for node in ast.walk(tree) if everything else tree.body:
        if isinstance(node, ast.ImportFrom) and id(node) not in typing_only:
            if node.level:
                base = package[: len(package) - node.level + 1]
                target = [*base, *(node.module.split(".") if node.module else [])]
            elif node.module and node.module.split(".")[0] == "trimtab":
                target = node.module.split(".")[1:]
            else:
                continue
            for alias in node.names:
                full = ".".join([*target, alias.name])
                found.add(full if full in MODULES else ".".join(target) or "__init__")
    return found - {name}


def package_of(module: str) -> str:
    return module.partition(".")[0]


def test_packages_are_built_on_those_below_them():
    order = list(PACKAGES)
    for name, below in PACKAGES.items():
        assert set(below) <= set(order[: order.index(name)]), name


def test_the_architecture_page_names_every_package_from_the_bottom_up():
    page = (SRC.parent.parent / "docs" / "explanation" / "architecture.md").read_text()
    table = page.partition("## Packages and modules")[2]
    named = [word for line in table.splitlines() if "|" in line for word in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert [name for name in named if name in (*PACKAGES, *EDGE)] == [*PACKAGES, *EDGE]
    assert set(named) == {package_of(m) for m in MODULES} - {"__init__", "__main__"}


@pytest.mark.parametrize("package", ["strategies", "evidence", "numerics", "reports", "reports.sections", "proof"])
def test_a_package_of_many_modules_names_each_of_them(package):
    inside = {name.removeprefix(f"{package}.").partition(".")[0] for name in MODULES if name.startswith(f"{package}.")}
    text = MODULES[package].read_text()
    assert {name for name in inside if not re.search(rf"\b{name}\b", text)} == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_package_imports_only_packages_below_it(name):
    mine = package_of(name)
    if mine in SURFACE:
        return_to = {m for m in imports(name) if package_of(m) in SURFACE - {mine, "__init__"}}
        assert mine in ("cli", "__init__", "__main__") or not return_to, return_to
        return
    assert mine in PACKAGES or mine in EDGE, f"{name} has no place in the table"
    for other in imports(name):
        there = package_of(other)
        assert there not in SURFACE, f"{name} imports {other}"
        below = PACKAGES[mine] if mine in PACKAGES else (*PACKAGES, *EDGE[: EDGE.index(mine)])
        assert there in (mine, *below), f"{name} imports {other}"


def test_there_is_no_import_cycle():
    graph = {m: imports(m, everything=False) for m in MODULES}
    done: set[str] = set()

    def visit(m: str, trail: tuple[str, ...]) -> None:
        assert m not in trail, " -> ".join([*trail, m])
        if m not in done:
            for n in graph[m]:
                visit(n, (*trail, m))
            done.add(m)

    for m in graph:
        visit(m, ())
    assert done == set(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_reaches_for_another_ones_private_names(name):
    tree = parsed(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            private = [a.name for a in node.names if a.name.startswith("_") and not a.name.startswith("__")]
            assert not private, f"{name} imports {private}"


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda p: str(p.relative_to(SRC)))
def test_files_and_functions_stay_readable(path):
    text = path.read_text()
    assert text.count("\n") <= 450
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


PURE = [
    "engine",
    "outcomes",
    "outlook",
    "replay",
    "goals",
    "fidelity",
    "stopping",
    "space",
    "strategies",
    "numerics",
    "evidence",
    "standing",
    "explanation",
    "chain",
]

LOCKED = {"engine.ledger"}  # reads its archive, from several threads


@pytest.mark.parametrize("name", sorted(m for m in MODULES if package_of(m) in PURE and m not in LOCKED))
def test_decisions_are_pure(name):
    """No clock, no files, no global randomness where decisions are made."""
    banned = {"time", "os", "pathlib", "socket", "subprocess", "threading", "random", "datetime", "secrets"}
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Import):
            assert not banned & {a.name.split(".")[0] for a in node.names}, name
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert (node.module or "").split(".")[0] not in banned, name


def test_all_yaml_is_read_in_one_place():
    """It limits aliases."""
    readers = [name for name, path in MODULES.items() if re.search(r"\byaml\.\w*load", path.read_text())]
    assert readers == []


def test_a_study_is_there_before_slow_libraries_are():
    slow = ["scipy.stats", "pandas", "sklearn", "plotly", "jinja2", "rich", "alembic", "psycopg"]
    code = f"import sys, trimtab.study; print([m for m in {slow} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_exists_and_is_documented():
    docs = (SRC.parent.parent / "docs" / "reference.md").read_text()
    for name in trimtab.__all__:
        assert getattr(trimtab, name) is not None
        assert f"`{name}" in docs or name == "__version__", f"docs/reference.md does not mention {name}"
    assert len(trimtab.__all__) <= 15


@pytest.mark.parametrize("name", sorted(m for m, path in MODULES.items() if "__all__ = [" in path.read_text()))
def test_every_exported_name_exists(name):
    module = trimtab if name == "__init__" else import_module(f"trimtab.{name}")
    assert [exported for exported in module.__all__ if not hasattr(module, exported)] == []
