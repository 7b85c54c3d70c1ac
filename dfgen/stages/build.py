"""Build: what the plan says, as parallel as it may be; a child begins when its own parents are done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from threading import Lock as Guard
from typing import Any

from dfgen.images.annotations import INPUTS
from dfgen.images.building import TESTS, BuildRequest, build_request, digest_of_tests
from dfgen.images.plan import Plan, Reason, Step
from dfgen.images.ports import Builder, Records, Sources, Store
from dfgen.images.relock import Relock, relock
from dfgen.images.run import Event, Finished, Merged, Progressed, Rendered, Result, Run, Started, State
from dfgen.model.catalog import Catalog, Image
from dfgen.model.lock import Lock
from dfgen.values.digest import Digest
from dfgen.values.errors import CheckError, DfgenError, InputError, listing
from dfgen.values.manifest import BASE_DIGEST, Descriptor, Index, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """What a run builds with, and how.

    `smoke` runs an image's tests and raises CheckError; `judge` says whether an image is to be built under
    a lock; `merge` binds the images of a version; `stop` ends what runs when the run is broken off. `today`
    is a date, YYYY-MM-DD. `past` are the seconds that images took before: the longest begin first.
    """

    catalog: Catalog
    store: Store
    builder: Builder
    smoke: Callable[[Image, Descriptor], None]
    judge: Callable[[Image, Lock], Step]
    merge: Callable[[Sequence[Image], Lock], Descriptor]
    sources: Sources
    records: Records
    report: Callable[[Event], None]
    stop: Callable[[], None]
    today: str
    jobs: int
    locked: bool = False
    no_cache: bool = False
    past: Mapping[str, float] = field(default_factory=dict)


def build(plan: Plan, lock: Lock, how: Building) -> Run:
    """Build, test, name and merge what the plan says; a second run goes on where this one ended.

    One failure does not stop what does not depend on it: it is in the results, and not raised. A parent of
    the catalog whose digest moves is locked anew and its children are rendered again, before they are built.
    """
    return _Scheduler(plan, lock, how).run()


@dataclass(frozen=True, slots=True)
class _Built:
    image: Descriptor
    attestations: tuple[Descriptor, ...]


class _Scheduler:
    """Decides, in one thread, what begins when; the work itself is done in others."""

    def __init__(self, plan: Plan, lock: Lock, how: Building) -> None:
        self.how, self.lock = how, lock
        self.order = [step.image.name for step in plan.steps]
        self.todo = {step.image.name: step for step in plan.steps}
        self.left = Counter(step.image.merged_name for step in plan.steps)
        self.running: dict[Future[_Built], Step] = {}
        self.begun: dict[str, float] = {}
        self.results: dict[str, Result] = {}
        self.images: dict[str, Descriptor] = {}
        self.broken: dict[str, str] = {}  # versions that nothing can be built on, and which image is to blame
        self.moved: dict[str, Relock] = {}
        self.merged: dict[str, Digest] = {}
        self.rendered: list[str] = []
        self.errors: list[DfgenError] = []
        self.entries = how.store.entries()
        self.guard = Guard()

    def run(self) -> Run:
        begun = time.monotonic()
        pool = ThreadPoolExecutor(max(1, self.how.jobs))
        try:
            while self.begin_ready(pool) or self.running:
                done, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in done:
                    self.finish(self.running.pop(future), future)
        finally:
            if self.running:  # broken off: whoever waits for a child process goes on when that is ended
                self.how.stop()
            pool.shutdown(cancel_futures=True)
            run = self.summary(time.monotonic() - begun)
            self.how.records.write_run(run.to_json())
        return run

    def begin_ready(self, pool: ThreadPoolExecutor) -> bool:
        """Begin all images whose parents are done; says whether there was any."""
        before = len(self.todo)
        ready: list[tuple[Step, BuildRequest]] = []
        for step in list(self.todo.values()):
            parents = [parent.key for parent in step.image.all_parents if parent.family]
            blamed = next((self.broken[key] for key in parents if key in self.broken), "")
            if blamed:
                self.not_tried(step, blamed)
            elif not any(self.left[key] for key in parents):
                ready.extend(self.prepare(step))
        ready.sort(key=lambda pair: -self.how.past.get(pair[0].image.name, 0.0))
        for step, request in ready:
            self.running[pool.submit(self.work, step, request)] = step
        return len(self.todo) < before

    def prepare(self, step: Step) -> Iterable[tuple[Step, BuildRequest]]:
        """See what is to be done for an image now that its parents are known."""
        del self.todo[step.image.name]
        try:
            step = self.current(step)
            if step.is_needed:
                log = self.how.records.log(step.image)
                request = build_request(step, self.lock, self.how.catalog, log, no_cache=self.how.no_cache)
                return [(step, request)]
            self.up_to_date(step)
        except DfgenError as error:
            self.fail(step, error)
        return []

    def current(self, step: Step) -> Step:
        """Lock and render an image anew when its parents moved, and judge it again."""
        moved = [self.moved[parent.key] for parent in step.image.all_parents if parent.key in self.moved]
        if not moved and step.reason is not Reason.PARENT:
            return step
        if moved and self.how.locked:
            raise CheckError([one.refusal(step.image) for one in moved])
        if moved:
            self.rerender(step.image)
        found = self.how.judge(step.image, self.lock)
        if self.how.no_cache and not found.is_needed:
            return replace(found, reason=Reason.ASKED)
        if moved and found.reason is Reason.INPUTS:
            return replace(found, reason=Reason.PARENT, detail=listing(one.key for one in moved))
        return found

    def rerender(self, image: Image) -> None:
        path = self.how.sources.rerender(image, self.lock)
        if path:
            self.rendered.append(path)
            self.report(Rendered(path))

    def work(self, step: Step, request: BuildRequest) -> _Built:
        """Build and test one image; in a thread of its own."""
        image = step.image
        self.begun[image.name] = time.monotonic()
        self.report(Started(step))
        if step.reason is Reason.TESTS and step.built:
            entries: tuple[Descriptor, ...] = (step.built,)
        else:
            entries = self.how.builder.build(request, lambda doing: self.report(Progressed(image, doing)))
        built = next(entry for entry in entries if not entry.is_attestation)
        if image.tests:
            self.report(Progressed(image, "smoke tests"))
            self.how.smoke(image, built)
        return _Built(built, tuple(entry for entry in entries if entry.is_attestation))

    def finish(self, step: Step, future: Future[_Built]) -> None:
        """Name what was built and tested, or note that it failed."""
        try:
            built = future.result()
            self.name(step, built)
            size = self.size(built.image)
        except DfgenError as error:
            self.fail(step, error)
        else:
            self.images[step.image.name] = built.image
            self.done(self.result(step, State.BUILT, digest=built.image.digest, size=size))

    def name(self, step: Step, built: _Built) -> None:
        image, inputs = step.image, step.inputs
        marks = {TESTS: str(digest_of_tests(image))}
        if inputs:
            self.how.records.keep(inputs)
            marks[INPUTS] = str(inputs.digest)
        entry = replace(built.image, annotations=marks, platform=image.platform)
        self.how.store.tag({f"{image.family.name}:{image.tag}": entry}, built.attestations)

    def up_to_date(self, step: Step) -> None:
        if step.built is None:  # what is not there is never up to date
            raise AssertionError(step.image.name)
        self.images[step.image.name] = step.built
        size = self.size(step.built)
        self.done(self.result(step, State.UP_TO_DATE, digest=step.built.digest, size=size))

    def fail(self, step: Step, error: DfgenError) -> None:
        tail = self.how.records.tail(step.image) if step.image.name in self.begun else ()
        self.broken.setdefault(step.image.merged_name, step.image.name)
        self.done(self.result(step, State.FAILED, error=error, tail=tail))

    def not_tried(self, step: Step, blamed: str) -> None:
        del self.todo[step.image.name]
        self.broken.setdefault(step.image.merged_name, blamed)
        error = CheckError(f"{step.image.name}: not tried, since {blamed} failed")
        self.done(self.result(step, State.NOT_TRIED, error=error))

    def result(self, step: Step, state: State, **more: Any) -> Result:
        begun = self.begun.get(step.image.name)
        log = str(self.how.records.log(step.image)) if begun else ""
        seconds = time.monotonic() - begun if begun else 0.0
        return Result(step=step, state=state, seconds=seconds, log=log, **more)

    def done(self, result: Result) -> None:
        """Note a result; the last one of a version settles it."""
        version = result.image.merged_name
        self.results[result.image.name] = result
        self.report(Finished(result))
        self.left[version] -= 1
        if not self.left[version] and version not in self.broken:
            try:
                self.settle(version)
            except DfgenError as error:
                self.broken[version] = f"the merge of {version}"
                self.errors.append(error)

    def settle(self, version: str) -> None:
        """Merge a version when all its platforms are there, and pin it for its children."""
        images = self.how.catalog.versions[version]
        if not all(self.is_there(image) for image in images):
            return
        merged = self.bound(version, images)
        if merged is None:
            merged = self.how.merge(images, self.lock)
            self.report(Merged(version, merged.digest))
        self.merged[version] = merged.digest
        pins = {image.platform: self.images[image.name] for image in images}
        moved = relock(self.how.catalog, version, self.lock, merged, pins)
        if moved:
            self.move(moved)

    def is_there(self, image: Image) -> bool:
        """Whether the layout has an image as it should be, though the plan may not have asked for it."""
        if image.name not in self.images and image.name not in self.results:
            try:
                step = self.how.judge(image, self.lock)
            except InputError:
                return False
            if step.built and not step.is_needed:
                self.images[image.name] = step.built
        return image.name in self.images

    def bound(self, version: str, images: Sequence[Image]) -> Descriptor | None:
        """Find the merged index when it was there before and is what merging would give again."""
        entry = self.entries.get(version)
        index = self.how.store.manifest(entry) if entry and self.how.store.is_intact(entry) else None
        if not isinstance(index, Index):
            return None
        base = index.annotations.get(BASE_DIGEST)
        parents = (self.lock.parents.get(image.parent.key) for image in images)
        wanted = {self.images[image.name].digest for image in images}
        same = base is None or any(parent and str(parent.digest) == base for parent in parents)
        return entry if same and {child.digest for child in index.images} == wanted else None

    def move(self, moved: Relock) -> None:
        """Take a version's new pins: into the lock, and into every Dockerfile that is built on it."""
        self.moved[moved.key] = moved
        planned = [child for child in moved.children if child.name in self.todo]
        if self.how.locked:
            if not planned:
                self.errors.append(CheckError(moved.refusal(moved.children[0])))
            return
        self.lock = self.lock.with_parents({moved.key: moved.pinned(self.how.today)})
        self.how.sources.save(self.lock)
        for child in moved.children:
            if child not in planned and all(self.lock.pin(parent) for parent in child.all_parents):
                self.rerender(child)

    def size(self, image: Descriptor) -> int:
        manifest = self.how.store.manifest(image)
        blobs = manifest.blobs if isinstance(manifest, Manifest) else ()
        return image.size + sum(blob.size for blob in blobs)

    def report(self, event: Event) -> None:
        with self.guard:  # one event at a time, from whichever thread
            self.how.report(event)

    def summary(self, seconds: float) -> Run:
        for step in [*self.todo.values(), *self.running.values()]:
            error = CheckError(f"{step.image.name}: not tried, since the run was broken off")
            self.results[step.image.name] = self.result(step, State.NOT_TRIED, error=error)
        return Run(
            results=tuple(self.results[name] for name in self.order if name in self.results),
            merged=self.merged,
            rendered=tuple(self.rendered),
            errors=tuple(self.errors),
            seconds=seconds,
            past=self.how.past,
        )
