"""Numbers over time, as pure functions: recordings, resampling, segments."""
