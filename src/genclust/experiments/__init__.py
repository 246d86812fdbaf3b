"""Declared experiments, their runs, the records these leave, and the verdicts.

A notebook needs three functions: :func:`records` asks for the runs of a row, :func:`verdicts`
compares them with the paper, :func:`number` gives one of them to the prose.
"""

from genclust.experiments.access import common_profile, records
from genclust.experiments.declaration import PROFILES, Experiment, Profile, Row, load, names
from genclust.experiments.store import Record
from genclust.experiments.verdicts import number, published_records, summarise, verdicts

__all__ = [
    "PROFILES",
    "Experiment",
    "Profile",
    "Record",
    "Row",
    "common_profile",
    "load",
    "names",
    "number",
    "published_records",
    "records",
    "summarise",
    "verdicts",
]
