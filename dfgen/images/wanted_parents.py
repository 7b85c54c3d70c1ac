"""The parents that are to be pinned: listed from the catalog, chosen by name, and worked on at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from dfgen.catalog.model import Catalog, Parent
from dfgen.concurrent import attempt
from dfgen.errors import DfgenError, InputError, OutsideError, Problem, listing
from dfgen.model.locking import Want
from dfgen.oci.reference import Reference

Result = TypeVar("Result")

_AT_ONCE = 16  # requests under way; registries answer more slowly than this machine asks


def wanted(catalog: Catalog) -> tuple[Want, ...]:
    """List the upstream parents of a catalog, each once, with all the platforms it is used for."""
    uses: dict[str, list[Parent]] = {}
    for parent in catalog.upstream_parents():
        uses.setdefault(parent.key, []).append(parent)
    return tuple(
        Want(
            key=key,
            reference=catalog.mirrored(parents[0].reference),
            platforms=tuple(sorted({parent.platform for parent in parents})),
            place=parents[0].place,
        )
        for key, parents in sorted(uses.items())
    )


def named(wants: Sequence[Want], names: Sequence[str]) -> list[Want]:
    """Choose parents by name, all without any. Errors: InputError for a name that is none of them."""
    if not names:
        return list(wants)
    chosen = {want.key: want for want in wants}
    found: list[Want] = []
    for name in names:
        asked = Reference.parse(name)
        # Without a tag, a name is that of all the tags in use.
        whole = asked == Reference(asked.repository, "latest") and not name.endswith(":latest")
        matches = [
            want
            for want in wants
            if want.key == str(asked) or (whole and Reference.parse(want.key).repository == asked.repository)
        ]
        if not matches:
            raise InputError(f"no image is built on {name!r}; the parents are {listing(chosen)}")
        found.extend(matches)
    return list(dict.fromkeys(found))


def each(
    wants: Sequence[Want], work: Callable[[Want], Result], done: Callable[[str], None]
) -> tuple[list[tuple[Want, Result]], DfgenError | None]:
    """Work on all parents at once; one failure does not stop the others, and all are told together."""

    def one(want: Want) -> Result:
        """A parent counts as done when it failed, too."""
        try:
            return work(want)
        finally:
            done(want.key)

    results: list[tuple[Want, Result]] = []
    failures: list[tuple[Want, DfgenError]] = []
    for want, result in zip(wants, attempt(one, wants, _AT_ONCE), strict=True):
        if isinstance(result, DfgenError):
            failures.append((want, result))
        else:
            results.append((want, result))
    return results, _together(failures) if failures else None


def _together(failures: Sequence[tuple[Want, DfgenError]]) -> DfgenError:
    """Join errors into one of the worst kind; a failure that many parents share is told once."""
    worst = max((error for _, error in failures), key=lambda error: error.exit_code)
    same: dict[object, tuple[Problem, list[Want]]] = {}
    for want, error in failures:
        # A host that does not answer fails every parent in its own words (tries, seconds): tell it once.
        host = error.unreachable if isinstance(error, OutsideError) else ""
        for problem in error.problems:
            told = (
                Problem(problem.place, f"{problem.message}; `make demo` needs no registry")
                if host
                else problem
            )
            same.setdefault(host or problem, (told, []))[1].append(want)
    problems = [_concerning(problem, wants) for problem, wants in same.values()]
    kind = OutsideError if isinstance(worst, OutsideError) else type(worst)
    return kind(sorted(problems, key=str))


def _concerning(problem: Problem, wants: Sequence[Want]) -> Problem:
    """Say which parents a failure concerns: one by its place, several by their names."""
    if len(wants) == 1:
        return Problem(problem.place or wants[0].place, problem.message)
    names = ", ".join(sorted(want.key for want in wants))
    return Problem(problem.place, f"{problem.message} (parents concerned: {names})")
