"""Write the figures of the README and of `docs/comparison.md` from the files in `results/`; nothing there is typed.

python benchmarks/render.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cpvae.compare import markdown

ROOT = Path(__file__).parents[1]
IN_README = (
    "plain loop, VAE",
    "pythae, VAE",
    "cpvae, VAE",
    "cpvae, CP-VAE K=10, exact",
    "pythae, VAMP 500",
    "cpvae, VP 500",
)
BEGIN, END = "<!-- results -->\n", "<!-- /results -->"


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def fits() -> list[str]:
    """One line for each recorded fit: bounds in nats with standard errors, agreement with labels."""
    lines = [
        "| fit | -L, test | -L*, test | -L, 1,000 rows | NLL, the same rows | in use | accuracy, test | file |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted((ROOT / "results" / "fits").glob("*.json")):
        result = read(path)
        test, few = result["test"], result["importance_weighted"]
        accuracy = f"{test['accuracy']:.3f}" if "accuracy" in test else "-"
        lines.append(
            f"| `{result['command']}` "
            f"| {test['negative_elbo']:.2f} ± {test['negative_elbo_se']:.2f} "
            f"| {test['negative_elbo_tight']:.2f} ± {test['negative_elbo_tight_se']:.2f} "
            f"| {few['negative_elbo']:.2f} ± {few['negative_elbo_se']:.2f} "
            f"| {few['negative_log_likelihood']:.2f} ± {few['negative_log_likelihood_se']:.2f} "
            f"(S={few['importance_samples']}) "
            f"| {test['components_used']} "
            f"| {accuracy} "
            f"| [{path.stem}]({path.relative_to(ROOT)}) |"
        )
    return lines


def categories_in_use() -> list[str]:
    """One line for each data set: on how many seeds the default start keeps every category."""
    lines = [
        "| data | seeds with all categories in use | validation accuracy, mean and range | file |",
        "|---|---|---|---|",
    ]
    for path in sorted((ROOT / "results" / "categories_in_use").glob("*.json")):
        result = read(path)
        runs = result["runs"]
        scores = [run["accuracy"] for run in runs]
        epochs = ", ".join(sorted({f"{run['epochs']} epochs" for run in runs}))
        lines.append(
            f"| {result['dataset']}, K={result['n_components']}, {epochs} "
            f"| {result['all_in_use']} of {len(runs)} "
            f"| {sum(scores) / len(scores):.3f} ({min(scores):.3f} to {max(scores):.3f}) "
            f"| [{path.stem}]({path.relative_to(ROOT)}) |"
        )
    return lines


def synthetic() -> list[str]:
    """One line for each number of categories on the paper's two-Gaussian mixture."""
    lines = [
        "| synthetic | KS distance to fresh data, c from q(c) | c from uniform p(c) | categories in use | file |",
        "|---|---|---|---|---|",
    ]
    for path in sorted((ROOT / "results" / "synthetic").glob("*.json")):
        result = read(path)
        lines.append(
            f"| K={result['n_components']} "
            f"| {result['ks']['aggregated']:.4f} | {result['ks']['prior']:.4f} "
            f"| {result['components_used']} "
            f"| [{path.stem}]({path.relative_to(ROOT)}) |"
        )
    return lines


def step(*names: str) -> list[str]:
    """Training steps as ratios to a plain loop, and to the matrix products alone, in the same run."""
    path = ROOT / "results" / "step.json"
    result = read(path)
    lines = [
        "| one step, paper's network, batch 100 | to a plain PyTorch VAE loop | to its matrix products alone |",
        "|---|---|---|",
    ]
    for name, ratio in result["ratio_to_plain"].items():
        if not names or name in names:
            lines.append(f"| {name} | {ratio:.2f} | {result['ratio_to_products'][name]:.2f} |")
    return [*lines, "", f"Ratios of times in one run on {result['device']}: [step]({{}}/step.json)."]


def comparisons(*names: str) -> list[str]:
    """The tables of `cpvae compare`, with where they come from."""
    lines = []
    for name in names:
        path = ROOT / "results" / "compare" / f"{name}.json"
        if path.exists():
            result = read(path)
            lines += [
                markdown(result, link=lambda run: ""),
                f"From `{result['command']}`: [{name}]({{}}/compare/{name}.json).",
            ]
    return lines


def between(text: str, content: str) -> str:
    """The text with the content between its markers."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + content + "\n" + END + tail


def mixed_tables() -> list[str]:
    """One line for each method on tables with missing cells: accuracy on test rows over seeds."""
    lines = ["| mixed table, missing cells | accuracy, test: mean and range | file |", "|---|---|---|"]
    for path in sorted((ROOT / "results" / "tables").glob("*.json")):
        result = read(path)
        for method in dict.fromkeys(run["method"] for run in result["runs"]):
            scores = [run["accuracy"] for run in result["runs"] if run["method"] == method]
            lines.append(
                f"| {method}, K={result['n_components']}, {result['missing']:.0%} missing, {len(scores)} seeds "
                f"| {sum(scores) / len(scores):.3f} ({min(scores):.3f} to {max(scores):.3f}) "
                f"| [{path.stem}]({path.relative_to(ROOT)}) |"
            )
    return lines


def rendered(readme: str) -> str:
    """The README with its results between the markers."""
    notes = (
        "Nats a row, ± one standard error; L is eq. (7), L* the tight bound, NLL importance-weighted with S samples. "
        "Accuracy is Hungarian, the mapping learned on training rows. One seed for each fit unless a range is given."
    )
    parts = ["\n".join(lines) for lines in (fits(), categories_in_use(), synthetic(), mixed_tables()) if len(lines) > 2]
    others = ["\n".join(step(*IN_README)), *comparisons("digits")]
    return between(readme, "\n\n".join([*parts, notes, *others]).replace("{}/", "results/"))


def compared(page: str) -> str:
    """`docs/comparison.md` with its tables, and the pictures of each component between the markers."""
    parts = []
    for path in sorted((ROOT / "results" / "compare").glob("*.json")):
        result = read(path)
        parts += [f"## {result['dataset']}", *comparisons(path.stem)]
        for row in result["rows"]:
            run = row["runs"][0]
            picture = path.parent / path.stem / f"{run}.png"
            if picture.exists():
                shares = row["cells"]["purity"]["values"][0] if "purity" in row["cells"] else None
                said = "" if shares is None else f", purity {shares:.3f}"
                parts.append(f"{run}{said}:\n\n![new rows of {run}](../{picture.relative_to(ROOT)})")
    return between(page, "\n\n".join(parts).replace("{}/", "../results/"))


def benchmarked(page: str) -> str:
    """`docs/benchmarks.md` with its tables between the markers."""
    return between(page, "\n".join(step()).replace("{}/", "../results/"))


def memory() -> list[str]:
    """One line for each fit: what its process needed, and what were pages of files."""
    result = read(ROOT / "results" / "memory.json")
    lines = [
        "| rows | from | data | the process's own, peak | pages of files, peak | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for one in result["fits"]:
        own, file, data = (one[f"{name}_bytes"] / 1e6 for name in ("peak_anonymous", "peak_file_backed", "data"))
        seconds = one["seconds_to_load"] + one["seconds_to_fit"]
        cells = f"{own:.0f} MB | {file:.0f} MB | {seconds:.0f}"
        lines.append(f"| {one['rows']:,} | {one['from']} | {data:,.0f} MB | {cells} |")
    slopes = ", ".join(f"{value:.1f} from {kind}" for kind, value in result["anonymous_bytes_a_row"].items())
    fit = result["fit"]
    said = (
        f"Between the first size and the last the process's own memory grows by {slopes} bytes a row. A row is "
        f"{4 * fit['features']} bytes. K={fit['n_components']}, one epoch in batches of {fit['batch_size']:,} rows"
    )
    return [*lines, "", f"{said}, {result['device']}: [memory]({{}}/memory.json)."]


def large(page: str) -> str:
    """`docs/large.md` with its table between the markers."""
    return between(page, "\n".join(memory()).replace("{}/", "../results/"))


PAGES = {
    "README.md": rendered,
    "docs/comparison.md": compared,
    "docs/benchmarks.md": benchmarked,
    "docs/large.md": large,
}


def main() -> None:
    for name, render in PAGES.items():
        path = ROOT / name
        path.write_text(render(path.read_text()))


if __name__ == "__main__":
    main()
