"""Declared experiments, their runs, the records of these runs, and the verdicts.

A notebook needs little: :class:`Asked` and :func:`records` ask for the runs of rows, :func:`verdicts`
compares them with the paper, :func:`number` gives one of them to the prose.
"""

from genclust.experiments.access import Asked, Runs, common_profile, having_runs, published_rows, records
from genclust.experiments.claims import judged_claims
from genclust.experiments.declaration import PROFILES, Experiment, Profile, Row, load, names
from genclust.experiments.store import Record
from genclust.experiments.verdicts import number, published_records, summarise, verdicts

__all__ = [
    "PROFILES",
    "Asked",
    "Experiment",
    "Profile",
    "Record",
    "Row",
    "Runs",
    "common_profile",
    "having_runs",
    "judged_claims",
    "load",
    "names",
    "number",
    "published_records",
    "published_rows",
    "records",
    "summarise",
    "verdicts",
]
