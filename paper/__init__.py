"""The paper, reproduced: fits from the files in `experiments/`, a result file for each, and pages made of these alone.

This folder stands beside `src/` and is not installed: it needs a checkout, for it reads `experiments/` and `results/`
and writes into `docs/`. It may import all of `cpvae` but `cpvae.cli`. Nothing in `cpvae` imports it apart from the
command `cpvae reproduce`.

- `rows`: what is fitted, and the published numbers; `targets`: rows and their cells by name;
- `running`: fits; `measures`: what is measured of a fit; `planning`: how long it takes; `results`: the files it leaves;
- `verification`: results at random, measured again;
- `table`, `sizes`, `clusters`, `drawing`, `claims`, `open_points`: from results to tables, figures and verdicts;
- `page`, `pages`: the pages that hold them;
- `command`: what `cpvae reproduce` does once its options are read.
"""
