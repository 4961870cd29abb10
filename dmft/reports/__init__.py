"""What runs have found, for people to look at: tables and figures for a paper, and one page.

``load`` reads run folders into plain data, ``tables`` sets ours beside the ``published`` figures
and ``render`` writes them, ``figures`` draws with matplotlib, and ``page`` makes one HTML file.
Nothing here trains, predicts or opens a cache.
"""
