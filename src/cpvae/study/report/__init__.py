"""One self-contained HTML page about a fitted model: what was fitted, its categories, what to watch out for.

The page needs nothing but itself: pictures are inlined, no script, no request to any server (its own
Content-Security-Policy forbids them). Whatever comes from the user is escaped by the template.

- `shown`: the rows it is about; `parts`: what it consists of;
- `words`, `numbers`, `pictures`: what is said, counted and drawn;
- `categories`, `overall`: of each category, of the model as a whole;
- `page`: all of it put together, for `cpvae report`.
"""

from cpvae.extras import require

require("a report", "jinja2", "markupsafe", "matplotlib", "PIL")
