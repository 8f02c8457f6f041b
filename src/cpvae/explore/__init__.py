"""A page in the browser on which a fitted model is explored, with a server behind it or in one file without one.

- `seen`: the rows, their places on the map, and what the model says of them;
- `contents`: how a row is put on the page, as a picture, curves or cells;
- `cards`: categories in words;
- `draws`: new rows, from a category, between two rows, with given cells;
- `labels`: categories that the user renamed, merged or split, checked and written;
- `answers`: the questions of the page, each a function; `stored`: their answers, for a page without a server;
- `page`: the document, around a map drawn by Bokeh; `server`: what serves it.
"""

from cpvae.extras import require


def check_library() -> None:
    """Refuse to go on without Bokeh.

    Raises:
        InputError: it is not installed.
    """
    require("cpvae explore", "bokeh")
