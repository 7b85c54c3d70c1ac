"""What begins when, and where: one thread decides, others do the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Lock as Guard
from typing import Any

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Builder, Image
from dfgen.commands.building.ports import Building
from dfgen.commands.building.run import Again, Event, Finished, Lost, Progressed, Result, Run, Started, State
from dfgen.commands.building.twice import NotTheSameError, build_twice
from dfgen.commands.building.versions import Versions
from dfgen.commands.plan.inputs import TESTS, Plan, Reason, Step, build_request, digest_of_tests
from dfgen.commands.programs import check_programs
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import CheckError, DfgenError, ExternalError
from dfgen.oci.manifest import INPUTS, Descriptor, Manifest
from dfgen.sbom.model import Sbom, is_sbom

_TRIES = 3  # of a build that the network failed
_PAUSE = 2.0  # seconds before the second try; each further pause is twice as long


@dataclass(frozen=True, slots=True)
class _Built:
    image: Descriptor
    attestations: tuple[Descriptor, ...]
    state: State
    sbom: Sbom | None


@dataclass(frozen=True, slots=True)
class _Work:
    """An image whose parents are done: what is to be built, where once a node has it, and who died of it."""

    step: Step
    request: BuildRequest
    lost: tuple[str, ...] = ()


class Scheduler:
    """Decides, in one thread, what begins when; the work itself is done in others."""

    def __init__(self, plan: Plan, lock: Lock, how: Building) -> None:
        """Begin with nothing done."""
        self.how = how = replace(how, report=_one_by_one(how.report))
        self.planning = how.planning
        self.past = self.planning.records.past_seconds()
        self.order = [step.image.name for step in plan.steps]
        self.todo = {step.image.name: step for step in plan.steps}
        self.ready: list[_Work] = []
        self.running: dict[Future[_Built], _Work] = {}
        self.begun: dict[str, float] = {}
        self.nodes: dict[str, str] = {}
        self.results: dict[str, Result] = {}
        self.versions = Versions(plan, lock, how, self.todo, self.results)

    def run(self) -> Run:
        """Build until nothing is left that can be."""
        begun = time.monotonic()
        pool = ThreadPoolExecutor(self.how.slots.capacity)
        broken = False
        try:
            while self.begin_all(pool):
                done, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in done:
                    self.finish(self.running.pop(future), future)
        except KeyboardInterrupt:
            broken = True
        finally:
            if self.running:  # broken off: whoever waits for a child process goes on when that is ended
                self.how.engine.stop()
            pool.shutdown(cancel_futures=True)
            run = self.record(replace(self.summary(time.monotonic() - begun), broken=broken))
        return run

    def begin_all(self, pool: ThreadPoolExecutor) -> bool:
        """Settle and begin all that can be now; says whether anything runs."""
        while self.find_ready() or self.begin(pool):
            pass  # what was settled may let others begin
        return bool(self.running)

    def find_ready(self) -> bool:
        """Find the images whose parents are done; says whether any was settled on the way."""
        before = len(self.results)
        for step in list(self.todo.values()):
            blamed = self.versions.blamed(step.image)
            if blamed:
                self.not_tried(step, blamed)
            elif self.versions.is_ready(step.image):
                self.prepare(step)
        self.ready.sort(key=lambda work: -self.past.get(work.step.image.name, 0.0))
        return len(self.results) > before

    def prepare(self, step: Step) -> None:
        """See what is to be done for an image now that its parents are known."""
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

    def begin(self, pool: ThreadPoolExecutor) -> bool:
        """Begin what a node is free for, and fail what no node is left for; says whether any was settled."""
        waiting, settled = self.ready, False
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
                lost = f"; lost on the way: {', '.join(work.lost)}" if work.lost else ""
                error = ExternalError(f"{work.step.image.name}: no node is left that builds {platform}{lost}")
                self.fail(work.step, error)
                settled = True
        return settled

    def work(self, work: _Work) -> _Built:
        """Build and test one image; in a thread of its own."""
        step, image, node = work.step, work.step.image, work.request.node
        self.begun[image.name] = time.monotonic()
        self.nodes[image.name] = node.name
        self.how.report(Started(step))
        published = None if self.how.no_cache or self.how.twice else self.how.published
        taken = published.take(step, self.on_step(work)) if published else ()
        entries = taken or self.entries(work)
        built = next(entry for entry in entries if not entry.is_attestation)
        check_programs(image, built, self.planning.layout, self.planning.catalog.root)
        if image.tests and step.reason is not Reason.SBOM:
            self.how.report(Progressed(image, "smoke tests"))
            self.how.engine.test(image, built, node)
        attestations, sbom = self.beside(image, built, [entry for entry in entries if entry.is_attestation])
        return _Built(built, attestations, State.TAKEN if taken else State.BUILT, sbom)

    def beside(
        self, image: Image, built: Descriptor, attestations: Sequence[Descriptor]
    ) -> tuple[tuple[Descriptor, ...], Sbom | None]:
        """Make the SBOM of an image's packages where it is asked for and lacking; else leave it out."""
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
        """Build an image, or take what is only looked at again; what the network failed is tried again."""
        step, image = work.step, work.step.image
        if step.is_kept and step.built:
            return (step.built, *self.planning.layout.attestations(step.built.digest))
        for attempt in range(1, _TRIES):
            try:
                return self.build(work.request, self.on_step(work))
            except ExternalError as error:
                if not error.is_transient:
                    raise
                self.how.report(Again(image, str(error)))
                self.how.pause(_PAUSE * 2 ** (attempt - 1))
        return self.build(work.request, self.on_step(work))

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        """Build an image, two times if the run compares."""
        if self.how.twice:
            return build_twice(request, on_step, self.how.engine.build, self.planning.layout)
        return self.how.engine.build(request, on_step)

    def on_step(self, work: _Work) -> Callable[[str], None]:
        """Tell what a build is at."""
        return lambda doing: self.how.report(Progressed(work.step.image, doing))

    def finish(self, work: _Work, future: Future[_Built]) -> None:
        """Name what was built and tested, note that it failed, or give it to another node."""
        node = work.request.node
        self.how.slots.release(node)
        try:
            built = future.result()
            self.name(work.step, built)
            size = self.size(built.image)
        except DfgenError as error:
            if isinstance(error, ExternalError) and self.is_lost(node):
                self.ready.insert(0, replace(work, lost=(*work.lost, f"{node.name} ({error})")))
            else:
                self.fail(work.step, error)
        else:
            self.versions.images[work.step.image.name] = built.image
            made = {"digest": built.image.digest, "size": size, "sbom": built.sbom}
            self.done(self.result(work.step, built.state, **made))

    def is_lost(self, node: Builder) -> bool:
        """Whether a node does not answer any more; it is taken out then."""
        if self.how.engine.responds(node):
            return False
        if self.how.slots.remove(node):
            self.how.report(Lost(node.name))
        return True

    def name(self, step: Step, built: _Built) -> None:
        """Give an image its name in the layout, with what it was built from."""
        image, inputs = step.image, step.inputs
        marks = {TESTS: str(digest_of_tests(image))}
        if inputs:
            self.planning.records.keep(inputs)
            self.planning.records.keep_causes(inputs.digest, self.planning.causes(image, self.versions.lock))
            marks[INPUTS] = str(inputs.digest)
        entry = replace(built.image, annotations=marks, platform=image.platform)
        self.planning.layout.tag({f"{image.family.name}:{image.tag}": entry}, built.attestations)

    def up_to_date(self, step: Step) -> None:
        """Note that nothing is to be done for an image."""
        if step.built is None:  # what is not there is never up to date
            raise AssertionError(step.image.name)
        self.versions.images[step.image.name] = step.built
        size = self.size(step.built)
        self.done(self.result(step, State.UP_TO_DATE, digest=step.built.digest, size=size))

    def fail(self, step: Step, error: DfgenError) -> None:
        """Note that an image failed, and with it its version."""
        told = step.image.name in self.begun and not isinstance(error, NotTheSameError)
        tail = self.planning.records.tail(step.image) if told else ()
        self.versions.broken.setdefault(step.image.merged_name, step.image.name)
        self.done(self.result(step, State.FAILED, error=error, tail=tail))

    def not_tried(self, step: Step, blamed: str) -> None:
        """Note that an image cannot be built, since what it is built on failed."""
        del self.todo[step.image.name]
        self.versions.broken.setdefault(step.image.merged_name, blamed)
        error = CheckError(f"{step.image.name}: not tried, since {blamed} failed")
        self.done(self.result(step, State.NOT_TRIED, error=error))

    def result(self, step: Step, state: State, **more: Any) -> Result:
        """Write down what became of an image."""
        name = step.image.name
        begun = self.begun.get(name)
        log = str(self.planning.records.log(step.image)) if begun else ""
        seconds = time.monotonic() - begun if begun else 0.0
        node = self.nodes.get(name, "")
        return Result(step=step, state=state, seconds=seconds, log=log, node=node, **more)

    def done(self, result: Result) -> None:
        """Note a result; the last one of a version settles it."""
        self.results[result.image.name] = result
        self.how.report(Finished(result))
        self.versions.done(result.image)

    def size(self, image: Descriptor) -> int:
        """The bytes of an image's blobs, compressed as they are."""
        manifest = self.planning.layout.manifest(image)
        blobs = manifest.blobs if isinstance(manifest, Manifest) else ()
        return image.size + sum(blob.size for blob in blobs)

    def record(self, run: Run) -> Run:
        """Keep the record of a run; what a full disk refuses costs the record, and not the summary."""
        try:
            self.planning.records.write_run(run.to_json())
        except ExternalError as error:
            return replace(run, errors=(*run.errors, error))
        return run

    def summary(self, seconds: float) -> Run:
        """Write down the whole run."""
        begun = [work.step for work in (*self.ready, *self.running.values())]
        for step in [*self.todo.values(), *begun]:
            error = CheckError(f"{step.image.name}: not tried, since the run was broken off")
            self.results[step.image.name] = self.result(step, State.NOT_TRIED, error=error)
        return Run(
            results=tuple(self.results[name] for name in self.order if name in self.results),
            merged=self.versions.merged,
            rendered=tuple(self.versions.rendered),
            errors=tuple(self.versions.errors),
            seconds=seconds,
            past=self.past,
        )


def _one_by_one(report: Callable[[Event], None]) -> Callable[[Event], None]:
    """Let one event through at a time, from whichever thread."""
    guard = Guard()

    def guarded(event: Event) -> None:
        """Events come from the threads of all builds."""
        with guard:
            report(event)

    return guarded
