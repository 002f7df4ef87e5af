"""What is asked of Slurm, and what is refused before it is asked. The real thing is in tests/slurm."""

import pytest

import trimtab as tt
from trimtab.errors import SpecError
from trimtab.executors.slurm import Slurm
from trimtab.storage.memory import Memory
from trimtab.studyfile import read


def test_options_become_arguments_of_sbatch():
    options = Slurm(partition="gpu", account="ml", time="90m", arguments=["--nice=10"])
    asked = options.words(tt.Resources(cpus=4, gpus=1, memory="2GiB"))
    assert asked == [
        "--requeue", "--partition=gpu", "--account=ml", "--time=90", "--mem=2560M", "--gpus=1", "--cpus-per-task=4",
        "--signal=B:TERM@120", "--nice=10",
    ]  # fmt: skip
    assert "--signal=B:TERM@15" in Slurm(time=20).words(tt.Resources())
    assert "--mem=1024M" in Slurm(memory="1GiB").words(tt.Resources(memory="8GiB"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"time": "soon"}, "slurm time='soon' is no positive amount"),
        ({"partition": ""}, "slurm partition='' must be a name"),
        ({"python": None}, "slurm python=None must be a name"),
        ({"cpus": 0}, "slurm cpus=0 must be a whole number of at least 1"),
        ({"slots": None}, "slurm slots=None must be a whole number"),
        ({"trials": 1.5}, r"slurm trials=1\.5 must be a whole number"),
        ({"arguments": "--nice"}, "slurm arguments='--nice' must be a list of texts"),
    ],
)
def test_options_that_are_wrong_are_refused(wrong, said):
    with pytest.raises(SpecError, match=said):
        Slurm(**wrong)


def test_a_job_of_several_slots_asks_for_all_of_them():
    asked = Slurm(slots=4).words(tt.Resources(cpus=2, gpus=0.5, memory="1GiB"))
    assert {"--cpus-per-task=8", "--gpus=2", "--mem=4608M"} <= set(asked)


def test_slurm_gives_no_fractions_of_a_gpu():
    with pytest.raises(SpecError, match=r"gpus=0\.5: Slurm gives a job whole GPUs"):
        Slurm().words(tt.Resources(gpus=0.5))


@pytest.mark.parametrize("store", [None, "sqlite"])
def test_a_store_of_one_machine_is_refused(store, url):
    s = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage=url if store else None)
    with pytest.raises(SpecError, match=r"jobs on other machines cannot share it .*; use storage='postgresql:"):
        s.run("train.py:f", trials=2, executor="slurm", quiet=True)
    assert s.storage.events(s.record.id, kinds={"run"}) == []


def test_a_password_in_the_url_is_refused():
    store = Memory()
    store.url = "postgresql://ada:***@db/tuning"  # as a store shows its URL
    s = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", storage=store)
    with pytest.raises(SpecError, match=r"put it in ~/\.pgpass"):
        s.run("train.py:f", trials=2, executor="slurm", quiet=True)
    assert s.storage.events(s.record.id, kinds={"run"}) == []


FILE = """
study: s
command: echo loss={x}
space: {x: {float: [0, 1]}}
minimize: loss
slurm: {partition: gpu, time: 4h, trials: 10, arguments: [--constraint=a100]}
"""


def test_a_study_file_says_what_is_asked_of_slurm(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(FILE)
    assert read(file).slurm == Slurm(partition="gpu", time="4h", trials=10, arguments=["--constraint=a100"])
    file.write_text(FILE.replace("4h", "never"))
    with pytest.raises(SpecError, match=r"slurm\.time='never' is no positive amount"):
        read(file)
    file.write_text(FILE.replace("partition", "partiton"))
    with pytest.raises(SpecError, match=r"slurm\.partiton is not a key .*'partition'"):
        read(file)
