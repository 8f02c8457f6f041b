"""`cpvae choose`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from cpvae.cli.estimator_options import takes
from cpvae.cli.options import Backend, Data, Jobs, Json, Labels, Layer, Size, expand, parse_numbers, reading
from cpvae.cli.output import put, put_json, say


@takes("max_epochs", "latent_dim", "precision", "kind", "likelihood", "schema")
def choose(
    data: Data,
    components: Annotated[
        str, typer.Option("--components", "-k", help="Numbers of components to try, with commas.")
    ] = "1,2,5,10,20",
    seeds: Annotated[int, typer.Option(help="Number of fits for each number of components, with seeds 0, 1, ...")] = 1,
    model: Annotated[str, typer.Option(help="Model: cpvae, mog or vamp.")] = "cpvae",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the runs and the result.", callback=expand, show_default="runs/choose-DATA"),
    ] = None,
    *,
    params: dict[str, Any],
    jobs: Jobs = None,
    backend: Backend = None,
    labels: Labels = None,
    size: Size = None,
    layer: Layer = None,
    as_json: Json = False,
) -> None:
    """Choose a number of components by the bound of held-out rows, without labels.

    Test rows are not used. Run the command again to continue where it stopped.
    """
    from cpvae.cli.checks import check_inputs, check_out_folder
    from cpvae.data.loaders import dataset_name

    check_inputs(data=data)
    out = out or Path("runs") / f"choose-{dataset_name(data)}"
    check_out_folder(out, data)
    numbers = parse_numbers("--components", components)

    from cpvae.fitting.jobs import on_backend
    from cpvae.study import choice
    from cpvae.study.answers import choose_number
    from cpvae.study.inputs import load_data

    try:
        rows = load_data(data, labels, say, reading(params.get("kind"), size, layer))
        with on_backend(backend):
            found = choose_number(rows, data, labels, model, params, numbers, seeds, out, jobs, say)
    except KeyboardInterrupt as error:
        say(f"stopped; what is finished is in {out}. To go on, run the same command again")
        raise typer.Exit(130) from error
    if as_json:
        put_json(found.as_dict())
        return
    put(choice.as_text(found))
    say(f"{choice.conclusion(found)}; its fit is {out / found.run}, and {out / choice.PICTURE} shows all")
    if len(found.candidates) > 1:
        say(f"{out / choice.TREE} shows which categories come from which")
    if found.undecided:
        source = [data, *([] if labels is None else ["--labels", labels])]
        most = shlex.join(["cpvae", "describe", str(out / found.run_of(found.undecided[-1])), *source])
        say(f"More rows may decide, or what more categories say of the rows: {most}")
