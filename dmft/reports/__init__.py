"""What runs have found, for people to look at: tables and figures for a paper, and one page.

``load`` reads run folders into plain data, ``compare`` sets runs beside each other and ``charts``
has the numbers of the charts, which ``page`` (one HTML file) and ``figures`` (matplotlib) draw.
``tables`` sets results beside the ``published`` figures and ``render`` writes them.
Nothing here trains, predicts or opens a cache.
"""
