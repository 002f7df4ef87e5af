"""`trimtab demo`: tune a credit model on real data, prove the gain, keep the model and the record. The problem is in
`credit`; this module runs it, and writes everything into one folder. Running it again continues."""

import hashlib
import io
import json
import os
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import write
from ..formatting import command

if TYPE_CHECKING:
    from ..records import Trial
    from ..study import Study

OBJECTIVE = "trimtab.demo.credit:objective"
TRIALS, QUICK_TRIALS, QUICK_PAIRS = 50, 8, 3


def run(out: Path, *, quick: bool = False, workers: int = 2, seed: int | None = None) -> Iterator[str]:
    """Run the demo in the folder `out`; yields the lines to show, of which the last is the report's path.

    quick: a few trials and pairs, in a study of their own. seed: of the study; default: the demo's own. Raises
    UserError if the `demo` extra is missing or the folder cannot be written, and whatever `Study.run` raises.
    """
    _check(out)
    from ..records import Resources
    from . import credit

    name, end = ("credit-default-quick", "-quick") if quick else ("credit-default", "")
    study = _study(name, out, QUICK_TRIALS if quick else TRIALS, credit.SEED if seed is None else seed)
    yield f"study {name} in {out / 'trimtab.db'}: which card holders will not pay next month?"
    how: dict[str, Any] = {"workers": workers, "resources": Resources(memory="2GiB", time="5m"), "supervised": True}
    study.run(OBJECTIVE, **how)
    pairs = QUICK_PAIRS if quick else credit.FOLDS
    yield f"testing the gain: {pairs} folds of rows that the search has never seen"
    found = study.evidence(OBJECTIVE, replicates=pairs, test_train_ratio=credit.RATIO, **how)
    saved = _keep(study, found.tuned_trial, out / f"model{end}.joblib")
    report = study.report(out / f"report{end}.html", data=_data())
    size = json.loads(saved.with_suffix(".json").read_text(encoding="utf-8"))["size_kib"]
    yield from ("", *found.text().splitlines(), f"{'model':<12}{_shown(saved)}, {size:.0f} KiB")
    store = shlex.quote(f"sqlite:///{out / 'trimtab.db'}")
    yield f"{'again':<12}{command('show', name, f' --storage {store}')}"
    yield _shown(report)


def _check(out: Path) -> None:
    """Raises UserError if a package is missing or `out` is not a folder to write to."""
    missing = [m for m in ("sklearn", "joblib", "plotly", "jinja2") if not _there(m)]
    if missing:
        raise UserError(f'the demo needs {", ".join(missing)}; run: pip install "trimtab[demo]"')
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{out} is a file; name a folder with --out") from None
    except OSError as error:
        raise UserError(f"{out} cannot be made: {error.strerror}; name another folder with --out") from None
    if not os.access(out, os.W_OK):
        raise UserError(f"{out} may not be written; name another folder with --out")


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # it was loaded in an unusual way, or blocked
        return False


def _study(name: str, out: Path, trials: int, seed: int) -> "Study":
    from ..records import Budget
    from ..study import Study
    from . import credit

    return Study(
        name,
        credit.space(),
        maximize="auc",
        subject_to=[credit.LIMIT],
        budget=Budget(trials=trials),
        seed=seed,
        storage=f"sqlite:///{out / 'trimtab.db'}",
        data={"card holders": credit.FILE},
    )


def _keep(study: "Study", tuned: int, path: Path) -> Path:
    """Fit the certified setting to all rows and save it, with a JSON that says where it comes from; an existing one
    stays."""
    from ..capture import environment
    from . import credit

    best, card = study.trials[tuned], path.with_suffix(".json")
    origin = {
        "study": study.name,
        "uid": study.record.uid,
        "trial": best.number,
        "params": dict(best.params),
        "seed": best.seed,
        "data": {"rows": len(credit.table()[1]), "sha256": credit.fingerprint()},
    }
    try:
        kept = json.loads(card.read_text(encoding="utf-8"))
        if kept["origin"] == origin and kept["sha256"] == _sha256(path):
            return path
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or not whole: fit it
    size = _save(best, path)
    facts = {"file": path.name, "sha256": _sha256(path), "size_kib": size, "origin": origin, "made_with": environment()}
    write(card, (json.dumps(facts, indent=2) + "\n").encode())
    return path


def _save(best: "Trial", path: Path) -> float:
    """Fit a trial's setting to all rows, save the model and return its size in KiB."""
    import joblib
    from threadpoolctl import threadpool_limits

    from . import credit

    X, y = credit.table()
    with threadpool_limits(limits=1):  # sums in one order: the same model on each machine of a kind
        fitted = credit.model(best.params, best.seed).fit(X, y)
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    write(path, buffer.getvalue())
    return credit.size_kib(fitted)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _data() -> dict[str, Any]:
    """The report's description of the data."""
    from . import credit

    _, y = credit.table()
    unseen = len(y) - credit.TUNING
    return {
        "name": "Default of Credit Card Clients (UCI 350)",
        "source": "I-Cheng Yeh, doi:10.24432/C55S3H, licence CC BY 4.0",
        "rows": len(y),
        "columns": "23, and the target: default payment next month",
        "target_rate": f"{y.mean():.2%} of card holders defaulted",
        "sha256": credit.fingerprint(),
        "tuning": f"{credit.TUNING:,} rows drawn at random, {credit.CV}-fold cross-validation",
        "unseen": f"{unseen:,} rows that the search never saw, in {credit.FOLDS} folds: each pair trains on all but one of "
        "these folds and tests on that one, twice, with two seeds",
        "size_kib": "size of the saved model with all iterations, which early stopping may end sooner: 192 KiB is what the "
        "bank's card machine leaves for it",
        "known_limit": "the pairs speak about models trained on 19,000 rows; the saved model is trained on all 30,000, where "
        "its gain can be smaller; rows, folds and size limit were chosen with results on the unseen rows in view, so that this "
        "shows how the method works and is no blind trial",
    }


def _shown(path: Path) -> str:
    """The path relative to the working directory."""
    return os.path.relpath(path)
