"""What both programs use and is no part of the contract: settings, files, cores, Dask, the page."""
