"""Records of the rows that a notebook shows, read from a store or made by a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import Markdown, display

from genclust.baselines import BASELINES, MissingLibrary, refuse_missing
from genclust.data import DataError
from genclust.experiments.declaration import PROFILES, Profile, Row, load, parse_profile, parse_seeds
from genclust.experiments.execution import Task, check, run, task_for
from genclust.experiments.naming import as_run, changes_in_words, told_apart
from genclust.experiments.papers import dataset_title
from genclust.experiments.store import Record, in_repository, own
from genclust.experiments.verdicts import published_records, whole_row
from genclust.settings import SettingError, merge


class Runs(list[Record]):
    """List of the records of one row, one per seed; empty if the row is quoted or was not run.

    Attributes:
        row: the row, with the label and the paper's numbers that befit what was run.
    """

    def __init__(self, row: Row, found: Iterable[Record] = ()) -> None:
        super().__init__(found)
        self.row = row

    @classmethod
    def published(cls, row: Row, profile: Profile | None = None) -> Runs:
        """Published records of a row, see :func:`~genclust.experiments.verdicts.published_records`."""
        return cls(row, published_records(row, profile)[1])


class Rows(dict[str, Runs]):
    """Records of several rows of an experiment by row name, each run once.

    A row whose run another row shows already is not listed; asked for by name, it has the records of the other.  One
    that was left out has none.
    """

    def __init__(self, experiment: str, found: Mapping[str, Runs], shown_by: Mapping[str, str] | None = None) -> None:
        super().__init__(found)
        self._experiment, self._shown_by = experiment, shown_by or {}

    def __missing__(self, name: str) -> Runs:
        row = load(self._experiment).row(name)
        return self[self._shown_by[name]] if name in self._shown_by else Runs(row)


def records(experiment: str, row: str, profile: str = "published", device: str = "cpu") -> list[Record]:
    """Records of a row, one per seed, read from the stores; declared seeds without a record are run and stored first.

    Changed settings and other seeds are asked for by :class:`Asked`.

    Args:
        experiment: the experiment's name, such as ``simple-table1``.
        row: the row's name, such as ``proposed-mnist``.
        profile: ``demo``, ``quick``, ``long`` or ``paper``; or ``published``, which never trains: the most faithful
            profile that is published of the row, except that ``long`` counts only if it is that of all rows of the
            experiment; else ``quick`` is shown, or nothing.
        device: device on which missing runs are trained.

    Raises:
        SettingError: for unknown names.
    """
    declared = load(experiment).row(row)
    if profile != "published":
        return _run(task_for(declared, parse_profile(profile)), device)
    shown, published = published_records(declared)
    # What was trained longer than the rows beside it cannot be compared with them.
    alone = shown == "long" and common_profile(experiment) != "long"
    return published_records(declared, "quick")[1] if alone else published


def _given(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings by section without those that are None or "", which stay as declared."""
    given = {
        section: {name: value for name, value in values.items() if value not in (None, "")}
        for section, values in settings.items()
    }
    return {section: values for section, values in given.items() if values}


def _task(row: Row, profile: Profile, seeds: str, changes: Mapping[str, Mapping[str, Any]]) -> Task:
    """Task of a row; of changed settings, a baseline takes those that it has."""
    if row.settings is not None and (baseline := BASELINES.get(row.settings["model"]["name"])):
        settings = {each.name for each in fields(baseline)}
        known = {name: value for name, value in changes.get("model", {}).items() if name in settings}
        changes = _given({"data": changes.get("data", {}), "model": known})
    return task_for(row, profile, parse_seeds(seeds) if seeds else None, changes)


def _run(task: Task, device: str) -> list[Record]:
    return run(task, own(), device=device, also_look_in=in_repository())


@dataclass(frozen=True)
class Asked:
    """Request of a notebook for all its rows: profile, seeds, device and settings.

    What is not published is a rerun, and a banner says so.  Its rows are called by what was run, each run is shown
    once, and the paper's numbers stand beside it only where data and settings are those of the published pages.

    Attributes:
        profile, device: as for :func:`records`; what is changed has no published records, and is run at ``demo``.
        seeds: seeds such as ``"0-9"``; by default those of the profile.
        data, model, training: settings in place of the declared ones; None and "" leave a setting as declared.
        only_for: further settings by section, for the rows of one model: ``{"cagem": {"model": {"alpha": 0.1}}}``.
        needs: what data must have for the page to make sense: ``images``, ``labels`` or nothing in particular.
        by_page: whether the page itself chose the profile, see :meth:`at`.
    """

    profile: str = "published"
    seeds: str = ""
    device: str = "cpu"
    data: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    only_for: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    needs: Literal["", "images", "labels"] = ""
    by_page: bool = False

    @property
    def is_rerun(self) -> bool:
        """Whether something else is asked for than what the published page shows."""
        return bool(self.seeds or self._all_changes) or (self.profile != "published" and not self.by_page)

    @property
    def beside_paper(self) -> bool:
        """Whether the paper's numbers may stand beside the runs: nothing is changed, and they are not at ``demo``."""
        return not self._all_changes and self._profile != "demo"

    @property
    def _profile(self) -> str:
        return "demo" if self.profile == "published" and self.is_rerun else self.profile

    @property
    def _all_changes(self) -> dict[str, dict[str, Any]]:
        changes = _given({"data": self.data, "model": self.model, "training": self.training})
        return merge(changes, *(_given(settings) for settings in self.only_for.values()))

    def row(self, experiment: str, name: str) -> Runs:
        """Records of one row under this request."""
        return self.rows(experiment, name)[name]

    def rows(self, experiment: str, names: str = "") -> Rows:
        """Records of several rows of an experiment; ``names`` is such as ``"k7,k10"``, by default all.

        Raises:
            SettingError: for unknown names or settings out of range, before anything is trained.
            DataError: likewise, for data that suit none of the rows, or not the page.
        """
        wanted = [name.strip() for name in names.split(",")] if names else list(load(experiment).rows)
        rows = {name: load(experiment).row(name) for name in wanted}
        return self._rerun(experiment, rows) if self.is_rerun else Rows(experiment, dict(self._published(rows)))

    def _published(self, rows: Mapping[str, Row]) -> Iterator[tuple[str, Runs]]:
        for name, row in rows.items():
            if row.settings is None:
                yield name, Runs(row)
            else:
                yield name, Runs(row, records(row.experiment, name, self.profile, device=self.device))

    def _rerun(self, experiment: str, rows: Mapping[str, Row]) -> Rows:
        profile = parse_profile(self._profile)
        tasks: dict[str, Task] = {}
        unsuited: dict[str, DataError | SettingError] = {}
        for name, row in rows.items():
            if row.settings is None:
                continue
            try:
                tasks[name] = self._checked(row, profile)
            except (DataError, SettingError) as error:
                if not (self.data.get("name") or isinstance(error, MissingLibrary)):
                    raise
                unsuited[name] = error
        if unsuited and not tasks:
            raise next(iter(unsuited.values()))
        first: dict[tuple[str, tuple[int, ...]], str] = {}
        shown_by = {name: first.setdefault((t.config.address, tuple(t.seeds)), name) for name, t in tasks.items()}
        configs = {name: tasks[name].config for name in dict.fromkeys(shown_by.values())}
        called = told_apart({name: as_run(rows[name], config) for name, config in configs.items()}, configs)
        _say(self._banner(profile, tasks))
        if unsuited:
            reasons: dict[str, list[str]] = {}
            for name, why in unsuited.items():
                reasons.setdefault(str(why), []).append(rows[name].label)
            _say("**Left out:** " + " ".join(f"{', '.join(labels)}: {why}" for why, labels in reasons.items()))
        found = {
            name: Runs(called[name], _run(tasks[name], self.device)) if name in called else Runs(row)
            for name, row in rows.items()
            if name in called or (row.settings is None and self.beside_paper)
        }
        return Rows(experiment, found, {name: other for name, other in shown_by.items() if name != other})

    def _checked(self, row: Row, profile: Profile) -> Task:
        """Task of a row whose libraries are there; of other data than declared, all is checked that training needs."""
        changes = _given({"data": self.data, "model": self.model, "training": self.training})
        assert row.settings is not None  # a quoted row is not run
        changes = merge(changes, _given(self.only_for.get(row.settings["model"]["name"], {})))
        task = _task(row, profile, self.seeds, changes)
        refuse_missing(task.config.model["name"])
        if self.data.get("name"):
            data, name = check(task), dataset_title(task.config.data["name"])
            if self.needs == "images" and (data.image_shape is None or data.image_shape[2] not in (1, 3)):
                raise DataError(f"This page draws pictures, and {name} has no images in grey or in three colours.")
            if self.needs == "labels" and any(split.y is None for split in data.splits.values()):
                raise DataError(f"This page compares with labels, and {name} has none.")
        return task

    def _banner(self, profile: Profile, tasks: Mapping[str, Task]) -> str:
        """Line that names data, profile and changed settings of a rerun."""
        data = dict.fromkeys(dataset_title(task.config.data["name"]) for task in tasks.values())
        seeds = f"; seeds: {self.seeds}" if self.seeds else ""
        changed = "; changed settings: ".join(["", *filter(None, [", ".join(changes_in_words(self._all_changes))])])
        return (
            f"**A rerun.** Data: {' and '.join(data)}; profile: {profile}{seeds}{changed}. "
            "The text between the results is that of the published page, with its numbers, and so are results of other "
            "settings beside these."
        )

    def places(self, places: Mapping[str, str]) -> dict[str, Runs]:
        """Records of rows of several experiments, by label; ``places`` maps each label to an ``experiment/row``."""
        found: dict[str, Runs] = {}
        for label, place in places.items():
            runs = self.row(*place.split("/"))
            if not (self.is_rerun and runs in found.values()):  # the same records
                found[label] = Runs(replace(runs.row, label=label), runs)
        return found

    def at(self, profile: str) -> Asked:
        """The same request at another profile, which a page shows by itself if nothing was changed."""
        return replace(self, profile=profile, by_page=self.by_page or self.profile == "published")


def having_runs(found: Mapping[str, Runs]) -> dict[str, Runs]:
    """Rows that have at least one record."""
    return {name: runs for name, runs in found.items() if runs}


def published_rows(experiment: str, profile: Profile) -> dict[str, Runs]:
    """Published records of all rows of an experiment at a profile, by row name; rows without any are left out."""
    rows = load(experiment).rows.values()
    return having_runs({row.name: Runs.published(row, profile) for row in rows})


@cache
def _say(sentence: str) -> None:
    """Show a sentence in Markdown; once, however many rows a notebook requests."""
    if InteractiveShell.initialized():
        display(Markdown(sentence))
    else:
        print(sentence)


def common_profile(experiment: str) -> Profile | None:
    """Most faithful profile at which all seeds of every row of an experiment are published; None without.

    Figures of all rows together need it, since `records` may find one row under ``paper`` and the next under ``quick``.
    """
    rows = load(experiment).runnable
    return next((profile for profile in PROFILES if all(whole_row(row, profile) for row in rows)), None)
