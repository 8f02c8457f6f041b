"""`cpvae fit`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import (
    Data,
    Epochs,
    Hidden,
    Json,
    Kind,
    Labels,
    LatentDim,
    Layer,
    LikelihoodName,
    NetworkName,
    Precision,
    Preset,
    SchemaFile,
    Size,
    estimator_arguments,
    expand,
    reading,
)
from cpvae.cli.output import put, put_json, say
from cpvae.fitting.devices.rank import is_main

# -- commands --------------------------------------------------------------------------------------------------------


def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the run: model, history, metrics, pictures.", callback=expand)],
    model: Annotated[
        str | None,
        typer.Option(help="cpvae, or one it is compared with: vae mog vamp hvae hvae-vamp.", show_default="cpvae"),
    ] = None,
    components: Annotated[
        int | None,
        typer.Option("--components", "-k", help="Categories, or components of the prior.", show_default="10"),
    ] = None,
    epochs: Epochs = None,
    seed: Annotated[int | None, typer.Option(help="Fixes everything.", show_default="0")] = None,
    restarts: Annotated[
        int | None, typer.Option(help="Fits; the best validation bound is kept.", show_default="1")
    ] = None,
    latent_dim: LatentDim = None,
    hidden: Hidden = None,
    likelihood: LikelihoodName = None,
    schema: SchemaFile = None,
    noise: Annotated[
        float | None,
        typer.Option(help="Gaussian noise, in standard deviations of the columns.", show_default="learned"),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="p(c): uniform, empirical or learned.", show_default="uniform")
    ] = None,
    covariance: Annotated[
        str | None,
        typer.Option(
            help="Of p(z|c), also of mog: diag (the paper), or full, with better bounds.", show_default="diag"
        ),
    ] = None,
    expectation: Annotated[
        str | None,
        typer.Option(
            help="Over c: exact, sum-and-sample, straight-through, relaxed or auto.",
            show_default="auto: by the number of components",
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="How categories begin: umap, autoencoder, rows, gmm, kmeans, random or auto.",
            show_default="auto: by the data",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="Copies that have the category of their row: affine (of images), shift (of signals), none or auto.",
            show_default="auto: affine for images from 16 pixels a side",
        ),
    ] = None,
    consistency: Annotated[
        float | None, typer.Option(help="Weight of the copies' agreement beside the bound.", show_default="20")
    ] = None,
    network: NetworkName = None,
    prior: Annotated[str | None, typer.Option(help="Of vae and hvae.", show_default="normal")] = None,
    pseudo_inputs: Annotated[
        str | None, typer.Option(help="Of vamp and hvae-vamp, how they begin: rows or random.", show_default="rows")
    ] = None,
    preset: Preset = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows in a step.", show_default="the preset's: 100, or 200 of 20,000 rows on")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.", show_default="the preset's")] = None,
    warmup_epochs: Annotated[
        int | None,
        typer.Option(help="Epochs in which the KL terms grow to full weight.", show_default="the preset's"),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many epochs without a better validation bound.", show_default="50"),
    ] = None,
    precision: Precision = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto.", show_default="auto")] = None,
    labels: Labels = None,
    kind: Kind = None,
    size: Size = None,
    layer: Layer = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Json = False,
) -> None:
    """Fit a model to rows without labels, and leave it in a run folder."""
    from cpvae.cli.checks import check_inputs, check_out_folder
    from cpvae.fitting import runs

    given = {
        "n_components": components,
        "max_epochs": epochs,
        "random_state": seed,
        "n_init": restarts,
        "latent_dim": latent_dim,
        "network": network,
        "hidden": hidden,
        "kind": kind,
        "likelihood": likelihood,
        "schema": schema,
        "noise": noise,
        "weights": weights,
        "covariance_type": covariance,
        "expectation": expectation,
        "init": init,
        "augment": augment,
        "consistency": consistency,
        "prior": prior,
        "pseudo_inputs": pseudo_inputs,
        "preset": preset,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "warmup_epochs": warmup_epochs,
        "patience": patience,
        "precision": precision,
        "device": device,
    }
    params = estimator_arguments(given)
    read_as = reading(kind, size, layer)
    check_inputs(data=data)
    check_out_folder(out, data)
    runs.check_folder(out, resume)

    from cpvae.study.fits import fit_run
    from cpvae.study.inputs import load_data, make_estimator

    if not resume:
        make_estimator(model or "cpvae", params).check_params()  # before data are fetched or read
    try:
        if resume:
            read_as = dict(runs.read_config(out)["about"].get("reading") or {}) | read_as
        found = load_data(data, labels, say, read_as)
        run = fit_run(found, data, labels, model, params, out, resume, quiet, say)
    except KeyboardInterrupt as error:
        if runs.begun(out):
            say(f"stopped; the state is saved. To go on: {runs.command(data, labels, out)}")
            if (out / runs.MODEL).exists():
                say(f"Until then the weights so far can be used: {shlex.join(['cpvae', 'report', str(out)])}")
        else:
            say("stopped before anything was trained; nothing was written")
        raise typer.Exit(130) from error
    if not is_main():
        return
    if as_json:
        put_json(run.figures)
        return
    put("\n".join(run.words))
    for line in next_steps(data, labels, out, run.model.has_components):
        say(line)


# -- shared ----------------------------------------------------------------------------------------------------------


def next_steps(data: str, labels: str | None, out: Path, has_categories: bool) -> list[str]:
    """Say where the run is, and the commands that come next."""
    place, has_picture = shlex.quote(str(out)), (out / "samples.png").exists()
    source = shlex.join([data, *([] if labels is None else ["--labels", labels])])
    lines = [
        f"The run is in {out}: the model, all numbers in metrics.json" + ", new rows in samples.png" * has_picture,
        f"Next: cpvae report {place}",
    ]
    if has_categories:
        lines.append(f"      cpvae cluster {place} {source} --out labels.csv")
    return [*lines, f"      cpvae sample {place} -n 64 --out new.{'png' if has_picture else 'csv'}"]
