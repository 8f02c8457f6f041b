"""The command line: standard output and standard error, exit codes, resuming after Ctrl-C."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cpvae import FitWarning, load
from cpvae.cli import output, program
from cpvae.fitting import loop, runs

SMALL = ("--epochs", "1", "--hidden", "8", "--latent-dim", "2", "--quiet")
TINY = ("-k", "3", "--init", "random", *SMALL)


@dataclass(frozen=True)
class Answer:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


def call(*arguments: object) -> Answer:
    """Run `cpvae` with these arguments in this process; any exception but SystemExit fails the test."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = ["cpvae", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("default", FitWarning)
            with pytest.raises(SystemExit) as ended:
                program.main()
    finally:
        sys.argv = before[0]
        signal.signal(signal.SIGTERM, before[1])
    return Answer(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def done(*arguments: object) -> Answer:
    """Run the command, and check that it succeeds."""
    answer = call(*arguments)
    assert answer.code == 0, answer.err
    return answer


def refused(*arguments: object) -> str:
    """Run the command, check that it is refused as bad input, and return its one line."""
    answer = call(*arguments)
    assert answer.code == 2, answer
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert answer.err.endswith("\n")
    assert len(answer.err.splitlines()) == 1, answer.err
    assert "Traceback" not in answer.err
    return answer.err.removeprefix("error: ").rstrip("\n")


def tree(folder: Path) -> dict[str, str]:
    """List every file and folder below a folder, with its content."""
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else "other"
        for path in sorted(folder.rglob("*"))
    }


def table(n: int = 30) -> pd.DataFrame:
    return pd.DataFrame(np.random.RandomState(0).normal(size=(n, 3)), columns=list("abc"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder to work in, with one table."""
    monkeypatch.chdir(tmp_path)
    table().to_csv("t.csv", index=False)
    return tmp_path


@pytest.mark.filterwarnings("default::cpvae.FitWarning")
def test_json_is_the_only_thing_on_standard_output(place):
    fit = done("fit", "t.csv", "--out", "run", *TINY, "--json", "--learning-rate", "0.9", "-k", "20")
    assert json.loads(fit.out)["model"] == "cpvae"
    assert "warning: " in fit.err
    assert json.loads(done("evaluate", "run", "t.csv", "--json").out)["n"] == 30
    listed = json.loads(done("data", "list", "--json").out)
    assert {"digits", "synthetic"} <= {one["name"] for one in listed["datasets"]}


def test_a_number_that_json_does_not_have_is_null(capsys):
    output.put_json({"a": float("nan"), "b": [float("inf"), 1.5]})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5]}


def test_progress_is_plain_and_on_standard_error(place, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    fit = done("fit", "t.csv", "--out", "run", *(option for option in TINY if option != "--quiet"), "--json")
    assert json.loads(fit.out)
    assert "nats" in fit.err
    assert not re.search(r"[\x1b\r]", fit.err + fit.out)


def test_a_backend_of_matplotlib_that_does_not_exist_is_not_asked_for(place, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "nope")
    done("data", "list")
    assert "MPLBACKEND" not in os.environ  # matplotlib, which is not imported yet, would refuse it


def test_without_arguments_the_help_is_shown(place):
    for arguments in ((), ("data",)):
        answer = done(*arguments)
        assert "Usage" in answer.out + answer.err
        assert "error" not in answer.err


@pytest.mark.usefixtures("undrawn")
def test_odd_paths_are_just_paths(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    odd = Path("dåta und 数/with ' space.csv")
    odd.parent.mkdir()
    table().to_csv(odd, index=False)
    done("fit", odd, "--out", "an ödd run", *TINY)
    done("cluster", "an ödd run", odd, "--out", "new/folder/läbels.csv")  # folders that are missing are made
    assert len(pd.read_csv("new/folder/läbels.csv")) == 30
    done("sample", "an ödd run", "-n", "3", "--out=~/new.npz")
    assert (place / "new.npz").exists()
    done("evaluate", "~/an ödd run", "~/t.csv")
    done("report", "an ödd run")


def test_output_through_a_link_and_without_remains(place):
    done("fit", "t.csv", "--out", "run", *TINY)
    (place / "there.csv").write_text("old")
    (place / "link.csv").symlink_to("there.csv")
    done("sample", "run", "-n", "4", "--out", "link.csv")
    assert (place / "link.csv").is_symlink()
    assert len(pd.read_csv("there.csv")) == 4
    assert not [path for path in place.rglob("*") if path.name.startswith(".")]


@pytest.mark.filterwarnings("default::cpvae.FitWarning")
def test_names_in_files_cannot_control_the_terminal(place):
    odd = "\x1b]0;owned\x07a\x9b2J\u202e"
    shown = "\\x1b]0;owned\\x07a\\x9b2J\\u202e"
    frame = pd.DataFrame({odd: range(30), f"{odd}b": np.arange(30) / 7, ":warning:": ["x", "y"] * 15})
    frame.to_csv("e.csv", index=False)
    answer = done("fit", "e.csv", "--out", "run", *(option for option in TINY if option != "--quiet"))
    assert f"{shown}b: numeric" in answer.err
    assert f"'{shown}' (identifier)" in answer.err
    assert ":warning:: categorical" in answer.err
    assert odd not in answer.err + answer.out
    np.savez("e.npz", **{odd: np.ones((3, 2)), "b": np.ones(3)})
    assert shown in refused("fit", "e.npz", "--out", "new", *TINY)
    assert shown in refused("fit", odd + ".csv", "--out", "new", *TINY)
    Path(odd + ".csv").write_bytes(Path("t.csv").read_bytes())
    answer = done("fit", odd + ".csv", "--out", odd, *TINY)
    assert shown in answer.out
    assert shown in answer.err
    assert odd not in answer.err + answer.out


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_text_that_standard_output_cannot_encode_is_shown_as_escapes(encoding, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict"))
    written = sys.stdout.buffer
    output.prepare_streams()
    output.put(output.two_columns({"dataset": "客户 \udcff.npy"}))
    sys.stdout.flush()
    expected = "客户" if encoding == "utf-8" else "\\u5ba2\\u6237"
    assert written.getvalue().decode(encoding) == f"dataset  {expected} \\udcff.npy\n"


def test_long_names_make_no_long_message(place):
    long = "x" * 100_000
    Path("e.csv").write_text(f"{long},{long}\n1,2\n3,4\n")
    np.savez("e.npz", **{f"key {i}": np.ones(3) for i in range(5000)})
    for data in ("e.csv", "e.npz", long, "../" * 3000):
        assert len(refused("fit", data, "--out", "new", *TINY)) <= 2000
    assert len(refused("fit", "t.csv", "--out", "new", *TINY, "--hidden", "8," * 50_000)) <= 2000


def test_words_for_the_user_are_no_reason_to_fail(monkeypatch):
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    stream = output.Courtesy(Full())
    monkeypatch.setattr(sys, "stderr", stream)
    output.say("a word")
    stream.flush()


def test_streams_that_are_closed_or_full(place):
    """An error is told by its exit code; the places of closed streams are not taken by the next file."""
    script = (
        "import os, sys; from cpvae.cli import output, program; sys.argv = ['cpvae', 'fit', 'none.npy', '--out', 'r']\n"
        "before = output.say\n"
        "def say(text): before(text); open('number', 'w').write(str(os.open('t.csv', os.O_RDONLY)))\n"
        "program.say = say; program.main()"
    )
    for closed in ("2>&-", "0<&- 1>&- 2>&-", "2>/dev/full"):
        run = subprocess.run(["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, script])
        assert run.returncode == 2
        assert int(Path("number").read_text()) > 2


def test_the_current_folder_is_gone(place, monkeypatch):
    gone = place / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "the current folder cannot be used" in refused("evaluate", "../run", "../t.csv")


def test_a_control_c_in_any_command_is_told(place, monkeypatch):
    def stop(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("cpvae.data.loaders.check", stop)
    answer = call("evaluate", "t.csv", "t.csv")
    assert (answer.code, answer.out, answer.err) == (130, "", "stopped\n")


def test_a_control_c_that_python_loses_is_given_again(monkeypatch):
    class Anything:
        pass

    thing = Anything()
    watcher, again = weakref.ref(thing, lambda gone: signal.raise_signal(signal.SIGINT)), threading.Event()
    monkeypatch.setattr(sys, "unraisablehook", program._insist)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            del thing
            while not again.wait(0.01):  # it comes a little later: a single long wait would not be left by it
                pass
    finally:
        signal.signal(signal.SIGINT, before)
    assert watcher() is None


def test_slips_are_told_before_anything_heavy_is_imported(place):
    script = """
import sys
from cpvae.cli import program
for words in (["fit", "none.npy", "--out", "r"], ["fit", "t.csv", "--out", "t.csv"], ["evaluate", "none", "t.csv"],
              ["cluster", "none", "t.csv", "--out", "x.csv"], ["sample", "t.csv", "--out", "x.jpg"],
              ["report", "none"], ["compare", "none.npy"], ["choose", "none.npy"], ["fit"], ["--help"], ["data"],
              ["fit", "t.csv", "--out", "r", "--hidden", "x"], ["fit", "t.csv", "--out", "r", "--schema", "t.csv"]):
    sys.argv = ["cpvae", *words]
    try:
        program.main()
    except SystemExit as ended:
        assert (ended.code or 0) == (0 if words in (["--help"], ["data"]) else 2), words
    assert "torch" not in sys.modules, words
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert len(run.stderr.splitlines()) == 11
    assert all(line.startswith("error: ") for line in run.stderr.splitlines())


def stopping(after: int) -> Callable[..., str]:
    """Replace a step of training by one in which Ctrl-C is pressed."""
    step, count = loop._Run._step, [0]

    def replacement(self, index):
        count[0] += 1
        if count[0] == after:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, index)

    return replacement


def test_control_c_says_how_to_go_on_and_that_works(place, monkeypatch):
    table().assign(kind=["x", "y"] * 15).to_csv("a table.csv", index=False)
    options = ("--labels", "kind", *TINY[:-1], "--epochs", "4", "--batch-size", "10", "--quiet")
    done("fit", "a table.csv", "--out", "whole", *options)
    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "_step", stopping(after=7))
        answer = call("fit", "a table.csv", "--out", "my run", *options, "--json")
    assert (answer.code, answer.out) == (130, "")
    (again,) = (line.partition("To go on: ")[2] for line in answer.err.splitlines() if "To go on: " in line)
    assert shlex.split(again)[0] == "cpvae"
    assert "has not finished" in done("sample", "my run", "-n", 3, "--out", "new.csv").err  # its weights so far
    assert "already holds a run" in refused("fit", "a table.csv", "--out", "my run", *options)
    done(*shlex.split(again)[1:], "--quiet")
    whole, resumed = (load(place / name).weights_ for name in ("whole", "my run"))
    np.testing.assert_array_equal(whole, resumed)
    assert not (place / "my run" / runs.CHECKPOINT).exists()


@pytest.mark.usefixtures("undrawn")
def test_a_stop_in_the_start_of_a_fit_leaves_a_model_and_says_how_to_go_on(place, monkeypatch):
    def stopped(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    fit = ("fit", "t.csv", "--out", "run")
    with monkeypatch.context() as patch:
        patch.setattr("cpvae.fitting.starts.clusterings.ellipses", stopped)
        answer = call(*fit, "-k", "3", *SMALL)
    assert (answer.code, answer.out) == (130, "")
    assert (
        "stopped in the start of the fit, which --resume begins anew. To go on: cpvae fit t.csv --out run --resume\n"
        "Until then quick categories, trained for a moment, can be used: cpvae report run\n"
    ) in answer.err
    for words in (
        ("cluster", "run", "t.csv", "--out", "l.csv"),
        ("sample", "run", "--out", "s.csv"),
        ("report", "run"),
    ):
        assert "it was stopped before its first epoch had ended, and has quick categories" in done(*words).err
    assert len(pd.read_csv("l.csv")) == 30
    assert "it was stopped before its first epoch had ended" in Path("run", "report.html").read_text()
    done(*fit, "--resume", "--epochs", "2", "--quiet")
    assert load("run").n_iter_ == 2


@pytest.mark.filterwarnings("default::cpvae.FitWarning")
def test_control_c_after_training_loses_neither_the_fit_nor_its_warnings(place, monkeypatch):
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    fit = ("fit", "t.csv", "--out", "run", *TINY, "--learning-rate", "0.9", "-k", "20")
    with monkeypatch.context() as patch:
        patch.setattr("cpvae.study.fits.measure", stop)
        answer = call(*fit)
    assert answer.code == 130
    assert "the state is saved. To go on: cpvae fit t.csv --out run --resume" in answer.err
    said = runs.read_config(place / "run")["warnings"]
    assert all(f"warning: {text}" in answer.err for text in said)
    assert any("categories are in use" in text for text in said)
    done(*fit[:4], "--resume", "--quiet")
    assert runs.read_config(place / "run")["warnings"] == said
    assert (place / "run" / runs.METRICS).exists()


def test_control_c_before_anything_was_written(place, monkeypatch):
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cpvae.data.loaders.load", stop)
    before = tree(place)
    answer = call("fit", "t.csv", "--out", "run", *TINY)
    assert (answer.code, answer.out) == (130, "")
    assert "nothing was written" in answer.err
    answer = call("evaluate", "nosuch", "t.csv")
    assert answer.code == 2
    assert tree(place) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_reader_that_left_and_a_full_device(tmp_path):
    script = "import sys; sys.argv = ['cpvae', 'data', 'list']; from cpvae.cli import main; main()"

    def listing(out: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", script], stdout=out, stderr=subprocess.PIPE, text=True)

    reader, writer = os.pipe()
    os.close(reader)
    left = listing(writer)
    os.close(writer)
    assert (left.returncode, left.stderr) == (1, "")
    with open("/dev/full", "w") as full:
        no_room = listing(full)
    assert no_room.returncode == 2
    assert no_room.stderr.startswith("error: output: No space left on device")
    assert len(no_room.stderr.splitlines()) == 1


# -- every model ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize("name", ["vae", "mog", "vamp", "hvae", "hvae-vamp", "hvae-cp"])
def test_every_model_goes_through_all_commands(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mixed = name in ("mog", "vamp", "hvae-vamp", "hvae-cp")
    more = [*(["-k", 4] if mixed else []), *(["--init", "kmeans"] if name == "hvae-cp" else [])]
    done("fit", "digits", "--out", "run", "--model", name, *more, *SMALL)
    answer = json.loads(done("evaluate", "run", "digits", "--importance-samples", 5, "--rows", 50, "--json").out)
    assert answer["model"] == name
    assert answer["negative_elbo_tight"] <= answer["negative_elbo"] + 1e-6
    assert ("accuracy" in answer) == mixed
    done("sample", "run", "-n", 4, "--out", "new.png")
    done("report", "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert ("What the categories carry" in page) == ('id="categories"' in page) == mixed
    assert all(f"{word}" in page for word in (("VAE", "pseudo-inputs") if "vamp" in name else ("VAE",)))
    if mixed:
        done("cluster", "run", "digits", "--out", "labels.csv")
        assert set(pd.read_csv("labels.csv")["category"]) <= {0, 1, 2, 3}
        done("sample", "run", "-n", 4, "--component", 2, "--out", "new.npz")
        assert set(np.load("new.npz")["component"]) == {2}
    else:
        assert "has no categories" in refused("cluster", "run", "digits", "--out", "labels.csv")


@pytest.mark.usefixtures("few_rows")
def test_convolutions_go_through_all_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done("fit", "digits", "--out", "run", "--network", "conv", *TINY)
    done("evaluate", "run", "digits", "--rows", 50)
    done("report", "run")
    done("fit", "digits", "--out", "two", "--model", "hvae-vamp", "--network", "conv", "-k", 3, *SMALL)
    assert load("two").transform(np.zeros((3, 8, 8))).shape == (3, 4)
    np.save("signals.npy", np.random.RandomState(0).normal(size=(60, 3, 40)))
    done("fit", "signals.npy", "--out", "three", "--network", "conv", *TINY)
    done("sample", "three", "-n", 4, "--out", "new.npz")
    assert np.load("new.npz")["x"].shape == (4, 3, 40)


def test_what_a_convolutional_network_cannot_take(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("small.npy", np.random.RandomState(0).rand(50, 1, 6, 6))
    np.save("flat.npy", np.random.RandomState(0).rand(50, 30))
    for source, expected in {"small.npy": "(1, 6, 6)", "flat.npy": "no images"}.items():
        message = refused("fit", source, "--out", "run", "--network", "conv", *TINY)
        assert expected in message
        assert "use network 'dense'" in message
        assert not (tmp_path / "run").exists()
    assert "did you mean 'conv'" in refused("fit", "digits", "--out", "run", "--network", "convs", *TINY)
    assert "did you mean 'rows'" in refused("fit", "digits", "--out", "r", "--model", "vamp", "--pseudo-inputs", "row")
    said = refused("fit", "digits", "--out", "r", "--pseudo-inputs", "rows")
    assert "has no option for pseudo_inputs; leave it out, or use --model vamp or hvae-vamp" in said
    said = refused("fit", "digits", "--out", "r", "--model", "vae", "--covariance", "full")
    assert "or use --model cpvae or mog" in said
    assert "prior='normla' is unknown" in refused("fit", "digits", "--out", "r", "--model", "vae", "--prior", "normla")


# -- the first words ---------------------------------------------------------------------------------------------------


def test_a_fit_says_in_words_what_it_found_and_where_it_is(place):
    table(60).assign(kind=["x", "y"] * 30, n=range(60)).to_csv("mine.csv", index=False)
    fit = done("fit", "mine.csv", "--labels", "kind", "--out", "my run", *TINY)
    lines = fit.out.splitlines()
    assert re.match(r"(All 3|\d of 3) categories (is|are) in use; they hold \d+.* % of the rows; ", lines[0])
    assert re.search(r"\(median probability \d\.\d\d\)\.$", lines[0])
    assert any(re.match(r"Measured on 60 rows that the fit learned from: negative bound ", line) for line in lines)
    assert lines[-1] == "Read mine.csv: 60 rows to fit, 3 columns: 3 numeric; left out: n."
    assert "negative_elbo" not in fit.out  # the numbers are in metrics.json
    metrics = json.loads((place / "my run" / runs.METRICS).read_text())
    assert metrics["rows_of_the_fit"] is True
    assert "The run is in my run" in fit.err
    assert "Next: cpvae report 'my run'" in fit.err
    assert "cpvae cluster 'my run' mine.csv --labels kind --out labels.csv" in fit.err
    evaluated = done("evaluate", "my run", "mine.csv", "--labels", "kind").out
    assert evaluated.startswith(lines[0])
    assert "rows that the fit learned from" in evaluated
    assert "negative_elbo " in evaluated
    other = table(40).assign(n=range(40))
    other.to_csv("other.csv", index=False)
    assert "40 rows of the split 'all'" in done("evaluate", "my run", "other.csv").out


def test_a_fit_with_validation_rows_is_measured_by_them(place):
    fit = done("fit", "digits", "--model", "vae", "--out", "run", *SMALL)
    assert "The model has no categories" in fit.out
    assert "Measured on 180 rows of the split 'valid'" in fit.out
    assert json.loads((place / "run" / runs.METRICS).read_text())["rows_of_the_fit"] is False
    assert "cpvae cluster" not in fit.err


@pytest.mark.usefixtures("undrawn")
def test_a_report_finds_the_data_of_the_fit_from_another_folder(place, monkeypatch):
    done("fit", "t.csv", "--out", "run", *TINY)
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    table(50).to_csv("t.csv", index=False)  # other rows by the same name
    done("report", "../run")
    assert "Measured on 30 rows" in " ".join((place / "run" / "report.html").read_text().split())
    (place / "t.csv").rename(place / "moved.csv")
    table(20).to_csv("t.csv", index=False)
    done("report", "../run")  # where it was then, nothing is: the words of the fit hold
    assert "Measured on 20 rows" in " ".join((place / "run" / "report.html").read_text().split())


@pytest.mark.usefixtures("undrawn")
def test_a_fit_with_a_limit_of_minutes_leaves_weights_to_use_and_to_go_on_from(place):
    options = [one if one != "1" or TINY[i - 1] != "--epochs" else "100000" for i, one in enumerate(TINY)]
    limited = done("fit", "t.csv", "--out", "run", *options, "--patience", "100000", "--max-minutes", "0.02")
    assert "stopped; the state is saved. To go on: cpvae fit t.csv --out run --resume" in limited.err
    assert "Until then the weights so far can be used: cpvae report run" in limited.err
    for command in (
        ("cluster", "run", "t.csv", "--out", "l.csv"),
        ("sample", "run", "--out", "s.csv"),
        ("report", "run"),
    ):
        told = [line for line in done(*command).err.splitlines() if "not finished" in line]
        assert len(told) == 1, command
        assert told[0].startswith("warning: run holds a fit that has not finished: its weights so far, of epoch ")
        assert told[0].endswith("; go on with: cpvae fit t.csv --out run --resume")
    assert "planned anew" in done("fit", "t.csv", "--out", "run", "--resume", "--quiet", "--epochs", "3").err
    assert "not finished" not in done("evaluate", "run", "t.csv").err
