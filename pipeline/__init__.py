"""The offline feature encoder: raw recordings in, one feature cache out."""
