"""Strict settings, as both programs read them."""

from pipeline.contract.settings import parse_table, to_table

__all__ = ["parse_table", "to_table"]
