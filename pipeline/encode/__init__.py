"""One encode: what is asked, the plan, its workers, and a finished cache."""
