"""Declarations of experiments: one YAML file per table or figure of a paper, without any code."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from genclust.baselines import BASELINES
from genclust.evaluation.registry import check_name, refuse_unsuited
from genclust.experiments import papers
from genclust.experiments.configuration import RunConfig, changeable, check_sections, resolve
from genclust.metrics import BEST, scored
from genclust.paths import root
from genclust.settings import SettingError, merge, nearest, read, within
from genclust.strict_yaml import assignment, parse

#: Size of a run.
Profile = Literal["demo", "quick", "long", "paper"]
#: Profiles from the most faithful to the quickest; the first that has been run is shown.
PROFILES: tuple[Profile, ...] = ("paper", "long", "quick", "demo")
#: The same without ``demo``, which runs on other data than the paper.
WITHOUT_DEMO: tuple[Profile, ...] = ("paper", "long", "quick")
#: Limit of the number of seeds, far more than anybody trains and few enough to be listed.
MOST_SEEDS = 10_000
#: Required and optional entries of each part of a declaration, with their types.
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "experiment": (
        {"paper": str, "table": str, "title": str, "rows": dict},
        {"settings": dict, "evaluate": list, "profiles": dict, "choices": list, "claims": dict},
    ),
    "row": (
        {"label": str, "dataset": str},
        {
            **{"settings": dict, "same_run_as": str, "quoted": bool, "evaluate": list, "profiles": dict},
            **{"reported": list, "gap": dict, "second_reading": bool},
        },
    ),
    "profile": ({}, {"seeds": (str, int), "evaluate": list, "settings": dict}),
    "choice": ({"setting": str, "taken": (str, int, float), "why": str}, {}),
    "claim": ({"claim": str, "where": str, "holds_if": list}, {}),
    "gap": ({"profile": str, "causes": list, "experiment": str}, {"row": str, "settings": dict}),
    "cause": ({"cause": str, "support": str}, {}),
}
#: Most causes that a gap names; more of them would say that nobody knows.
MOST_CAUSES = 2


@dataclass(frozen=True)
class Reported:
    """Number that the paper reports, or where it gives none a threshold of ours: the mean is ``below`` or ``above`` it.

    ``sd`` is None where the paper gives none; ``tolerance`` is what counts as reproduced, declared
    before the runs.
    """

    name: str
    metric: str
    mean: float | None = within(default=None)
    sd: float | None = within(0, default=None)
    tolerance: float | None = within(0, default=None)
    below: float | None = within(default=None)
    above: float | None = within(default=None)


@dataclass(frozen=True)
class Condition:
    """One thing that has to be so for a claim to hold: a mean lies ``above`` or ``below`` a threshold of ours.

    With ``over``, it is the difference of the means of two rows.  A row is named as in its experiment, one of another
    experiment as ``experiment/row``.

    Attributes:
        row: the row whose metric is looked at.
        metric: full name of the metric, such as ``test.ari``.
        above: the bound that has to be exceeded, in the metric's unit.
        below: the bound that must not be reached, in the metric's unit.
        over: the row that is subtracted.
        instead: further pairs of such rows, as those on data that stand in for the paper's; the first pair that was run
            alike counts.
    """

    row: str
    metric: str
    above: float | None = within(default=None)
    below: float | None = within(default=None)
    over: str = ""
    instead: Mapping[str, str] = field(default_factory=dict)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The row and the one that is subtracted, the paper's own first."""
        return [(self.row, self.over), *self.instead.items()]


@dataclass(frozen=True)
class Cause:
    """A likely cause of a missed number, and what in the records or the paper speaks for it.

    Both texts may hold a published number, as ``{measured}`experiment/row/metric/statistic```.
    """

    cause: str
    support: str


@dataclass(frozen=True)
class Gap:
    """Why a number of the paper is missed, as we judge it: no rule follows from the records here.

    Attributes:
        profile: profile of the runs that it speaks of; of other runs it says nothing.
        causes: the likeliest one or two.
        experiment: the experiment that would tell them apart.
        row: the row of the same declaration to run at the paper's size; empty if it is the row itself.
        settings: settings that this run has in place of the declared ones.
    """

    profile: Profile
    causes: tuple[Cause, ...]
    experiment: str
    row: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """What a paper says in words: our paraphrase, where it says so, and all that has to be so for it to hold."""

    name: str
    text: str
    where: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Row:
    """One row of a table or one line of a figure.

    ``run_of`` names the row, as ``experiment/row``, whose runs it shows; it is empty if the runs are its own.  ``gap``
    is None where nothing is said of a missed number.  A ``second_reading`` judges numbers that another row has as well,
    by a less likely reading of the paper; it has verdicts, and is not counted among the numbers of the papers.
    """

    experiment: str
    name: str
    label: str
    dataset: str
    reported: tuple[Reported, ...]
    settings: Mapping[str, Any] | None
    quoted: bool
    evaluated: tuple[str, ...]
    run_of: str
    profiles: Mapping[str, Mapping[str, Any]] = field(repr=False)
    gap: Gap | None = None
    second_reading: bool = False

    @property
    def place(self) -> str:
        """The row as ``experiment/row``."""
        return f"{self.experiment}/{self.name}"

    def seeds(self, profile: Profile) -> list[int]:
        """Seeds that are declared for the profile."""
        return parse_seeds(str(self._profile(profile).get("seeds", "0-4")))

    def evaluations(self, profile: Profile) -> tuple[str, ...]:
        """Names of the evaluations at the end of a run at the profile; by default those of the row."""
        return tuple(self._profile(profile).get("evaluate", self.evaluated))

    def config(self, profile: Profile, overrides: Mapping[str, Any] | None = None) -> RunConfig:
        """Configuration of a run at the profile, with all settings checked and the defaults filled in.

        Raises:
            SettingError: if the row cannot be run, or a setting is unknown or out of range.
        """
        if self.settings is None:
            raise SettingError(f"{self.place} cannot be run; it is another's result, quoted.")
        layers = [self.settings, self._profile(profile).get("settings", {})]
        if self.settings.get("model", {}).get("name") in BASELINES:  # a profile's settings are for models that train
            layers[1] = {"data": layers[1].get("data", {})}
        return resolve(merge(*layers, overrides or {}))

    def _profile(self, profile: str) -> Mapping[str, Any]:
        if profile not in self.profiles:
            raise SettingError(nearest(profile, self.profiles, f"profile of {self.place}"))
        return self.profiles[profile]


@dataclass(frozen=True)
class Experiment:
    """One table or figure of a paper."""

    name: str
    paper: str
    table: str
    title: str
    choices: tuple[Mapping[str, str], ...]
    rows: Mapping[str, Row]
    claims: tuple[Claim, ...] = ()

    def row(self, name: str) -> Row:
        if name not in self.rows:
            raise SettingError(nearest(name, self.rows, f"row of {self.name}"))
        return self.rows[name]

    @property
    def runnable(self) -> list[Row]:
        """Rows that have settings, and so can be run."""
        return [row for row in self.rows.values() if row.settings is not None]


def names() -> list[str]:
    """Sorted names of all declared experiments."""
    return sorted(path.stem for path in (root() / "experiments").glob("*.yaml"))


def load(name: str) -> Experiment:
    """Read and check the declaration of an experiment.

    Raises:
        SettingError: if no experiment has that name (the message suggests the nearest), or it is malformed.
    """
    if name not in names():
        raise SettingError(nearest(name, names(), "experiment"))
    return _load(root() / "experiments" / f"{name}.yaml")


def row_of(place: str) -> Row:
    """The row that is named as ``experiment/row``.

    Raises:
        SettingError: if there is none; the message suggests the nearest.
    """
    experiment, _, name = place.partition("/")
    return load(experiment).row(name)


def runs(experiments: Sequence[str] = ()) -> Iterator[tuple[Row, Profile]]:
    """Rows of experiments, or of all, that can be run, each at its profiles from the most faithful on.

    Raises:
        SettingError: for an unknown experiment, with the nearest.
    """
    for name in experiments or names():
        for row in load(name).runnable:
            for profile in PROFILES:
                if profile in row.profiles:
                    yield row, profile


@cache
def _load(path: Path) -> Experiment:
    declared = _declared(path)
    rows = {}
    for name, row in declared["rows"].items():
        with _place(f"{path.name}, row {name}"):
            if "same_run_as" in row:
                of_run, run = _run_of(path, row["same_run_as"])
                decides = {key: run[key] for key in ("settings", "evaluate", "profiles") if key in run}
                rows[name] = _row(path.stem, name, row | decides, of_run)
            else:
                rows[name] = _row(path.stem, name, row, declared)
    claims = []
    for name, claim in declared.get("claims", {}).items():
        with _place(f"{path.name}, claim {name}"):
            conditions = tuple(read(Condition, entry, "a condition") for entry in claim["holds_if"])
            for row in (row for condition in conditions for pair in condition.pairs for row in pair if row):
                _check_named(path, row)
            claims.append(Claim(name, claim["claim"], claim["where"], conditions))
    experiment = Experiment(
        *(path.stem, declared["paper"], declared["table"], declared["title"]),
        *(tuple(declared.get("choices", ())), rows, tuple(claims)),
    )
    for one in experiment.runnable:
        asked = declared["rows"][one.name].get("evaluate", ())
        for profile in one.profiles:
            with _place(f"{path.name}, row {one.name}, profile {profile}"):
                refuse_unsuited(asked, one.config(parse_profile(profile)))
        if one.gap:
            with _place(f"{path.name}, row {one.name}, gap"):
                experiment.row(one.gap.row or one.name).config("paper", one.gap.settings)
    return experiment


def _row(experiment: str, name: str, row: Mapping[str, Any], declared: Mapping[str, Any]) -> Row:
    profiles = merge(declared.get("profiles", {}), row.get("profiles", {}))
    evaluate = tuple(row.get("evaluate", declared.get("evaluate", ("clustering",))))
    for evaluation in map(str, (*evaluate, *(e for profile in profiles.values() for e in profile.get("evaluate", ())))):
        check_name(evaluation, f"{experiment}/{name}")
    return Row(
        experiment,
        name,
        row["label"],
        row["dataset"],
        tuple(read(Reported, entry, "reported") for entry in row.get("reported", ())),
        merge(declared.get("settings", {}), row["settings"]) if "settings" in row else None,
        row.get("quoted", False),
        evaluate,
        row.get("same_run_as", ""),
        profiles,
        _gap(row["gap"]) if "gap" in row else None,
        row.get("second_reading", False),
    )


def _gap(gap: Mapping[str, Any]) -> Gap:
    return Gap(
        parse_profile(gap["profile"]),
        tuple(Cause(**cause) for cause in gap["causes"]),
        *(gap["experiment"], gap.get("row", ""), gap.get("settings", {})),
    )


def _run_of(path: Path, place: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Content of the declaration and of the row that ``place`` names, as ``experiment/row``."""
    experiment, _, name = place.partition("/")
    declared, row = _named(path, experiment, name, "same_run_as")
    if "settings" not in row:
        raise SettingError(f"The row {place}, named by same_run_as, has no settings of its own; name one that has.")
    return declared, row


def _check_named(path: Path, place: str) -> None:
    """Check that a row is there, as ``row`` of this declaration or as ``experiment/row``."""
    experiment, _, name = place.rpartition("/")
    _, row = _named(path, experiment or path.stem, name, "a condition")
    if row.get("quoted", False):
        raise SettingError(f"The row {place} is quoted and never measured; write its number as the bound.")


def _named(path: Path, experiment: str, name: str, by: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Content of a declaration beside this one and of a row of it; ``by`` says in errors what named them."""
    experiments = {other.stem for other in path.parent.glob("*.yaml")}
    if experiment not in experiments:
        raise SettingError(nearest(experiment, experiments, f"experiment, named by {by},"))
    declared = _declared(path.with_name(f"{experiment}.yaml"))
    if name not in declared["rows"]:
        raise SettingError(nearest(name, declared["rows"], f"row of {experiment}, named by {by},"))
    return declared, declared["rows"][name]


@cache
def _declared(path: Path) -> Mapping[str, Any]:
    """Content of a declaration file, checked that its parts are complete and of the right types."""
    try:
        declared = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"{path.name} cannot be read: {error}.") from None
    with _place(path.name):
        _part(declared, "experiment")
        papers.paper(declared["paper"])
        _check_run(declared)
        if not declared["rows"]:
            raise SettingError("rows must hold a row.")
    for number, choice in enumerate(declared.get("choices", ()), 1):
        with _place(f"{path.name}, choice {number}"):
            _part(choice, "choice")
    for name, row in declared["rows"].items():
        with _place(f"{path.name}, row {name}"):
            if not ROW.fullmatch(str(name)):
                raise SettingError("The name of a row has letters, digits, dots, dashes and underscores alone.")
            _check_row(row)
    for name, claim in declared.get("claims", {}).items():
        with _place(f"{path.name}, claim {name}"):
            _check_claim(claim)
    return declared


@contextmanager
def _place(where: str) -> Iterator[None]:
    """Prefix the message of a SettingError with the part of the declaration where it was raised."""
    try:
        yield
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from None


#: Names of rows, which stand in addresses such as ``experiment/row@profile``.
ROW = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Names of the types of entries in messages.
_KINDS = {str: "text", dict: "a mapping", list: "a list", bool: "true or false"}


def _part(part: Any, name: str) -> None:
    """Refuse a part of a declaration that lacks an entry, or has an unknown one or one of the wrong type."""
    needed, optional = PARTS[name]
    kinds = needed | optional
    if not isinstance(part, dict):
        raise SettingError(f"There should be entries such as {', '.join(kinds)} here, not {reprlib.repr(part)}.")
    for key in part:
        if key not in kinds:
            raise SettingError(nearest(key, kinds, "entry called"))
    for key in needed:
        if key not in part:
            raise SettingError(f"The entry {key} is missing.")
    for key, value in part.items():
        if not isinstance(value, kinds[key]) or value == "":
            right = _KINDS.get(kinds[key], "text or a number")
            raise SettingError(f"{key} must be {right}, not {reprlib.repr(value)}.")


def _check_claim(claim: Any) -> None:
    _part(claim, "claim")
    if not claim["holds_if"]:
        raise SettingError("holds_if must hold a condition.")
    for number, entry in enumerate(claim["holds_if"], 1):
        with _place(f"condition number {number}"):
            if not isinstance(entry, dict):
                raise SettingError(f"There should be a row, a metric and a bound here, not {reprlib.repr(entry)}.")
            condition = read(Condition, entry, "a condition")
            scored(condition.metric)
            if condition.metric.endswith(BEST):
                mean = condition.metric.removesuffix(BEST)
                raise SettingError(f"The best of several runs has no interval; name {mean}.")
            if (condition.above is None) is (condition.below is None):
                raise SettingError("It must have one of above and below.")
            if condition.instead and not condition.over:
                raise SettingError("instead names pairs of rows, and so needs over.")


def _check_row(row: Any) -> None:
    _part(row, "row")
    if ("settings" in row) + ("same_run_as" in row) + row.get("quoted", False) != 1:
        raise SettingError("It must have settings or same_run_as, or be quoted: true, and only one of the three.")
    for key in ("evaluate", "profiles"):
        if "same_run_as" in row and key in row:
            raise SettingError(f"With same_run_as, {key} is that of the run; leave it out.")
    _check_run(row)
    for number, entry in enumerate(row.get("reported", ()), 1):
        with _place(f"reported number {number}"):
            if not isinstance(entry, dict):
                raise SettingError(f"There should be a name, a metric and a number here, not {reprlib.repr(entry)}.")
            reported = read(Reported, entry, "reported")
            scored(reported.metric)
            if [reported.mean, reported.below, reported.above].count(None) != 2:
                raise SettingError("It must have one of mean, below and above.")
    if "gap" in row:
        with _place("gap"):
            _check_gap(row)


def _check_gap(row: Mapping[str, Any]) -> None:
    if row.get("quoted", False):
        raise SettingError("A quoted row is never measured, and so has no gap.")
    gap = row["gap"]
    _part(gap, "gap")
    parse_profile(gap["profile"])
    check_sections(gap.get("settings", {}))
    if not 1 <= len(gap["causes"]) <= MOST_CAUSES:
        raise SettingError(f"causes must hold one or, at most, {MOST_CAUSES}.")
    for number, cause in enumerate(gap["causes"], 1):
        with _place(f"cause number {number}"):
            _part(cause, "cause")


def _check_run(part: Mapping[str, Any]) -> None:
    """Check the settings and the profiles of an experiment or a row."""
    check_sections(part.get("settings", {}))
    for profile, held in part.get("profiles", {}).items():
        with _place(f"profile {profile}"):
            _part(held, "profile")
            parse_profile(profile)
            parse_seeds(str(held.get("seeds", 0)))
            check_sections(held.get("settings", {}))


def parse_profile(text: str) -> Profile:
    """Profile of the given name.

    Raises:
        SettingError: if there is none; the message suggests the nearest.
    """
    for profile in PROFILES:
        if profile == text:
            return profile
    raise SettingError(nearest(text, PROFILES, "profile"))


SEED = "0|[1-9][0-9]{0,8}"  # not 010, which is 8 to some


def parse_seeds(text: str) -> list[int]:
    """Seeds from a text such as ``3``, ``0-9`` or ``0,2,5-7``.

    Raises:
        SettingError: if the text is none of these.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(rf"\s*({SEED})(?:-({SEED}))?\s*", part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise SettingError(f"Seeds are given like 3, 0-9 or 0,2,5-7, not {text!r}.")
        several = range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(seeds) + len(several) > MOST_SEEDS:
            raise SettingError(f"{text!r} is more than {MOST_SEEDS:,} seeds; give fewer.")
        seeds.extend(several)
    if len(set(seeds)) != len(seeds):
        raise SettingError(f"A seed stands twice in {text!r}.")
    return seeds


def parse_overrides(assignments: Sequence[str], row: Row, profile: Profile) -> dict[str, Any]:
    """Settings from texts ``section.key=value`` or, where only one section has the key, ``key=value``.

    Raises:
        SettingError: for an unknown key, with the nearest valid one, or a value that is not YAML.
    """
    if not assignments:
        return {}
    valid = changeable(row.config(profile))
    overrides: dict[str, Any] = {}
    for key, value in map(assignment, assignments):
        matches = [place for full, place in valid.items() if key in (full, place[1])]
        if key == "name" or len(matches) != 1:
            raise SettingError(nearest(key, valid, f"setting of {row.place} called"))
        section, name = matches[0]
        overrides.setdefault(section, {})[name] = value
    return overrides
