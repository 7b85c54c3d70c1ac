"""Schedule builds on nodes: one thread decides what starts next, a pool of threads builds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from textwrap import shorten
from threading import Lock as Mutex
from typing import Any

from dfgen.catalog import packagelock
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Builder, Image
from dfgen.catalog.packagelock import PackageLock
from dfgen.commands.building.parts import Building
from dfgen.commands.building.run import (
    Event,
    Finished,
    NodeLost,
    PackagesMoved,
    Progressed,
    Result,
    Retrying,
    Run,
    Started,
    State,
)
from dfgen.commands.building.twice import build_twice
from dfgen.commands.building.versions import Versions
from dfgen.commands.packages import added_packages, check_packages
from dfgen.commands.plan.inputs import PACKAGES, TESTS, Plan, Step, build_request, digest_of_tests
from dfgen.commands.programs import check_programs
from dfgen.engine.buildx import has_cached_commands
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import CheckError, DfgenError, ExternalError
from dfgen.oci.manifest import INPUTS, Descriptor, Manifest
from dfgen.sbom.model import Sbom, is_sbom

_ATTEMPTS = 3  # of a build that fails with a transient error
_LONGEST = 100  # characters of an instruction in an error
_PAUSE = 2.0  # seconds before the second attempt, doubled before each further one


@dataclass(frozen=True, slots=True)
class _Built:
    image: Descriptor
    attestations: tuple[Descriptor, ...]
    state: State
    packages: PackageLock | None
    sbom: Sbom | None


@dataclass(frozen=True, slots=True)
class _Work:
    """An image that is ready to build; `lost` names the nodes that were lost while building it, and why."""

    step: Step
    request: BuildRequest
    lost: tuple[str, ...] = ()


class Scheduler:
    """Starts builds in one thread; `work` alone runs in the threads of the pool.

    Images move from `todo` to `ready` (parents built), to `running` (on a node), to `results`.
    """

    def __init__(self, plan: Plan, lock: Lock, how: Building) -> None:
        """Start with all images of the plan to do."""
        self.how = how = replace(how, report=_serialized(self.noted, how.report))
        self.planning = how.planning
        self.past = self.planning.records.past_seconds()
        self.order = [step.image.name for step in plan.steps]
        self.todo = {step.image.name: step for step in plan.steps}
        self.ready: list[_Work] = []
        self.running: dict[Future[_Built], _Work] = {}
        self.started: dict[str, float] = {}
        self.doing: dict[str, str] = {}  # the last build step that each image started
        self.nodes: dict[str, str] = {}
        self.results: dict[str, Result] = {}
        self.packages: list[PackagesMoved] = []
        self.versions = Versions(plan, lock, how, self.todo, self.results)

    def run(self) -> Run:
        """Build until nothing is left that can be built."""
        started = time.monotonic()
        pool = ThreadPoolExecutor(self.how.slots.capacity)
        interrupted = False
        try:
            while self.start_all(pool):
                done, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in done:
                    self.finish(self.running.pop(future), future)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            if self.running:
                # The pool's threads wait for child processes: stopping these lets `shutdown` return.
                self.how.engine.stop()
            pool.shutdown(cancel_futures=True)
            run = self.record(replace(self.summary(time.monotonic() - started), interrupted=interrupted))
        return run

    def start_all(self, pool: ThreadPoolExecutor) -> bool:
        """Start everything that can start now. Returns whether anything is running."""
        while self.find_ready() or self.start(pool):
            pass  # an image that is finished without a build can make its children ready
        return bool(self.running)

    def find_ready(self) -> bool:
        """Move images whose parents are built to `ready`. Returns whether any image was finished instead."""
        before = len(self.results)
        for step in list(self.todo.values()):
            failed = self.versions.failed_parent(step.image)
            if failed:
                self.skip(step, failed)
            elif self.versions.is_ready(step.image):
                self.prepare(step)
        # The longest builds first, so that none of them is left running alone at the end.
        self.ready.sort(key=lambda work: -self.past.get(work.step.image.name, 0.0))
        return len(self.results) > before

    def prepare(self, step: Step) -> None:
        """Plan an image again now that its parents are built; make it ready, or finish it."""
        del self.todo[step.image.name]
        try:
            step = self.versions.current(step)
            if step.is_needed:
                log, lock = self.planning.records.log(step.image), self.versions.lock
                request = build_request(step, lock, self.planning.catalog, log, no_cache=self.how.no_cache)
                self.ready.append(_Work(step, request))
            else:
                self.up_to_date(step)
        except DfgenError as error:
            self.fail(step, error)

    def start(self, pool: ThreadPoolExecutor) -> bool:
        """Start builds on free nodes; fail those without any node. Returns whether any failed."""
        waiting, failed = self.ready, False
        self.ready = []
        for work in waiting:
            platform = work.step.image.platform
            node = self.how.slots.acquire(platform)
            if node:
                work = replace(work, request=replace(work.request, node=node))  # noqa: PLW2901
                self.running[pool.submit(self.work, work)] = work
            elif self.how.slots.nodes(platform):
                self.ready.append(work)
            else:
                lost = f"; lost: {', '.join(work.lost)}" if work.lost else ""
                error = ExternalError(f"{work.step.image.name}: no node is left to build {platform}{lost}")
                self.fail(work.step, error)
                failed = True
        return failed

    def work(self, work: _Work) -> _Built:
        """Build and test one image; runs in a thread of the pool."""
        step, image, node = work.step, work.step.image, work.request.node
        self.started[image.name] = time.monotonic()
        self.nodes[image.name] = node.name
        self.how.report(Started(step))
        published = None if self.how.no_cache or self.how.twice else self.how.published
        taken = published.take(step, self.on_step(work)) if published else ()
        entries = taken or self.entries(work)
        packages = self.added_packages(image, entries)
        if packages and self.is_outdated(packages, work, taken=bool(taken)):
            self.how.report(Progressed(image, "rebuild without cache, because packages moved"))
            request = replace(work.request, no_cache=True)
            taken, entries = (), self.entries(replace(work, step=step.again(), request=request))
            packages = self.added_packages(image, entries)
        if packages and self.how.locked:
            check_packages(image, packages, self.planning.catalog.root)
        built = next(entry for entry in entries if not entry.is_attestation)
        check_programs(image, built, self.planning.layout, self.planning.catalog.root)
        if image.tests and not step.reason.is_sbom:
            self.how.report(Progressed(image, "smoke tests"))
            self.how.engine.test(image, built, node)
        attestations = [entry for entry in entries if entry.is_attestation]
        described, sbom = self.with_sbom(image, built, attestations)
        return _Built(built, described, State.TAKEN if taken else State.BUILT, packages, sbom)

    def added_packages(self, image: Image, entries: Sequence[Descriptor]) -> PackageLock | None:
        """Find the packages that the build of an image added; None if its catalog does not lock them."""
        if not image.locks_packages:
            return None
        built = next(entry for entry in entries if not entry.is_attestation)
        return added_packages(image, built, self.planning.layout, self.planning.catalog.root)

    def is_outdated(self, packages: PackageLock, work: _Work, *, taken: bool) -> bool:
        """Whether packages differ from the lock because the image or one of its layers was not built now."""
        image, root = work.step.image, self.planning.catalog.root
        expected = packagelock.read(root, image.package_lock)
        if expected is None or packages == expected or work.request.no_cache:
            return False
        return taken or work.step.is_kept or has_cached_commands(self.planning.records.log(image))

    def with_sbom(
        self, image: Image, built: Descriptor, attestations: Sequence[Descriptor]
    ) -> tuple[tuple[Descriptor, ...], Sbom | None]:
        """Add an image's SBOM to its attestations if the catalog asks for one, or remove it if not."""
        wanted = self.planning.catalog.lists_packages
        if wanted and any(map(is_sbom, attestations)):
            return tuple(attestations), None
        others = tuple(entry for entry in attestations if not is_sbom(entry))
        if not wanted:
            return others, None
        self.how.report(Progressed(image, "SBOM"))
        sbom = self.how.sbom(image, built)
        return (*others, sbom.entry), sbom

    def entries(self, work: _Work) -> tuple[Descriptor, ...]:
        """Build an image, with retries after transient errors; an image that is kept is not built."""
        step, image = work.step, work.step.image
        if step.is_kept and step.built:
            return (step.built, *self.planning.layout.attestations(step.built.digest))
        for attempt in range(1, _ATTEMPTS):
            try:
                return self.build(work.request, self.on_step(work))
            except ExternalError as error:
                if not error.is_transient:
                    raise
                self.how.report(Retrying(image, str(error)))
                self.how.pause(_PAUSE * 2 ** (attempt - 1))
        return self.build(work.request, self.on_step(work))

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        """Build an image, or build it twice and compare."""
        if self.how.twice:
            return build_twice(request, on_step, self.how.engine.build, self.planning.layout)
        return self.how.engine.build(request, on_step)

    def on_step(self, work: _Work) -> OnStep:
        """Report the steps of a build."""
        return lambda doing: self.how.report(Progressed(work.step.image, doing))

    def finish(self, work: _Work, future: Future[_Built]) -> None:
        """Tag an image that was built and tested, record its failure, or move it to another node."""
        node = work.request.node
        self.how.slots.release(node)
        try:
            built = future.result()
            self.lock_packages(work.step.image, built.packages)
            self.tag(work.step, built)
            size = self.size(built.image)
        except DfgenError as error:
            # The error of a lost node says nothing about the image: it gets another node, ahead of others.
            if isinstance(error, ExternalError) and self.is_lost(node):
                self.ready.insert(0, replace(work, lost=(*work.lost, f"{node.name} ({error})")))
            else:
                self.fail(work.step, error)
        else:
            self.versions.images[work.step.image.name] = built.image
            made = {"digest": built.image.digest, "size": size, "sbom": built.sbom}
            self.done(self.result(work.step, built.state, **made))

    def is_lost(self, node: Builder) -> bool:
        """Whether a node no longer responds; removes it then."""
        if self.how.engine.responds(node):
            return False
        if self.how.slots.remove(node):
            self.how.report(NodeLost(node.name))
        return True

    def lock_packages(self, image: Image, packages: PackageLock | None) -> None:
        """Write the package lock of an image if it is missing, or if its packages moved."""
        root, path = self.planning.catalog.root, image.package_lock
        old = packagelock.read(root, path) if packages else None
        if packages and packages != old:
            packagelock.write(root, path, packages)
            moved = PackagesMoved(image, tuple(packages.moves_from(old)) if old else ())
            self.packages.append(moved)
            self.how.report(moved)

    def tag(self, step: Step, built: _Built) -> None:
        """Tag an image in the layout, annotated with its inputs and the smoke tests that it passed."""
        image, inputs = step.image, step.inputs
        annotations = {TESTS: str(digest_of_tests(image))}
        if inputs:
            self.planning.records.keep(inputs)
            self.planning.records.keep_causes(inputs.digest, self.planning.causes(image, self.versions.lock))
            annotations[INPUTS] = str(inputs.digest)
        if built.packages:
            self.planning.records.keep_packages(built.packages)
            annotations[PACKAGES] = str(built.packages.digest)
        entry = replace(built.image, annotations=annotations, platform=image.platform)
        self.planning.layout.tag({image.layout_name: entry}, built.attestations)

    def up_to_date(self, step: Step) -> None:
        """Record that an image needs no build."""
        if step.built is None:  # only an image in the layout can be up to date
            raise AssertionError(step.image.name)
        self.versions.images[step.image.name] = step.built
        size = self.size(step.built)
        self.done(self.result(step, State.UP_TO_DATE, digest=step.built.digest, size=size))

    def fail(self, step: Step, error: DfgenError) -> None:
        """Record that an image failed, and with it its version."""
        self.versions.failed.setdefault(step.image.merged_name, step.image.name)
        self.done(self.result(step, State.FAILED, error=self.at_template(step.image, error)))

    def at_template(self, image: Image, error: DfgenError) -> DfgenError:
        """Move an error in a Dockerfile to the line of the template, which is the file to edit."""
        if type(error) is not CheckError or len(error.problems) != 1:
            return error
        problem = error.problems[0]
        place = problem.place
        if place is None or place.file != image.path:
            return error
        lines = self.how.origins(image, self.versions.lock)
        origin = lines[place.line - 1] if 0 < place.line <= len(lines) else None
        if origin is None:
            return error
        moved = CheckError(replace(problem, place=replace(origin, generated=str(place))))
        moved.excerpt = error.excerpt
        return moved

    def skip(self, step: Step, failed: str) -> None:
        """Record that an image cannot be built because a parent failed."""
        del self.todo[step.image.name]
        self.versions.failed.setdefault(step.image.merged_name, failed)
        error = CheckError(f"{step.image.name}: skipped, because {failed} failed")
        self.done(self.result(step, State.NOT_TRIED, error=error))

    def result(self, step: Step, state: State, **more: Any) -> Result:
        """Create the result of an image, with its log, node and seconds if its build was started."""
        name = step.image.name
        started = self.started.get(name)
        log = str(self.planning.records.log(step.image)) if started else ""
        seconds = time.monotonic() - started if started else 0.0
        node = self.nodes.get(name, "")
        return Result(step=step, state=state, seconds=seconds, log=log, node=node, **more)

    def done(self, result: Result) -> None:
        """Keep and report a result; the last one of a version completes the version."""
        self.results[result.image.name] = result
        self.how.report(Finished(result))
        self.versions.finish(result.image)

    def size(self, image: Descriptor) -> int:
        """The size of an image's compressed blobs, in bytes."""
        manifest = self.planning.layout.manifest(image)
        blobs = manifest.blobs if isinstance(manifest, Manifest) else ()
        return image.size + sum(blob.size for blob in blobs)

    def record(self, run: Run) -> Run:
        """Write the record of a run; a failure, for example a full disk, becomes an error of the run."""
        try:
            self.planning.records.write_run(run.to_json())
        except ExternalError as error:
            return replace(run, errors=(*run.errors, error))
        return run

    def noted(self, event: Event) -> None:
        """Remember what each image is doing, for an interrupt."""
        if isinstance(event, Progressed):
            self.doing[event.image.name] = event.doing

    def summary(self, seconds: float) -> Run:
        """Create the result of the run; images that are not finished were interrupted."""
        for step in [*self.todo.values(), *(work.step for work in self.ready)]:
            error = CheckError(f"{step.image.name}: skipped, because the run was interrupted")
            self.results[step.image.name] = self.result(step, State.NOT_TRIED, error=error)
        for step in [work.step for work in self.running.values()]:
            name = step.image.name
            doing = shorten(self.doing.get(name, ""), _LONGEST, placeholder=" …")
            during = f" during {doing}" if doing else ""
            error = CheckError(f"{name}: interrupted{during}")
            self.results[name] = self.result(step, State.INTERRUPTED, error=error)
        return Run(
            results=tuple(self.results[name] for name in self.order if name in self.results),
            merged=self.versions.merged,
            rendered=tuple(self.versions.rendered),
            packages=tuple(self.packages),
            errors=tuple(self.versions.errors),
            seconds=seconds,
            past=self.past,
        )


def _serialized(*reports: Callable[[Event], None]) -> Callable[[Event], None]:
    """Call all `reports` from one thread at a time: events come from the threads of all builds."""
    mutex = Mutex()

    def locked(event: Event) -> None:
        with mutex:
            for report in reports:
                report(event)

    return locked
