"""What both programs use and is no part of the contract: settings, files, Dask, the page."""
