"""Claims of the paper, and of this project, each judged by a rule on result files.

Each rule is written before its runs. A claim about all cases either holds or fails. For any other claim, the page
prints how many of its conditions hold. A claim whose runs are missing stays open.

- `known`: the results that rules look at, and by how much two of them may differ by chance;
- `claim`: a claim, its conditions, its status;
- `bounds`, `rivals`, `densities`, `generations`: the rules;
- `lists`: all claims in the order of the page.
"""

from paper.claims.claim import OPEN, Claim, Judged, judge
from paper.claims.known import CHANCE, SAME, Known
from paper.claims.lists import OWN_CLAIMS, PAPERS_CLAIMS

__all__ = ["CHANCE", "OPEN", "OWN_CLAIMS", "PAPERS_CLAIMS", "SAME", "Claim", "Judged", "Known", "judge"]
