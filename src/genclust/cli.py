"""The command line: ``genclust run``, ``list``, ``show``, ``verdicts``, ``claims``, ``plan``, ``status``, ``publish``,
``keep``, ``audit``, ``compare``, ``schema``, ``data``, ``fit``, ``assign``, ``sample``, ``card``, ``notebook`` and
``book``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, get_args

import typer
import yaml
from rich.markup import escape

from genclust import __version__, cli_book, cli_data, cli_own
from genclust.cli_errors import one_sentence
from genclust.cli_report import console, plain_table, print_records, published
from genclust.experiments import audit as auditing
from genclust.experiments import declaration, execution, papers, planning, published_models, publishing, store
from genclust.experiments import moves as moving
from genclust.experiments import schema as declaration_schema
from genclust.experiments import status as running
from genclust.experiments.claims import in_words, judged_claims
from genclust.experiments.declaration import Experiment, Profile, Row
from genclust.experiments.verdicts import verdicts as all_verdicts
from genclust.paths import expanded, root
from genclust.settings import SettingError
from genclust.training.device import checked_device
from genclust.wording import asked_for, threshold, with_sd

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run what the papers ran and compare it with what they report; and cluster data of your own: fit, assign, "
    "sample and card.",
)
app.add_typer(cli_data.app, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"genclust {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    experiment: Annotated[str, typer.Argument(help="An experiment; genclust list names them.")],
    row: Annotated[list[str] | None, typer.Option(help="Only this row; may be repeated.")] = None,
    profile: Annotated[str, typer.Option(help="demo, quick, long or paper.")] = "demo",
    seeds: Annotated[str | None, typer.Option(help="Such as 0-9 or 0,3; by default those of the profile.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting as key=value; may be repeated.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop with a checkpoint, and exit status 3, after this many minutes.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    into: Annotated[
        Path | None,
        typer.Option("--store", callback=expanded, help="Write records to this store instead of your own."),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Run also what is published, or was recorded by other code or libraries.")
    ] = False,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Save each trained model beside its record, for genclust.load.")
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Run the rows of an experiment; seeds that a store has are not run again."""
    with one_sentence():
        declared = declaration.load(experiment)
        known = declaration.parse_profile(profile)
        rows = _rows(declared, row or (), known)
        if minutes is not None and not minutes > 0:
            raise SettingError(f"--minutes must be positive, not {minutes:g}.")
        checked_device(device)
        wanted = None if seeds is None else declaration.parse_seeds(seeds)
        tasks = [execution.task_for(r, known, wanted, declaration.parse_overrides(set_ or [], r, known)) for r in rows]
        tasks = [replace(task, keep_weights=keep_weights) for task in tasks]
        target = store.to_write(into if into else store.own().folder)
        elsewhere = [] if anew or keep_weights else store.in_repository()
        began = time.monotonic()
        for one, task in zip(rows, tasks, strict=True):
            left = None if minutes is None else max(0.0, minutes - (time.monotonic() - began) / 60)
            records = execution.run(
                task, target, device=device, minutes=left, progress=not quiet, also_look_in=elsewhere, anew=anew
            )
            changed = f", {', '.join(set_)}" if set_ else ""
            print_records(f"{experiment}/{one.name}, {profile}{changed}", one, records)


def _rows(declared: Experiment, names: Sequence[str], profile: Profile) -> list[Row]:
    """The named rows; without names those that can be run and have the profile, or all if none has it."""
    if names:
        return [declared.row(name) for name in names]
    return [row for row in declared.runnable if profile in row.profiles] or declared.runnable


#: Number of rows beyond which an experiment is listed in one line, unless it is named.
LISTED_ROWS = 20


@app.command("list")
def list_(
    experiment: Annotated[str | None, typer.Argument(help="Only this experiment, with all its rows.")] = None,
) -> None:
    """List the declared experiments, their rows, and which records of each are published."""
    with one_sentence():
        table = plain_table("experiment", "row", "data set", "published")
        for name in declaration.names() if experiment is None else [experiment]:
            rows = [row for row in declaration.load(name).rows.values() if not row.quoted]
            lines = [(row.name, row.dataset, published(row)) for row in rows]
            if len(lines) > LISTED_ROWS and not experiment:
                datasets = ", ".join(dict.fromkeys(dataset for _, dataset, _ in lines))
                done = sum(status[0].isalpha() for _, _, status in lines)
                lines = [(f"{len(lines)} rows", datasets, f"{done} rows; see genclust list {name}")]
            for line in lines:
                table.add_row(name, *line)
        console.print(table)


@app.command()
def show(
    experiment: Annotated[str, typer.Argument(help="An experiment; genclust list names them.")],
    row: Annotated[str | None, typer.Option(help="Only this row.")] = None,
    profile: Annotated[str, typer.Option(help="demo, quick, long or paper.")] = "paper",
) -> None:
    """Show the resolved settings of an experiment's rows, and their records."""
    with one_sentence():
        declared, known = declaration.load(experiment), declaration.parse_profile(profile)
        resolved = [(one, one.config(known)) for one in _rows(declared, [row] if row else (), known)]
        console.print(f"[bold]{declared.name}[/]: {declared.title} ({declared.paper}, {declared.table})")
        for one, config in resolved:
            console.print(f"\n[bold]{one.name}[/]  {one.label} on {config.data['name']}, results/{config.address}")
            plain = {"data": config.data, "model": config.model, "training": config.training}
            console.print(yaml.safe_dump(plain, sort_keys=False).rstrip(), highlight=False)
            records = store.find(config, one.seeds(known), [*store.in_repository(), store.own()])
            if records:
                print_records(profile, one, [records[seed] for seed in sorted(records)])
            else:
                console.print(f"Not run yet: genclust run {experiment} --row {one.name} --profile {profile}")


@app.command()
def plan(
    experiments: Annotated[
        list[str] | None, typer.Argument(help="Only the runs of these experiments; all by default.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Only this profile: demo, quick, long or paper.")] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time a few steps of networks without records, a minute each at most.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the seeds that declared rows lack in the stores, and what training them will take."""
    with one_sentence():
        scope = experiments or [], None if profile is None else declaration.parse_profile(profile)
        units = planning.plan(*scope)
        if measure:
            planning.measure(units)
            units = planning.plan(*scope)
        if as_json:
            print(json.dumps(planning.as_plain(units)))
            return
        table = plain_table("configuration/seeds", "core-hours", "told by", "MB", "data", "asked for by")
        for same in planning.by_configuration(units):
            first, hours = same[0], _core_hours(same)
            table.add_row(
                f"{first.config.address}/{','.join(str(unit.seed) for unit in same)}",
                *(f"{hours:.2f}" if first.basis else "?", first.basis or "nothing", str(first.memory_mb or "?")),
                *("there" if first.has_data else "missing", asked_for(first.rows)),
            )
        console.print(table)
        told, untold = [u for u in units if u.basis], [u for u in units if not u.basis]
        print(
            f"{len(units)} seeds of {len({u.config.address for u in units})} configurations are lacking. "
            f"Training {len(told)} of them will take about {_core_hours(told):.1f} core-hours; of {len(untold)} no "
            f"record tells. {sum(not u.has_data for u in units)} lack their data."
        )
        if not measure and any(unit.has_data and unit.config.training for unit in untold):
            print("With --measure, some steps of each network without records are timed: up to a minute for each.")


def _core_hours(units: list[planning.Unit]) -> float:
    return sum(unit.core_minutes or 0.0 for unit in units) / 60


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show which runs are in progress, how far they are, and when their training will be done."""
    with one_sentence():
        runs = running.status()
        if as_json:
            print(json.dumps([asdict(one) for one in runs]))
            return
        form = "{:<44} {:<8} {:>9} {:>9} {:>8} {:>15}  {:<20}  {}"
        print(form.format("configuration/seed", "state", "step", "of", "s/step", "done", "process", "asked for by"))
        for one in runs:
            print(
                form.format(
                    *(one.unit, one.state, one.step, one.steps or "?", f"{one.seconds:.3g}" if one.seconds else "?"),
                    _progress_of(one),
                    f"{one.holder.process} on {one.holder.host}" if one.holder else "",
                    asked_for(one.rows),
                )
            )


def _progress_of(one: running.Running) -> str:
    """When its training will be done; or, after it, how far its likelihood is."""
    if one.likelihood is not None:
        return f"likelihood {one.likelihood:.0f} %"
    return time.strftime("%d %b %H:%M", time.localtime(one.done)) if one.done else "?"


@app.command()
def publish(
    experiment: Annotated[str, typer.Argument(help="An experiment; genclust list names them.")],
    row: Annotated[list[str] | None, typer.Option(help="Only this row; may be repeated.")] = None,
    profile: Annotated[str, typer.Option(help="demo, quick, long or paper.")] = "paper",
    from_: Annotated[
        Path | None,
        typer.Option("--store", callback=expanded, help="Take records from this store instead of your own."),
    ] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Publish the trained model of the median seed in models/ instead.")
    ] = False,
) -> None:
    """Copy complete rows of committed code into the published store results/, from your own store and waiting/.

    All rows are checked before the first is copied.  Without --row, those that are not complete are skipped.
    """
    with one_sentence():
        declared = declaration.load(experiment)
        rows = [declared.row(name) for name in row] if row else declared.runnable
        known = declaration.parse_profile(profile)
        own = store.existing(from_) if from_ else store.own()
        if weights:
            for one in rows:
                where = published_models.publish_weights(one, known, own).relative_to(root())
                console.print(f"{experiment}/{one.name}, {profile}: its median seed to {where}")
            return
        sources, target = [own, store.waiting()], store.published()
        complete = []
        for one in rows:
            try:
                publishing.copies(one, known, sources, target)
                complete.append(one)
            except publishing.NotWhole as lacking:
                if row:
                    raise
                console.print(f"Skipped {experiment}/{one.name}: {lacking}", soft_wrap=True, highlight=False)
        for one in complete:
            records = publishing.publish(one, known, sources, target)
            where = Path("results") / one.config(known).address
            console.print(f"{experiment}/{one.name}, {profile}: copied {len(records)} seeds to {where}")
        publishing.release(store.waiting(), store.published())


@app.command()
def keep(
    from_: Annotated[
        Path | None,
        typer.Option("--store", callback=expanded, help="Take records from this store instead of your own."),
    ] = None,
) -> None:
    """Copy finished seeds, of committed code only, into waiting/, until the rest of their row is finished."""
    with one_sentence():
        source = store.existing(from_) if from_ else store.own()
        for record in publishing.keep(source, store.published(), store.waiting()):
            console.print(f"waiting/{record.run_config.address}/seed-{record.seed:04d}")


@app.command()
def audit(
    folder: Annotated[
        Path | None,
        typer.Option("--store", callback=expanded, help="Audit this store instead of the published one."),
    ] = None,
) -> None:
    """Recompute the scores of every record from its arrays by independent code."""
    with one_sentence():
        audited = list(auditing.audit((store.existing(folder) if folder else store.published()).every()))
        table = plain_table("data set", "model", "records", *get_args(auditing.State))
        kinds: dict[tuple[str, str], list[auditing.Audit]] = {}
        for one in audited:
            kinds.setdefault((one.record.data["name"], one.record.config["model"]["name"]), []).append(one)
        for kind, audits in [*sorted(kinds.items()), (("all", ""), audited)]:
            states = [sum(one.state == state for one in audits) for state in get_args(auditing.State)]
            table.add_row(*kind, str(len(audits)), *(str(n) if n else "–" for n in states))
        console.print(table)
        faults = [one for one in audited if one.state == "wrong"]
        for one in faults:
            scores = (f"{name} is {old:.6g}, but should be {new:.6g}" for name, (old, new) in one.wrong.items())
            print(f"genclust: {one.record.path}: {'; '.join([one.fault] if one.fault else scores)}.", file=sys.stderr)
        absent = sorted({one.fault for one in audited if one.fault and one.state != "wrong"})
        for fault in absent:
            print(f"genclust: Not audited: {fault}", file=sys.stderr)
        if faults:
            raise typer.Exit(1)


@app.command()
def verdicts(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Compare every number that the papers report with the measured one."""
    with one_sentence():
        found = all_verdicts()
        if as_json:
            print(json.dumps([asdict(one) for one in found], indent=1))
            return
        table = plain_table("row", "number", "reported", "measured", "seeds", "verdict")
        shown = ""
        for one in found:
            if one.quoted:
                continue
            experiment, row = one.row.split("/")
            if experiment != shown:
                table.add_row(f"[bold]{experiment}[/]")
                shown = experiment
            of_ours = threshold(one.below, one.above)
            reported = f"{of_ours} (ours)" if of_ours else with_sd(one.reported_mean, one.reported_sd)
            measured = one.lost or with_sd(one.measured_mean, one.measured_sd)
            seeds = f"{one.n_seeds}, {one.profile}" if one.n_seeds else "–"
            verdict = f"{one.verdict} ({one.remark})" if one.remark else one.verdict
            table.add_row(f"  {row}", one.name, reported, measured, seeds, verdict)
        console.print(table)


@app.command()
def claims(
    paper: Annotated[str | None, typer.Argument(help="Only this paper's claims, each with its conditions.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge what the papers claim in words by the published records."""
    with one_sentence():
        if paper:
            papers.paper(paper)  # or a sentence that names the nearest
        judged = judged_claims(paper)
        if as_json:
            print(json.dumps([one.as_plain() for one in judged], indent=1))
            return
        table = plain_table("paper", "claim", "runs", "verdict")
        for one in judged:
            runs = dict.fromkeys(part.profile for part in one.evidence if part.profile)
            table.add_row(one.paper, one.claim.text, ", ".join(runs) or "–", one.verdict)
            for part in one.evidence if paper else ():
                what, value, rule, on = in_words(part)
                table.add_row("", f"  {escape(what)} [bold]{escape(value)}[/]; {rule}", on or "–", part.verdict)
        console.print(table)


@app.command()
def compare(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="{store}", callback=expanded, help="A store of own records: the folder that --store named in a run."
        ),
    ],
    experiments: Annotated[list[str] | None, typer.Argument(help="Only these experiments; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Set the numbers of a store against the published ones; the exit status is 1 if one moved, 2 after an error."""
    with one_sentence(status=2):
        moves = moving.compare(store.existing(folder), experiments or ())
        if as_json:
            lines = [asdict(move) | {"difference": move.difference, "moved": move.moved} for move in moves]
            print(json.dumps(lines, indent=1))
        else:
            shown = moving.table(moves)
            printed = plain_table(*shown.columns)
            for line in shown.itertuples(index=False):
                printed.add_row(*line)
            console.print(printed)
            count = sum(move.moved for move in moves)
            console.print(
                f"{count} of {len(moves)} numbers moved: they differ by more than seeds alone would make them differ, "
                f"with a false alarm in {moving.FALSE_ALARM:.0%} of all comparisons."
            )
            if little := sum(move.says_little for move in moves):
                console.print(
                    f"{little} of {len(moves)} say little: their tolerance is not known or above {moving.WIDE:g} "
                    "points or nats, since their seeds are few or far apart. More seeds make it narrower."
                )
    if any(move.moved for move in moves):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of declarations, with which editors complete and check them."""
    with one_sentence():
        papers.register_models()
        print(declaration_schema.text(), end="")


for command in (cli_own.fit, cli_own.assign, cli_own.sample, cli_own.card):
    app.command(cls=cli_own.Command)(command)
app.command(cls=cli_book.RepeatedPairs)(cli_book.notebook)
app.command()(cli_book.book)
