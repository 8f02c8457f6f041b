"""The paper, reproduced: fits from the files in `experiments/`, a result file for each, and pages made of these alone.

- `rows`: what is fitted, and the published numbers;
- `running`: fits; `measures`: what is measured of a fit; `planning`: how long it takes; `results`: the files it leaves;
- `table`, `drawing`, `claims`, `clusters`, `pages`: from results to Table 1, figures, verdicts, the page of clusters;
- `verification`: results at random, measured again; `targets`: all of it by name, for `cpvae reproduce`.
"""
