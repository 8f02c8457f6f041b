"""Many fits side by side: named, in order, refused one by one, stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch

from cpvae import FitWarning, InputError
from cpvae.fitting.jobs import Job, at_a_time, on_backend, run


def work(i: int) -> tuple[int, int, str]:
    warnings.warn(f"doubt {i}", FitWarning, stacklevel=1)
    if i == 1:
        raise InputError("one is refused")
    return i, torch.get_num_threads(), str(Path.cwd())


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_jobs_are_done_on_one_thread_here_and_come_back_in_order(n_jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = []
    jobs = [Job(f"job{i}", partial(work, i)) for i in range(4)]
    done = run(jobs, n_jobs, told=told.append, refuse=False)
    assert [one.name for one in done] == ["job0", "job1", "job2", "job3"]
    assert sorted(one.name for one in told) == ["job0", "job1", "job2", "job3"]
    assert [one.refused for one in done] == ["", "one is refused", "", ""]
    assert done[2].result() == (2, 1, str(tmp_path))
    assert done[1].warnings == ("doubt 1",)
    with pytest.raises(InputError, match="one is refused"):
        run(jobs, n_jobs)


def test_a_killed_process_is_told_in_one_line():
    jobs = [Job(str(i), partial(abs, 1) if i else partial(_end, os.getpid())) for i in range(2)]
    with pytest.raises(InputError, match=r"the process of a fit was killed, .* memory; ask for fewer at a time"):
        run(jobs, 2)


def _end(parent: int) -> None:
    assert os.getpid() != parent
    os.kill(os.getpid(), signal.SIGKILL)


def test_how_many_at_a_time():
    assert at_a_time(8, 3) == 3
    assert at_a_time(None, 5, "cuda") == 1
    assert at_a_time(None, 1, "cpu") == 1


STOPPED = """
import os, sys, time
from functools import partial
from pathlib import Path
from cpvae.fitting.jobs import Job, run
def wait(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)
try:
    run([Job(str(i), partial(wait, sys.argv[1] + str(i))) for i in range(2)], 2)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_a_stop_ends_all_of_them_without_complaints(tmp_path):
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    process = subprocess.Popen([sys.executable, script, tmp_path / "begun"], stderr=subprocess.PIPE, text=True)

    def stop() -> None:
        until = time.monotonic() + 120
        while len(list(tmp_path.glob("begun*"))) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)

    threading.Thread(target=stop).start()
    _, said = process.communicate(timeout=180)
    assert (process.returncode, said) == (130, "")


def state(number: int) -> str:
    """Read the state that Linux gives a process: Z for one that ended and is not yet cleared away."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_end_soon_after_the_process_that_asked_for_them_was_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(STOPPED)
    process = subprocess.Popen([sys.executable, script, tmp_path / "begun"], stderr=subprocess.DEVNULL)
    workers: list[int] = []
    until = time.monotonic() + 120
    while len(workers) < 2 and time.monotonic() < until:
        workers = [int(text) for path in tmp_path.glob("begun*") if (text := path.read_text())]
        time.sleep(0.01)
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while any(state(one) not in ("Z", "gone") for one in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert [state(one) in ("Z", "gone") for one in workers] == [True, True]


def noted(place: str, kill: bool) -> int:
    """Note this process in a file; the first that is to kill itself does."""
    path = Path(place)
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if kill and len(path.read_text().split()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return int(path.stem)


CLUSTERS = {"dask": "distributed", "ray": "ray"}


@pytest.mark.filterwarnings("ignore")  # of the clusters, such as of ports in use
@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_does_the_jobs_and_those_of_a_killed_worker_again(name, tmp_path, monkeypatch):
    pytest.importorskip(CLUSTERS[name], reason=f"needs the extra [{name}]")
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for workers of Ray
    monkeypatch.chdir(tmp_path)
    jobs = [Job(str(i), partial(noted, f"{i}.txt", name == "dask" and i == 1)) for i in range(4)]
    with on_backend(name):
        assert at_a_time(None, 9) == 2
        done = run(jobs)
    assert [one.result() for one in done] == [0, 1, 2, 3]
    begun = [Path(f"{i}.txt").read_text().split() for i in range(4)]
    assert [len(one) for one in begun] == [1, 2 if name == "dask" else 1, 1, 1]
    assert not any(str(os.getpid()) in one for one in begun)


def test_a_cluster_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in CLUSTERS:
        with (
            pytest.raises(
                InputError, match=rf"backend '{name}' needs .*, which is not installed; pip install 'cpvae\[{name}\]'"
            ),
            on_backend(name),
        ):
            pass
    with pytest.raises(InputError, match="backend 'none' cannot be used"), on_backend("none"):
        pass
