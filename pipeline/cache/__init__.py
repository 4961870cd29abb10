"""The only writer of feature caches: from one object's bytes to the sealed whole."""
