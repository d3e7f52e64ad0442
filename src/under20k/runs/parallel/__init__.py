"""Many trainings at once: the scheduler, and its backends on this machine and on a Dask cluster."""
