"""Encoders: one recording of one modality to its (P, D) patches (paper section 3.1)."""
