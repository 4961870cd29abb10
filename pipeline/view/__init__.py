"""What is in a cache, on one page: counts, gaps with their reasons, ranges, outliers, records.

It reads a cache in any state and changes nothing. ``content`` reads it, ``outliers`` finds what
stands out, ``tables`` and ``records`` have the numbers, ``page.html`` shows them. What is drawn is
what is stored, the patches; with the raw tree also a few ``frames``.
"""

from pipeline.view.page import write_view

__all__ = ["write_view"]
