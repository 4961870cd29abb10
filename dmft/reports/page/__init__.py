"""The report: one HTML page of runs that needs no network and no other file."""
