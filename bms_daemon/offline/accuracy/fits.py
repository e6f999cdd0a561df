"""Cell files fitted to what a job names, once for the same contents."""

from __future__ import annotations

from bms_daemon.config.cellfile import CellFile, load_cell
from bms_daemon.offline.accuracy.cache import cache_folder, job_digest
from bms_daemon.offline.cellfit.job import Job, fit_cell
from bms_daemon.offline.cellfit.write import cell_text


def fitted(job: Job) -> CellFile:
    """The job's cell, from the cache or fitted now. What is fitted here is for evaluation and stays in the cache."""
    path = cache_folder() / f"{job_digest(job)}.toml"
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_text(cell_text(fit_cell(job, lambda: None).file, [job.identity.name]), encoding="utf-8")
        part.rename(path)
    return load_cell(path)
