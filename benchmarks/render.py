"""Write the numbers of the README and of the pages in `docs/` from the files in `results/`; none is typed.

python benchmarks/render.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import field_page
import half_asleep
import levers
import matplotlib.pyplot as plt
import peer_likelihoods

from cpvae.study import markdown
from cpvae.study.comparison import as_markdown
from paper import sizes, table
from paper.rows import published, read_rows

ROOT = Path(__file__).parents[1]
STEPS_SHOWN = (
    "plain loop, VAE",
    "pythae, VAE",
    "cpvae, VAE",
    "cpvae, CP-VAE K=10, exact",
    "pythae, VAMP 500",
    "cpvae, VP 500",
)
IN_README = {  # name of the result: what a reader calls it
    "mnist-static": "10,000 digits of MNIST",
    "Greek": "handwritten Greek letters (24)",
    "digits": "digits of 8 x 8 pixels",
    "breast_cancer": "breast_cancer, a table",
    "wine": "wine, a table",
}
METHODS = ("CP-VAE", "KMeans", "GaussianMixture")
BEGIN, END = "<!-- results -->\n", "<!-- /results -->"


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def fits() -> str:
    """Tabulate the recorded fits: bounds in nats with standard errors, agreement with labels."""
    head = ("fit", "-L, test", "-L*, test", "-L, 1,000 rows", "NLL, the same rows", "in use", "accuracy, test", "file")
    rows = []
    for path in sorted((ROOT / "results" / "fits").glob("*.json")):
        result = read(path)
        test, few = result["test"], result["importance_weighted"]
        accuracy = f"{test['accuracy']:.3f}" if "accuracy" in test else "-"
        rows.append(
            [
                f"`{result['command']}`",
                f"{test['negative_elbo']:.2f} ± {test['negative_elbo_se']:.2f}",
                f"{test['negative_elbo_tight']:.2f} ± {test['negative_elbo_tight_se']:.2f}",
                f"{few['negative_elbo']:.2f} ± {few['negative_elbo_se']:.2f}",
                f"{few['negative_log_likelihood']:.2f} ± {few['negative_log_likelihood_se']:.2f} "
                f"(S={few['importance_samples']})",
                str(test["components_used"]),
                accuracy,
                _file(path),
            ]
        )
    return markdown.table(head, rows) if rows else ""


def _file(path: Path) -> str:
    """Link a result file."""
    return f"[{path.stem}]({{}}/{path.relative_to(ROOT / 'results').as_posix()})"


def step(*names: str) -> str:
    """Tabulate training steps as ratios to a plain loop, and to the matrix products alone, in the same run."""
    result = result_of("step")
    head = ("one step, paper's network, batch 100", "to a plain PyTorch VAE loop", "to its matrix products alone")
    rows = [
        [name, f"{ratio:.2f}", f"{result['ratio_to_products'][name]:.2f}"]
        for name, ratio in result["ratio_to_plain"].items()
        if not names or name in names
    ]
    said = f"All times come from one run on {result['device']}: [step]({{}}/step.json). {result['note']}"
    return f"{markdown.table(head, rows)}\n{said}"


def comparisons(*names: str) -> list[str]:
    """List the tables of `cpvae compare`, each with its source."""
    lines = []
    for name in names:
        path = ROOT / "results" / "compare" / f"{name}.json"
        if path.exists():
            result = read(path)
            lines += [
                as_markdown(result, link=lambda run: ""),
                f"From `{result['command']}`: [{name}]({{}}/compare/{name}.json).",
            ]
    return lines


def table1() -> list[str]:
    """Tabulate Table 1 of the paper: measured, and published in brackets."""
    bounds = published(ROOT / "experiments")["table1"]
    rows = [row for row in read_rows(ROOT / "experiments") if row.name in bounds]
    cells = list(table.cells(rows, ROOT / "results", bounds))
    step = {cell["row"]: cell["step"] for cell in cells}["mnist-cpvae-k10"]
    larger, smaller = (sizes.parameters(row).encoder for row in rows if row.name in ("mnist-cpvae-k10", "mnist-vae"))
    return [
        table.overview(cells),
        "This is Table 1 of the paper. The first number is measured, and the number in brackets is the paper's. All "
        "methods have the same rows, preset and hidden layers. CP's encoder has one more gated layer "
        f"({larger:,} parameters beside {smaller:,}). Only CP starts from a clustering. A step of CP takes {step:.1f} "
        "times as long as one of VAE. [The reproduction](reproduction.md) compares CP with MG and VP that have as many "
        "parameters or as much time. It also has the likelihoods, the recipe and the files. "
        "± is the standard deviation over seeds; a number without ± comes from one seed. The largest standard errors "
        f"of a number over test rows are: {table.errors(cells)}. "
        "Omniglot is rebuilt: compare its methods with each other, not with the paper.",
    ]


def between(text: str, content: str) -> str:
    """Put the content between the markers of the text."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + content + "\n" + END + tail


def mixed_tables() -> str:
    """Tabulate methods on tables with missing cells: accuracy on test rows over seeds, and time."""
    rows = []
    for path in sorted((ROOT / "results" / "tables").glob("*.json")):
        result = read(path)
        for method in dict.fromkeys(run["method"] for run in result["runs"]):
            runs = [run for run in result["runs"] if run["method"] == method]
            scores = [run["accuracy"] for run in runs]
            seconds = sum(run["seconds"] for run in runs) / len(runs)
            rows.append(
                [
                    f"{method}, K={result['n_components']}, {result['missing']:.0%} missing, {len(scores)} seeds",
                    f"{sum(scores) / len(scores):.3f} ({min(scores):.3f} to {max(scores):.3f})",
                    f"{seconds:.2g}",
                    _file(path),
                ]
            )
    note = (
        "`cpvae.datasets.make_table` draws the tables. Latent classes are CP-VAE's start alone, without a network. For "
        "KMeans and GaussianMixture, missing cells were filled in and levels became columns."
    )
    head = ("mixed table, missing cells", "accuracy, test: mean and range", "seconds", "file")
    return f"{markdown.table(head, rows)}\n{note}" if rows else ""


def found() -> str:
    """Tabulate agreement with labels: CP-VAE, its start alone, and scikit-learn's k-means and mixture."""
    rows = []
    for name, title in IN_README.items():
        result = read(ROOT / "results" / "clusters" / "other" / f"{name}.json")
        begun = read(ROOT / "results" / "clusters" / "starts" / f"{name}.json")
        told = [scores([run for run in result["runs"] if run["method"] == method]) for method in METHODS]
        told.insert(1, scores(begun["runs"]))
        rows.append([title, f"{result['train']:,}", *told])
    note = (
        "A number without a range comes from one seed. Accuracy is on test rows where the set has them: the 1,257 "
        "digits are judged on 360 others, and on [the page of sets of the field](docs/field.md) all 1,797 are fitted "
        "and judged. Labels of digits and wine helped to make the rules of the start, and labels of validation rows of "
        "MNIST helped to choose the recipe."
    )
    head = ("data", "rows", "CP-VAE", "its start alone", "k-means", "Gaussian mixture")
    return f"{markdown.table(head, rows)}\n{note}"


def scores(runs: Sequence[Mapping[str, Any]]) -> str:
    """Print the mean accuracy of some fits, and its range where there are several."""
    values = [run["accuracy"] for run in runs]
    spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    return f"{sum(values) / len(values):.3f}{spread}"


def rendered(readme: str) -> str:
    """Put its one table between the markers of the README."""
    return between(readme, found())


def measured(page: str) -> str:
    """Put its tables between the markers of `docs/results.md`."""
    notes = (
        "Bounds are in nats per row, ± one standard error. L is eq. (7), L* is the tight bound, and NLL is "
        "importance-weighted with S samples. Accuracy is Hungarian, with the mapping learned on training rows. A "
        "number without a range comes from one seed. Labels of validation rows of MNIST helped to choose the recipe of "
        "its start."
    )
    parts = [part.rstrip("\n") for part in (fits(), mixed_tables()) if part]
    others = [*table1(), step(*STEPS_SHOWN), *comparisons("digits")]
    return between(page, "\n\n".join([*parts, notes, *others]).replace("{}/", "../results/"))


def compared(page: str) -> str:
    """Put its tables and the pictures of each component between the markers of `docs/comparison.md`."""
    parts = []
    for path in sorted((ROOT / "results" / "compare").glob("*.json")):
        result = read(path)
        parts += [f"## {result['dataset']}", *comparisons(path.stem)]
        for row in result["rows"]:
            run = row["runs"][0]
            picture = path.parent / path.stem / f"{run}.png"
            if picture.exists():
                shares = row["cells"]["purity"]["values"][0] if "purity" in row["cells"] else None
                said = "" if shares is None else f", purity of mean images {shares:.3f}"
                parts.append(f"{run}{said}:\n\n![new rows of {run}](../{picture.relative_to(ROOT)})")
    return between(page, "\n\n".join(parts).replace("{}/", "../results/"))


def result_of(name: str) -> dict[str, Any]:
    """Read a result file by its name."""
    return read(ROOT / "results" / f"{name}.json")


def uses() -> str:
    """Tabulate what users do with models, beside pythae and loops by hand."""
    result = result_of("uses")
    rows = [
        [what, name, f"{ratio:.2f}"] for what, one in result["ratio_to_cpvae"].items() for name, ratio in one.items()
    ]
    table = markdown.table(("job", "code", "time, as a multiple of cpvae's"), rows)
    return f"{table}\nThe times are medians from one run on {result['device']}: [uses]({{}}/uses.json)."


def scoring() -> str:
    """Tabulate scoring and sampling as multiples of one pass of the network, before and now."""
    result = result_of("scoring")
    passes = ("encoder", "decoder")
    rows = [
        [name, f"{result['before']['ratio'][name]:.2f}", f"{ratio:.2f}"]
        for name, ratio in result["ratio"].items()
        if name not in passes
    ]
    said = (
        "Multiples of one pass of the encoder or the decoder over 10,000 rows of 784 pixels, K = 10, one thread. Grey "
        "rows are seen four times, with pixels drawn anew, which takes four passes by itself. What lies before was "
        f"measured at commit {result['before']['commit']}, on another machine"
    )
    return f"{markdown.table(('job', 'before', 'now'), rows)}\n{said}: [scoring]({{}}/scoring.json)."


def profiles() -> str:
    """Tabulate where the time of a step goes."""
    result = result_of("profile")
    spent = result["milliseconds"]
    rows = [
        [kind, *(f"{times[kind] / sum(times.values()):.0%}" for times in spent.values())]
        for kind in next(iter(spent.values()))
    ]
    table = markdown.table(("share of a step, one thread", *spent), rows)
    return f"{table}\nFrom `benchmarks/profile_step.py`: [profile]({{}}/profile.json)."


def quality_curves() -> list[dict[str, Any]]:
    """Read the runs of `benchmarks/time_to_quality.py`."""
    return [read(path) for path in sorted((ROOT / "results" / "time_to_quality").glob("*.json"))]


def reached(curve: dict[str, list[float]], bound: float) -> float | None:
    """Find the seconds after which a curve first has this bound or a lower one; None if it never has."""
    pairs = zip(curve["seconds"], curve["valid_negative_elbo"], strict=True)
    return next((seconds for seconds, value in pairs if value <= bound), None)


def time_to_quality() -> str:
    """Tabulate for each seed the last bound of the fast recipe, and the time that the paper's needs for it."""
    found = quality_curves()
    head = (
        "seed",
        "fast, products in",
        "fast: best -L on validation rows, seconds",
        "paper: seconds to the same -L",
        "ratio",
        "paper: best -L, seconds, epochs",
        "-L on test rows, fast / paper",
    )
    papers = {run["seed"]: run for run in found if run["preset"] == "paper"}
    fasts = [run for run in found if run["preset"] == "fast" and run["seed"] in papers]
    rows = []
    for fast in sorted(fasts, key=lambda run: (run["precision"], run["seed"])):
        paper = papers[fast["seed"]]
        least, most = fast["best_valid_negative_elbo"], paper["best_valid_negative_elbo"]
        spent, there = reached(fast["curve"], least), reached(paper["curve"], least)
        rows.append(
            [
                str(fast["seed"]),
                fast["precision"],
                f"{least:.2f}, {spent:.0f}",
                *([f"{there:.0f}", f"{there / spent:.1f}"] if there and spent else ["not reached", "-"]),
                f"{most:.2f}, {paper['curve']['seconds'][-1]:.0f}, {len(paper['curve']['epoch'])}",
                " / ".join(f"{run['test']['negative_elbo']:.2f}" for run in (fast, paper)),
            ]
        )
    return f"{markdown.table(head, rows)}\n![validation bound against seconds](time_to_quality.png)"


def draw_time_to_quality() -> None:
    """Draw docs/time_to_quality.png: bound against seconds, a line for each run."""
    found = quality_curves()
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    colours = {"paper": "tab:orange", "fast": "tab:blue"}
    for run in found:
        name = run["preset"] + ("" if run["precision"] == "float32" else f", {run['precision']}")
        style = "-" if run["precision"] == "float32" else ":"
        label = name if run["seed"] == 0 else None
        curve = run["curve"]
        axes.plot(
            curve["seconds"], curve["valid_negative_elbo"], style, color=colours[run["preset"]], lw=1.2, label=label
        )
    axes.set(xscale="log", xlabel="seconds of one thread", ylabel="-L on validation rows, nats", ylim=(88, 110))
    axes.set_title("VAE on MNIST: the two presets, one line for each seed")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(ROOT / "docs" / "time_to_quality.png", dpi=120)
    plt.close(figure)


def scaling() -> str:
    """Tabulate how cost grows with each size."""
    result = result_of("scaling")
    rows = [
        [
            name,
            f"{line['sizes'][0]:,} to {line['sizes'][-1]:,}",
            f"{line['growth']:.1f} times",
            f"{line['exponent']:.2f}",
        ]
        for name, line in result["lines"].items()
    ]
    table = markdown.table(
        ("cost, and the size that grows", "from, to", "cost grows", "exponent of the upper half"), rows
    )
    how = "in a single round" if result["rounds"] == 1 else f"as medians of {result['rounds']} rounds"
    said = f"The times were measured on one thread {how}: [scaling]({{}}/scaling.json)."
    return f"{table}\n{said}\n\n![cost against each size](scaling.png)"


def draw_scaling() -> None:
    """Draw docs/scaling.png: seconds against each size, doubly logarithmic, with a line of exponent one."""
    result = result_of("scaling")
    figure, grid = plt.subplots(2, 4, figsize=(13, 6), layout="constrained")
    for axes, (name, line) in zip(grid.flat, result["lines"].items(), strict=True):
        sizes, seconds = line["sizes"], line["seconds"]
        axes.loglog(sizes, [1000 * value for value in seconds], "o-", ms=4)
        proportional = [1000 * seconds[-1] * size / sizes[-1] for size in sizes]
        axes.loglog(sizes, proportional, ":", color="grey", label="proportional")
        axes.set_title(name, fontsize=8)
        axes.set(xlabel=line["unit"], ylabel="milliseconds")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.savefig(ROOT / "docs" / "scaling.png", dpi=110)
    plt.close(figure)


def stacked() -> str:
    """Tabulate restarts in turn against restarts as one model."""
    rows = [
        [name, f"{one['in_turn_ms']:.1f}", f"{one['stacked_ms']:.1f}", f"{one['in_turn_to_stacked']:.2f}"]
        for name, one in result_of("stacked")["sizes"].items()
    ]
    table = markdown.table(("five restarts, one thread", "in turn, ms", "stacked, ms", "in turn / stacked"), rows)
    said = "Both sides computed, in turns, the gradients of five bounds of 100 rows"
    return f"{table}\n{said}: [stacked]({{}}/stacked.json)."


def contention() -> str:
    """Tabulate fits beside other busy processes: their times over their fair share of two cores."""
    result = result_of("contention")
    rows = [
        [name, n, *(f"{one['over_fair_share'][side]:.2f}" for side in ("one thread", "before", "after"))]
        for name, counts in result["fits"].items()
        for n, one in counts.items()
    ]
    head = (
        "CP-VAE K=10, rows of",
        "busy neighbours",
        "one thread",
        "two threads as PyTorch comes",
        "as `cpvae fit` does it",
    )
    load = " and ".join(f"{value:.0f}" for value in result["load"])
    said = (
        f"Time over the fair share of two cores, one epoch each; the load of the machine was {load}, before and after"
    )
    return f"{markdown.table(head, rows)}\n{said}: [contention]({{}}/contention.json)."


def whole() -> str:
    """Tabulate the seconds of whole commands, beside a script that does the same with scikit-learn."""
    result = result_of("whole")
    columns = {
        "scikit-learn": "k-means and mixture, scikit-learn",
        "before": "`cpvae fit`, before",
        "fit": "`cpvae fit`",
        "report": "`cpvae report`",
    }
    rows = []
    for name, one in result["fits"].items():
        spent = one["seconds"]
        parts = [f"{one['start_seconds']:.0f}", f"{one['training_seconds']:.0f}"]
        rows.append(
            [
                f"{name}, K={one['n_components']}",
                *(f"{spent[what]:.1f}" for what in columns),
                " and ".join(parts),
                f"{spent['fit'] / spent['scikit-learn']:.1f}",
            ]
        )
    head = ("rows", *columns.values(), "of the fit: start and training", "fit / scikit-learn")
    said = (
        f"Seconds of the processor on one thread, medians of {result['rounds']} turns. Each command is timed from the "
        "start of Python to its end"
    )
    return f"{markdown.table(head, rows)}\n{said}: [whole]({{}}/whole.json)."


def benchmarked(page: str) -> str:
    """Put its tables between the markers of `docs/benchmarks.md`."""
    sections = {
        "Whole fits": whole(),
        "A step": step(),
        "What users do": uses(),
        "Scoring and sampling": scoring(),
        "Where a step's time goes": profiles(),
        "Time to quality": time_to_quality(),
        "Many restarts": stacked(),
        "Beside other processes": contention(),
    }
    parts = [f"## {title}\n\n{text}" for title, text in sections.items()]
    return between(page, "\n\n".join(parts).replace("{}/", "../results/"))


def scaled(page: str) -> str:
    """Put its table between the markers of `docs/scaling.md`."""
    return between(page, scaling().replace("{}/", "../results/"))


def lines_of(name: str) -> list[dict[str, Any]]:
    """Read a file of lines by its name."""
    return [json.loads(line) for line in (ROOT / "results" / f"{name}.jsonl").read_text().splitlines()]


def lowered(page: str) -> str:
    """Put its tables between the markers of `docs/bound.md`."""
    picture = "![bounds of the tenth held out while models are trained](levers.png)"
    sections = {
        "Likelihoods beside others": peer_likelihoods.table(lines_of("peer_likelihoods")),
        "Rows that the model draws": half_asleep.table(result_of("half_asleep")),
        "What was tried": f"{levers.tables(lines_of('levers'))}\n\n{picture}",
    }
    parts = [f"## {title}\n\n{text}" for title, text in sections.items()]
    return between(page, "\n\n".join(parts).replace("{}/", "../results/"))


def memory() -> str:
    """Tabulate the memory that the process of each fit needed, and the pages of files."""
    result = result_of("memory")
    head = ("rows", "from", "data", "the process's own, peak", "pages of files, peak", "seconds")
    rows = []
    for one in result["fits"]:
        own, file, data = (one[f"{name}_bytes"] / 1e6 for name in ("peak_anonymous", "peak_file_backed", "data"))
        seconds = one["seconds_to_load"] + one["seconds_to_fit"]
        rows.append(
            [
                f"{one['rows']:,}",
                one["from"],
                f"{data:,.0f} MB",
                f"{own:.0f} MB",
                f"{file:.0f} MB",
                f"{seconds:.0f}",
            ]
        )
    fit, peaks = result["fit"], [one["peak_anonymous_bytes"] / 1e6 for one in result["fits"]]
    said = (
        f"From {result['fits'][0]['rows']:,} rows to {result['fits'][-1]['rows']:,} the process's own memory stays "
        f"between {min(peaks):.0f} and {max(peaks):.0f} MB. A row has {4 * fit['features']} bytes. Each fit has "
        f"K={fit['n_components']} and takes one epoch in batches of {fit['batch_size']:,} rows"
    )
    return f"{markdown.table(head, rows)}\n{said} on {result['device']}: [memory]({{}}/memory.json)."


def labelling() -> str:
    """Tabulate rows a second of both sides, and the memory of `cpvae cluster`."""
    result = result_of("labelling")
    head = ("`predict_proba` of", "cpvae, rows a second", "GaussianMixture, rows a second", "times as fast as cpvae")
    rows = []
    for name, one in result["contests"].items():
        own, other = one["rows_a_second"]["cpvae"], one["rows_a_second"]["GaussianMixture"]
        rows.append([name, f"{own:,.0f}", f"{other:,.0f}", f"{other / own:.0f}"])
    beside = markdown.table(head, rows)
    peaks = [
        [f"{one['rows']:,}", f"{one['peak_anonymous_bytes'] / 1e6:.0f} MB", f"{one['cpu_seconds']:.0f}"]
        for one in result["commands"]
    ]
    table = markdown.table(("rows of `cpvae cluster`", "the process's own, peak", "seconds of the processor"), peaks)
    said = (
        f"K={result['K']} and {result['features']} columns on {result['device']}. GaussianMixture is scikit-learn's, "
        "with as many components. cpvae decodes each row several times for every category; a small network, as in the "
        "fits above, makes that cheaper"
    )
    return f"{beside}\n{table}\n{said}: [labelling]({{}}/labelling.json)."


def stored_cells() -> str:
    """Tabulate the memory of fits to cells on the disk and in memory, and of `cpvae cluster`."""
    result = result_of("stored_cells")
    head = ("cells", "file", "counts mapped: own memory, peak", "counts read whole: own memory, peak")
    rows = [
        [f"{one['rows']:,}", *(f"{size / 1e6:,.0f} MB" for size in (one["data_bytes"], *own))]
        for one in result["fits"]
        for own in [[one[way]["peak_anonymous_bytes"] for way in ("disk", "whole")]]
    ]
    peaks = [
        [f"{one['rows']:,}", f"{one['peak_anonymous_bytes'] / 1e6:.0f} MB", f"{one['cpu_seconds']:.0f}"]
        for one in result["commands"]
    ]
    table = markdown.table(("cells of `cpvae cluster`", "own memory, peak", "seconds of the processor"), peaks)
    made, last = result["fits"][-1]["into_the_cache"], result["fits"][-1]
    fit = result["fit"]
    said = (
        f"{result['genes']:,} genes, of which a cell has {result['filled']:.0%}. Each fit has K={fit['n_components']} "
        f"and takes one epoch in batches of {fit['batch_size']:,} cells, without a start, on {result['device']}. "
        f"For the largest file the fit takes {last['disk']['cpu_seconds']:.0f} seconds of the processor with mapped "
        f"counts and {last['whole']['cpu_seconds']:.0f} with counts in memory; writing the cache takes "
        f"{made['cpu_seconds']:.0f} seconds and {made['peak_anonymous_bytes'] / 1e6:.0f} MB, once"
    )
    return f"{markdown.table(head, rows)}\n{table}\n{said}: [stored cells]({{}}/stored_cells.json)."


def processes() -> str:
    """Tabulate how much faster several processes train than one."""
    result = result_of("processes")
    several = [n for n in dict.fromkeys(one["processes"] for one in result["lines"]) if n > 1]
    head = ("rows in a batch", *(f"{n} processes: {what}" for n in several for what in ("at most", "here")))
    rows = []
    for batch in dict.fromkeys(one["batch"] for one in result["lines"]):
        own = {one["processes"]: one for one in result["lines"] if one["batch"] == batch}
        found = [own[n][key] for n in several for key in ("times_less_processor", "times_as_fast")]
        rows.append([f"{batch:,}", *(f"{value:.1f}" for value in found)])
    said = (
        "Times as fast as one process. At most: how many times less work the processor of the busiest process has, "
        "which is what a core for each process would give if no process had to wait. Here: by the clock, on a machine "
        f"with {result['cores']} cores and no other work; four processes share these. The model has "
        f"{result['lines'][0]['epoch']['weights']:,.0f} weights, K={result['K']}, and rows of {result['features']} "
        f"values, on {result['device']} for each process. Every "
        "process draws the noise of the whole batch, sums all gradients and updates all weights: that work does not "
        "shrink, and limits small batches"
    )
    return f"{markdown.table(head, rows)}\n{said}: [processes]({{}}/processes.json)."


BILLION = 1_000_000_000


def billion() -> str:
    """Say what a billion rows would take, each line by what the largest two measured sizes differ in."""

    def per_row(lines: Sequence[Mapping[str, Any]], key: str) -> float:
        a, b = lines[-2:]
        return (b[key] - a[key]) / (b["rows"] - a["rows"])

    fitted, labelled = result_of("memory"), result_of("labelling")
    parts = [one for one in fitted["fits"] if one["from"] == "parquet"]
    own = parts[-1]["peak_anonymous_bytes"] + per_row(parts, "peak_anonymous_bytes") * (BILLION - parts[-1]["rows"])
    commands = labelled["commands"]
    rates = {name: one["rows_a_second"] for name, one in labelled["contests"].items()}
    answered = [
        [f"categories by `predict_proba`, {name}", _hours(BILLION / rate["cpvae"])] for name, rate in rates.items()
    ]
    least = min(rate["GaussianMixture"] for rate in rates.values())
    rows = [
        ["disk, for the array that Parquet files become", f"{per_row(parts, 'data_bytes') * BILLION / 1e9:,.0f} GB"],
        ["making that array", _hours(per_row(parts, "seconds_to_load") * BILLION)],
        ["start and one epoch of a fit with a small network", _hours(per_row(parts, "seconds_to_fit") * BILLION)],
        ["memory of that fit", f"{own / 1e9:.1f} GB"],
        ["categories by `cpvae cluster`, a small network", _hours(per_row(commands, "cpu_seconds") * BILLION)],
        ["memory of that command", f"{commands[-1]['peak_anonymous_bytes'] / 1e9:.1f} GB"],
        *answered,
        ["the same by scikit-learn's GaussianMixture", _hours(BILLION / least)],
    ]
    table = markdown.table((f"{BILLION:,} rows of {labelled['features']} columns", "on one core"), rows)
    most = " and ".join(f"{n:,}" for n in dict.fromkeys((parts[-1]["rows"], commands[-1]["rows"])))
    return (
        f"{table}\nNobody has run this: the lines extend what was measured up to {most} rows in "
        "[memory]({}/memory.json) and [labelling]({}/labelling.json). Time falls with the number of cores where rows "
        "are answered for in parts, and disks have to be fast enough."
    )


def _hours(seconds: float) -> str:
    """Write a time.

    >>> _hours(7200), _hours(90)
    ('2.0 hours', '2 minutes')
    """
    return f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"


def large(page: str) -> str:
    """Put its tables between the markers of `docs/large.md`."""
    sections = {
        "Memory of a fit": memory(),
        "Memory of cells": stored_cells(),
        "Categories, rows a second": labelling(),
        "Several processes": processes(),
        "A billion rows, on paper": billion(),
    }
    text = "\n\n".join(f"## {title}\n\n{one}" for title, one in sections.items())
    return between(page, text.replace("{}/", "../results/"))


def fielded(page: str) -> str:
    """Write the whole of `docs/field.md`."""
    name = "field.jsonl"
    return field_page.page(field_page.read(ROOT / "results" / name), f"../results/{name}")


def which(page: str) -> str:
    """Put the short table of the field benchmark between the markers of `docs/which.md`."""
    name = "field.jsonl"
    text = field_page.short(field_page.read(ROOT / "results" / name), f"../results/{name}")
    return between(page, text.rstrip("\n"))


PAGES = {
    "README.md": rendered,
    "docs/results.md": measured,
    "docs/comparison.md": compared,
    "docs/benchmarks.md": benchmarked,
    "docs/scaling.md": scaled,
    "docs/large.md": large,
    "docs/field.md": fielded,
    "docs/which.md": which,
    "docs/bound.md": lowered,
}


def main() -> None:
    draw_time_to_quality()
    draw_scaling()
    levers.draw(lines_of("levers"))
    for name, render in PAGES.items():
        path = ROOT / name
        path.write_text(render(path.read_text()))


if __name__ == "__main__":
    main()
