"""Films on several processes: the same bytes for every number of workers, whoever dies, and one line when a cluster is of no use."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'cytolineage[dask]'")

from lineage import pipeline  # noqa: E402
from lineage.films.zarr_writing import create_image_zarr, write_frame  # noqa: E402
from lineage.pieces import Resources, here, spreading  # noqa: E402
from lineage.pieces.cluster import _checked, _question  # noqa: E402
from lineage.settings import Settings  # noqa: E402
from lineage.simulation import simulate  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
CLASSICAL = Settings(segment="classical")


@pytest.fixture(scope="module")
def client():
    """A cluster of two processes."""
    with spreading_client(2) as client:
        yield client


def spreading_client(workers):
    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, memory_limit=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
    )
    return distributed.Client(cluster, set_as_default=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A film on disk."""
    folder = tmp_path_factory.mktemp("films")
    film = simulate(frames=8, cells=8, size=(96, 110), radius=7, cycle=10, cycle_spread=2, seed=3)
    create_image_zarr(folder / "film.zarr", film.image.shape)
    for t, image in enumerate(film.image):
        write_frame(folder / "film.zarr", t, image)
    return folder


def contents(folder):
    """Every file of a result that does not say when it was made."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "times.json"}


def squared(task):
    """Work that takes a moment."""
    time.sleep(0.002)
    return task * task


def refusing(task):
    """Work that goes wrong once."""
    if task == 5:
        raise ValueError("frame 5: it makes no sense")
    return task


def slow(task):
    """Work in which a worker can be killed; says who did it."""
    time.sleep(0.05)
    return os.getpid()


def test_all_tasks_are_done_and_numbered(client, tmp_path):
    with spreading(Resources(client=client), tmp_path) as spread:
        made = list(spread(squared, list(range(100))))
    assert sorted(made) == [(k, k * k) for k in range(100)] == sorted(here(squared, list(range(100))))


def test_what_goes_wrong_there_is_said_here(client, tmp_path):
    with spreading(Resources(client=client), tmp_path) as spread, pytest.raises(ValueError, match=r"^frame 5: it makes no sense$"):
        list(spread(refusing, list(range(40))))


def test_a_worker_that_dies_is_replaced(client, tmp_path):
    with spreading(Resources(client=client), tmp_path) as spread:
        done, victims = [], []
        for number, worker in spread(slow, list(range(40))):
            done.append(number)
            if len(done) in (5, 20):
                os.kill(worker, signal.SIGKILL)
                victims.append(worker)
        assert sorted(done) == list(range(40))
        assert len(victims) == 2


def test_the_bytes_are_the_same_for_every_number_of_workers(client, place):
    pipeline.run(place / "film.zarr", place / "alone", settings=CLASSICAL, resources=Resources())
    told = []
    pipeline.run(place / "film.zarr", place / "two", settings=CLASSICAL, resources=Resources(client=client), tell=told.append)
    assert contents(place / "two") == contents(place / "alone")
    assert re.fullmatch(r"2 workers, dashboard at \S+", told[0])


def test_the_command_with_workers(place, monkeypatch):
    """As a user calls it: workers are started, do the work, and are gone; whether killed on the way or not."""
    command = [sys.executable, "-m", "lineage", "track", "film.zarr", "-o", "mine", "--segment", "classical", "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    frames = place / "mine.pieces" / "frames"
    while run.poll() is None and not (frames.is_dir() and any(frames.glob("*.npz"))):
        time.sleep(0.005)
    run.kill()
    run.wait()
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 workers, dashboard at http://127.0.0.1:" in done.stderr
    monkeypatch.chdir(place)
    pipeline.run("film.zarr", "mine_alone", settings=CLASSICAL, resources=Resources())
    assert contents(place / "mine") == contents(place / "mine_alone")


def test_a_scheduler_by_its_address(client, place, tmp_path):
    with spreading(Resources(scheduler=client.scheduler.address), tmp_path) as spread:
        assert sorted(spread(squared, [1, 2, 3])) == [(0, 1), (1, 4), (2, 9)]


def test_a_scheduler_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setattr("lineage.pieces.cluster._SECONDS", 1)
    says = re.escape("the scheduler tcp://127.0.0.1:9 cannot be reached: ")
    with pytest.raises(ConnectionError, match=f"^{says}[^\\n]+$"), spreading(Resources(scheduler="tcp://127.0.0.1:9"), tmp_path):
        pass


def test_a_scheduler_that_dies_is_said(tmp_path):
    """A cluster of its own: a scheduler and a worker as they are started on a cluster."""
    told = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    start = [sys.executable, "-m", "dask"]
    quiet["env"] = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    scheduler = subprocess.Popen(
        [*start, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", told], **quiet
    )
    worker = subprocess.Popen([*start, "worker", "--scheduler-file", told, "--no-dashboard", "--nthreads", "1"], **quiet)
    try:
        while not told.exists():
            time.sleep(0.05)
        client = distributed.Client(scheduler_file=str(told), set_as_default=False, timeout=30)
        client.wait_for_workers(1, timeout=60)
        done = []
        with (
            spreading(Resources(client=client), tmp_path) as spread,
            pytest.raises(ConnectionError, match=r"^the connection to the scheduler is lost"),
        ):
            for number, _ in spread(time.sleep, [0.05] * 400):
                done.append(number)
                if len(done) == 5:
                    scheduler.kill()
        assert 5 <= len(done) < 400
        client.close(timeout=1)
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()


class Pretended:
    """A client whose workers answer as they are told to."""

    dashboard_link = "http://somewhere"

    def __init__(self, workers, **answer):
        self.workers, self.answer = workers, answer
        self.scheduler = type("Scheduler", (), {"address": "tcp://a:1"})

    def scheduler_info(self, n_workers):
        return {"workers": {f"tcp://w:{k}": {"nthreads": 1} for k in range(self.workers)}}

    def run_on_scheduler(self, ask, place):
        return ask(place)

    def run(self, ask, place):
        versions, sees = ask(place)
        return {
            "tcp://w:0": (versions, sees),
            "tcp://w:1": ({**versions, **self.answer.get("versions", {})}, self.answer.get("sees", sees)),
        }


@pytest.mark.parametrize(
    ("client", "says"),
    [
        (Pretended(0), "the scheduler tcp://a:1 has no workers: start some with 'dask worker'"),
        (Pretended(2, versions={"cytolineage": "none"}), r"the worker tcp://w:1 has no cytolineage: install \S+ there"),
        (Pretended(2, versions={"numpy": "1.0"}), r"the worker tcp://w:1 has numpy 1\.0, but here it is \S+: install the same version"),
        (Pretended(2, versions={"python": "2.7"}), r"the worker tcp://w:1 has python 2\.7, but here it is \S+: install the same version"),
        (Pretended(2, sees=False), r"the worker tcp://w:1 does not see \S+: all must see the same files by the same names"),
    ],
)
def test_workers_that_are_of_no_use(client, says, tmp_path):
    with pytest.raises(ConnectionError, match=f"^{says}$"):
        _checked(client, tmp_path, print)


def test_a_worker_without_the_package_can_answer():
    """The question is sent by value: it can be asked where nothing of this house can be imported."""
    import cloudpickle

    code = (
        "import sys, cloudpickle\nfor name in ('lineage', 'segmentation', 'restoration'):\n    sys.modules[name] = None\n"
        "print(cloudpickle.loads(sys.stdin.buffer.read())('.')[1])"
    )
    run = subprocess.run([sys.executable, "-c", code], input=cloudpickle.dumps(_question()), capture_output=True, check=True)
    assert run.stdout.strip() == b"True"


def test_without_dask_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(ValueError, match=r"^several workers need Dask: pip install 'cytolineage\[dask\]'$"):
        with spreading(Resources(workers=2), tmp_path):
            pass
