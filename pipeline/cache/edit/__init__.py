"""A finished cache made into another: some of it, without some of it, two as one, other labels.

Nothing here reads a recording or encodes. Rows are taken from where they lie, held against their
digests, and put in place by the same commit and the same seal that an encode ends with, so that
what comes out is what encoding that list of records would give, bit for bit.

``source`` opens what is taken from; ``assemble`` writes a new cache of rows of others (``subset``,
``merge``); ``rearrange`` changes one in place by a journal (``drop``, ``relabel``,
``migrate``); ``history``
says what was done; ``compare`` holds two beside each other.
"""
