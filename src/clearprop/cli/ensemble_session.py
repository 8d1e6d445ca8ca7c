"""What `clearprop train --members N` and `--time 60s` do: members trained one after another, and told as one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clearprop.cli.console import divergence, messages, output, print_json, say, tell_data, tell_results
from clearprop.cli.exit_codes import DONE, INTERRUPTED
from clearprop.cli.folds_session import require_table
from clearprop.data.readers.reading import Reading
from clearprop.data.readers.sources import default_memory, needs_streaming
from clearprop.errors import ArgumentError
from clearprop.files.presence import free_folder, require_free
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.events import measure_text, overall
from clearprop.runs.settings import option_of
from clearprop.search.members import EnsemblePlan, Extent, conduct_ensemble, plan_again, plan_ensemble
from clearprop.search.rooms import Workplace
from clearprop.train import Run, TrainingInterrupted, with_defaults


def asked_extent(members: int | None, time: str | None) -> Extent:
    """How many members `--members` and `--time` ask for.  Raises ArgumentError for what is no number or no time."""
    return Extent.asked(members, time)


def start(
    given: Mapping[str, Any],
    extent: Extent,
    others: Mapping[str, Any],
    *,
    out: Path | None,
    config: Path | None,
    json: bool,
    on: str | None,
) -> int:
    """Train the members that were asked for; `others` are options that do not go together with them."""
    asked = settings_from(given, config)
    _require_alone({**others, "--member": asked.get("member")})
    require_table(asked.get("data"), "members")
    _require_memory(asked)
    place = free_folder(f"{Path(asked['data']).stem or 'run'}-ensemble") if out is None else out
    require_free(place)
    plan = plan_ensemble(None, asked, extent)
    if not json:
        data = plan.first_prepared()
        tell_data(data)
        full = with_defaults(plan.asked, data)
        say(
            output(),
            f"members   {_extent_text(plan.extent)}; each has other rows to validate, all have the same to test",
        )
        say(output(), f"each      layers of {', '.join(map(str, full.hidden))}, up to {full.epochs} epochs\n")
    return _conduct(plan, place, json, None, on)


def resume(
    folder: Path, given: Mapping[str, Any], extent: Extent, others: Mapping[str, Any], *, json: bool, on: str | None
) -> int:
    """Go on with the members of a folder; more of them, or more time, may be asked for."""
    _require_alone({**others, **{option_of(name): name for name in given}})
    plan, ended = plan_again(folder, extent)
    if not json:
        say(output(), f"members   {_extent_text(plan.extent)}; {len(ended)} have ended already\n")
    return _conduct(plan, folder, json, ended, on)


def _conduct(plan: EnsemblePlan, place: Path, json: bool, before: Sequence[Run] | None, on: str | None) -> int:
    code, watch = DONE, _watch_none if json else _tell_member
    try:
        run = conduct_ensemble(plan, place, [print_json] if json else [], watch, before, Workplace(on))
    except TrainingInterrupted as stop:
        run, code = stop.run, INTERRUPTED
    except KeyboardInterrupt:
        say(messages(), f"interrupted; clearprop train --resume {place} goes on with what was saved")
        return INTERRUPTED
    if run.status == "diverged":
        raise divergence(run, with_defaults(plan.asked, plan.prepared(1)))
    if not json:
        _tell_end(run, place, code)
    return code


def _extent_text(extent: Extent) -> str:
    number = "as many as end" if extent.members is None else f"{extent.members}"
    return number if extent.time is None else f"{number} within {extent.time:g} s, at least one"


def _require_alone(others: Mapping[str, Any]) -> None:
    """Raise ArgumentError for an option that does not go together with members."""
    strange = next((name for name, value in others.items() if value is not None), None)
    if strange is not None:
        raise ArgumentError(
            "the members of an ensemble are new trainings on one process, alike but for what is drawn",
            expected="--members or --time without it; with --resume nothing else",
            got=strange,
            where=strange if strange.startswith("-") else "--members",
            try_="clearprop train DATA --members 5",
        )


def _require_memory(asked: Mapping[str, Any]) -> None:
    """Raise ArgumentError for a file that would be streamed."""
    memory = asked.get("memory")
    form = Reading(encoding=asked.get("encoding"), size=asked.get("size"))
    if needs_streaming(asked["data"], default_memory() if memory is None else memory, form):
        raise ArgumentError(
            "an ensemble needs a table that fits into memory",
            expected="a table that can be read at once",
            got=f"{asked['data']}, which would be streamed",
            where="--members" if memory is None else "--memory",
            try_="one network, without --members and --time",
        )


def _tell_member(number: int, run: Run) -> None:
    results = overall(run.summary.validation or {})
    told = "  ".join(f"{name} {measure_text(name, value)}" for name, value in results.items())
    left_out = ", left out" if run.status == "diverged" else ""
    say(messages(), f"member {number}  {run.status}{left_out}  validation {told}  {run.summary.seconds:.1f} s")


def _watch_none(*_: object) -> None:
    pass


def _tell_end(run: Run, place: Path, code: int) -> None:
    console = output()
    if run.summary.members is None:
        say(console, f"interrupted in the first member; clearprop train --resume {place} goes on from there")
        return
    console.print()
    say(console, f"the mean of {run.summary.members} members, {run.summary.seconds:.1f} s")
    tell_results(run)
    if code == INTERRUPTED:
        say(console, f"interrupted; clearprop train --resume {place} goes on with the next member")
    else:
        say(console, f"saved in {place}, its members in {place}/1 and on; next: clearprop predict {place} DATA")
