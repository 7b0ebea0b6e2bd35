"""`statewise verify`: the paper's theorems in numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from statewise.cli import arguments
from statewise.cli.status import FAULT, OK, Stopped


def verify(argv: list[str]) -> int:
    """Check every claim, say what came out, and end with FAULT where one did not hold."""
    args = arguments.parse(arguments.Verify, argv, "verify")
    if args.problems < 1:
        raise ValueError(f"problems: {args.problems} is not allowed; it must be at least 1")
    if args.output is not None:
        _make_folder(args.output)
    from statewise.theory.verify import units
    from statewise.theory.verify import verify as check

    with _progress(args.quiet, units(args.problems)) as advance:
        verification = check(args.problems, advance=advance)
    for claim in verification.claims:
        print(f"{'held' if claim.holds else 'NOT HELD':<8}  {claim.name}\n{'':8}  {claim.outcome}")
    if args.output is not None:
        from statewise.report.theory_pictures import theory_pictures
        from statewise.theory.tables import write_tables

        for path in (*theory_pictures(verification, args.output), *write_tables(verification, args.output)):
            print(path)
    failed = [claim.name for claim in verification.claims if not claim.holds]
    if failed:
        raise Stopped(FAULT, f"{len(failed)} of {len(verification.claims)} claims did not hold: {'; '.join(failed)}")
    return OK


@contextmanager
def _progress(quiet: bool, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` pieces of work are done; gives what to tell it by."""
    if quiet:
        yield lambda done: None
        return
    from statewise.report.progress import progress_for

    progress = progress_for(sys.stderr.isatty())
    progress.start(0, total)
    try:
        yield progress.advance
    finally:
        progress.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"output: {str(folder)!r} can't be a folder ({error.strerror})") from error
