"""The light trainer: one feature cache in, trained recognisers and their figures out."""
