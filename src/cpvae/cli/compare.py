"""`cpvae compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cpvae.cli.estimator_options import takes
from cpvae.cli.options import Backend, Data, Jobs, Json, Labels, Layer, Size, SplitName, expand, parse_numbers, reading
from cpvae.cli.output import put, put_json, say

TAKEN = (
    "max_epochs",
    "latent_dim",
    "preset",
    "precision",
    "network",
    "hidden",
    "kind",
    "likelihood",
    "schema",
)


# More than 60 lines: one for each option.
@takes(*TAKEN)
def compare(
    data: Data,
    models: Annotated[
        str, typer.Option(help="Models, with commas: cpvae, vae, mog, vamp, hvae, hvae-vamp, hvae-cp.")
    ] = "cpvae,vae,mog,vamp",
    components: Annotated[
        str,
        typer.Option("--components", "-k", help="Numbers of categories, or of components of the prior, with commas."),
    ] = "10",
    seeds: Annotated[int, typer.Option(help="Number of fits of each model, with seeds 0, 1, ...")] = 3,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the runs and the tables.", callback=expand, show_default="runs/compare-DATA"),
    ] = None,
    *,
    params: dict[str, Any],
    split: SplitName = None,
    importance_samples: Annotated[int, typer.Option(help="Samples for each NLL.", min=1)] = 500,
    importance_rows: Annotated[int, typer.Option(help="Largest number of rows for the NLL.", min=2)] = 1000,
    jobs: Jobs = None,
    backend: Backend = None,
    labels: Labels = None,
    size: Size = None,
    layer: Layer = None,
    as_json: Json = False,
) -> None:
    """Fit several models with several numbers of components and seeds, judge all alike, and write one table.

    Run the command again to continue where it stopped, or to add models, components and seeds.
    """
    from cpvae.cli.checks import check_inputs, check_out_folder
    from cpvae.data.loaders import dataset_name

    check_inputs(data=data)
    out = out or Path("runs") / f"compare-{dataset_name(data)}"
    check_out_folder(out, data)
    numbers = parse_numbers("--components", components)

    from cpvae.fitting.jobs import on_backend
    from cpvae.study.compare import PAGE, Protocol, compare_models
    from cpvae.study.comparison import as_markdown

    protocol = Protocol(split, importance_samples, importance_rows)
    try:
        with on_backend(backend):
            result = compare_models(
                data,
                [name.strip() for name in models.split(",") if name.strip()],
                numbers,
                seeds,
                out,
                labels=labels,
                reading=reading(params.get("kind"), size, layer),
                params=params,
                protocol=protocol,
                n_jobs=jobs,
                progress=say,
            )
    except KeyboardInterrupt as error:
        say(f"stopped; what is finished is in {out}. To go on, run the same command again")
        raise typer.Exit(130) from error
    if as_json:
        put_json(result)
        return
    put(as_markdown(result, link=lambda run: "").rstrip("\n"))
    say(f"the table with its runs and pictures is {out / PAGE}")
