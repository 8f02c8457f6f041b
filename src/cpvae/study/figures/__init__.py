"""Pictures of fitted models: arrays in, figures out. A file for each kind."""

from cpvae.extras import needed

with needed("drawing pictures"):
    import matplotlib  # noqa: F401

from cpvae.study.figures.files import save, svg
from cpvae.study.figures.images import image_grid, mosaic, pixels, samples_by_category, value_limits
from cpvae.study.figures.latent import latent_map
from cpvae.study.figures.many import component_choice, reliability
from cpvae.study.figures.signals import examples, overlays, signals
from cpvae.study.figures.style import FAINT, INK, NAMED, NEW, ROWS, blank, look, styled
from cpvae.study.figures.tables import band, histograms, profiles
from cpvae.study.figures.training import bound_curves, diagnosis_curves, kl_curves
from cpvae.study.figures.trees import generations, tree

__all__ = [
    "FAINT",
    "INK",
    "NAMED",
    "NEW",
    "ROWS",
    "band",
    "blank",
    "bound_curves",
    "component_choice",
    "diagnosis_curves",
    "examples",
    "generations",
    "histograms",
    "image_grid",
    "kl_curves",
    "latent_map",
    "look",
    "mosaic",
    "overlays",
    "pixels",
    "profiles",
    "reliability",
    "samples_by_category",
    "save",
    "signals",
    "styled",
    "svg",
    "tree",
    "value_limits",
]
