"""Data, not code: manifests, class names and protocols that ship with the software."""
