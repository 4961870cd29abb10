"""Files of the page that ``dmft cache view`` writes; ``base.*`` are also the report's."""
