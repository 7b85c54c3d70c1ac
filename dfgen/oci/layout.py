"""An OCI image layout on disk, shared by several processes and valid after a kill at any point.

Specification: https://github.com/opencontainers/image-spec/blob/main/image-layout.md

Three rules keep it valid:
- Every file is written to `.partial/` and renamed when it is complete.
- Blobs are written before the manifests that refer to them, and index.json last.
- `.lock` serializes changes of index.json. Every writer also holds a shared lock on `.writers`, so that
  garbage collection does not delete blobs that are not referenced yet.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from dfgen.errors import CheckError, ExternalError, InputError, Place, Problem
from dfgen.filetree.files import fill, replacing
from dfgen.oci import archive
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import ATTESTATION_OF, REF_NAME, Descriptor, Index, Manifest, parse

_CHUNK = 2**20  # bytes read at once
# The modification time of a verified blob, 2001-01-01. It is after 1980 and an even second, so that every
# file system and archive format can store it.
_VERIFIED = 978_307_200 * 10**9
_REBUILD = "run `dfgen build` to rebuild it"
_FETCH_AGAIN = "fetch or build that layout again"


class Layout:
    """The images of a layout by name; the first write creates the folder.

    Raises InputError if the folder is not a valid layout, ExternalError if the file system refuses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scratch = root / ".partial"
        self._writers = WriterLock(root / ".writers")

    def entries(self) -> Mapping[str, Descriptor]:
        """Return the entries of index.json that have a name, for example `java-base:1.0-x86_64`."""
        named = ((entry.annotations.get(REF_NAME), entry) for entry in self.descriptors())
        return {name: entry for name, entry in named if name}

    def descriptors(self) -> tuple[Descriptor, ...]:
        """Return all entries of index.json: images with and without a name, and attestations."""
        path = self.root / archive.INDEX_FILE
        try:
            found = parse(path.read_bytes())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ExternalError(f"{path}: cannot be read: {error.strerror}") from error
        except CheckError as error:
            raise _damaged(path, str(error)) from None
        if not isinstance(found, Index):
            raise _damaged(path, "expected an index, found an image manifest")
        return found.manifests

    def attestations(self, image: Digest) -> tuple[Descriptor, ...]:
        """Return the provenance and SBOM manifests of an image."""
        return tuple(
            entry for entry in self.descriptors() if entry.is_attestation and _subject(entry) == str(image)
        )

    def read(self, descriptor: Descriptor) -> bytes:
        """Read a blob. Raises CheckError if it is missing, or its size or digest is wrong."""
        path = self.blob_path(descriptor.digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise CheckError(f"{path}: is missing; {_REBUILD}") from None
        except OSError as error:
            raise ExternalError(f"{path}: cannot be read: {error.strerror}") from error
        if len(data) != descriptor.size:
            raise CheckError(f"{path}: has {len(data)} bytes, expected {descriptor.size}; {_REBUILD}")
        if not descriptor.digest.matches(data):
            raise CheckError(f"{path}: does not match its digest; {_REBUILD}")
        return data

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """Read a manifest or an index. Raises as `read`, and CheckError if the blob is neither."""
        try:
            return parse(self.read(descriptor), descriptor.media_type)
        except CheckError as error:
            path = str(self.blob_path(descriptor.digest))
            raise error if str(error).startswith(path) else CheckError(f"{path}: {error}") from error

    def blob_path(self, digest: Digest) -> Path:
        """Return the path of a blob, which need not exist."""
        return self.root / archive.blob_name(digest)

    def reachable(self, descriptor: Descriptor) -> Iterator[Descriptor]:
        """Yield a manifest or index and everything it refers to, down to the layers. Raises as `manifest`."""
        yield descriptor
        manifest = self.manifest(descriptor)
        if isinstance(manifest, Manifest):
            yield from manifest.blobs
            return
        for child in manifest.manifests:
            yield from self.reachable(child)

    def is_intact(self, descriptor: Descriptor, deep: bool = False) -> bool:
        """Whether a manifest or index and everything it refers to exists and matches its digest.

        Blobs are hashed only if they were modified since they were last verified; with `deep`, always.
        """
        try:
            manifest = self.manifest(descriptor)
        except CheckError:
            return False
        if isinstance(manifest, Index):
            return all(self.is_intact(child, deep) for child in manifest.manifests)
        return all(self._has(blob, deep) for blob in manifest.blobs)

    def _has(self, blob: Descriptor, deep: bool = False) -> bool:
        path = self.blob_path(blob.digest)
        try:
            stat = path.stat()
            if stat.st_size != blob.size:
                return False
            if stat.st_mtime_ns == _VERIFIED and not deep:
                return True
            with path.open("rb") as file:
                is_intact = hashlib.file_digest(file, blob.digest.algorithm).hexdigest() == blob.digest.hex
        except OSError:
            return False
        if is_intact:
            _mark_verified(path)
        return is_intact

    def add(self, data: bytes) -> Digest:
        """Store a blob; returns its digest."""
        self._writers.acquire()
        digest = Digest.of(data)
        write(self.blob_path(digest), data, self._scratch)
        _mark_verified(self.blob_path(digest))
        return digest

    def scratch(self) -> Path:
        """Create a temporary folder on the layout's file system, from which `adopt` can move files."""
        self._writers.acquire()
        with writing(self._scratch):
            self._scratch.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(dir=self._scratch))

    def adopt(self, exported: Path) -> tuple[Descriptor, ...]:
        """Move the blobs of a layout that buildx exported into this one.

        Returns the entries of its index.json, with an index replaced by its manifests: an image's manifest,
        and those of its attestations (see `is_attestation`). Raises ExternalError if a blob is incomplete.
        """
        self._writers.acquire()
        other = Layout(exported)
        entries: list[Descriptor] = []
        for entry in other.descriptors():
            manifest = other.manifest(entry)
            entries.extend(manifest.manifests if isinstance(manifest, Index) else [entry])
        for blob in {blob.digest: blob for entry in entries for blob in other.reachable(entry)}.values():
            # Without hashing: buildx hashed these blobs when it wrote them, and only their size can be wrong.
            path, size = other.blob_path(blob.digest), blob.size
            if not path.is_file() or path.stat().st_size != size:
                raise ExternalError(f"{path}: the export is incomplete, expected {size} bytes; build again")
            _move(path, self.blob_path(blob.digest), self._scratch)
            _mark_verified(self.blob_path(blob.digest))
        return tuple(entries)

    def copy_blobs(self, source: Path, blobs: Iterable[Descriptor]) -> None:
        """Copy the blobs that are missing here from another layout.

        Raises CheckError if a blob is missing there, or its size or digest is wrong.
        """
        self._writers.acquire()
        for blob in {blob.digest: blob for blob in blobs}.values():
            if not self._has(blob):
                path = source / archive.blob_name(blob.digest)
                _copy(path, self.blob_path(blob.digest), blob, self._scratch)
                _mark_verified(self.blob_path(blob.digest))

    def tag(
        self, changes: Mapping[str, Descriptor | None], attestations: Sequence[Descriptor] | None = None
    ) -> None:
        """Set names, or remove those that map to None, in one atomic change of index.json.

        `attestations` replace all earlier ones of the same images, also if empty; None keeps the earlier
        ones. An image's attestations are removed with its last name.
        """
        self._writers.acquire()
        with locked(self.root / ".lock"):
            before = self.descriptors()
            after = _changed(before, changes, attestations)
            if after == before and (self.root / archive.INDEX_FILE).exists():
                return
            if not self._has_version_file():
                write(self.root / archive.VERSION_FILE, archive.VERSION, self._scratch)
            write(self.root / archive.INDEX_FILE, archive.index_bytes(after), self._scratch)

    def _has_version_file(self) -> bool:
        try:
            return (self.root / archive.VERSION_FILE).read_bytes() == archive.VERSION
        except OSError:
            return False

    def archive(self, descriptor: Descriptor, name: str) -> Iterator[bytes]:
        """Yield an OCI archive of an image or index for `docker load`; `name` is its full reference there."""
        manifest = self.manifest(descriptor)
        yield from archive.stream(descriptor, name, self.reachable(descriptor), self.root)
        if isinstance(manifest, Manifest):
            yield from archive.docker_manifest(manifest, name)
        yield archive.end()

    def collect(self) -> int:
        """Delete unreferenced files; returns the number of bytes freed, 0 while another process writes."""
        if not self.root.exists():
            return 0
        with self.exclusive() as is_exclusive:
            return self.remove(self.unreferenced()) if is_exclusive else 0

    def unreferenced(self, keep: Iterable[Digest] = ()) -> tuple[Path, ...]:
        """List blobs reachable neither from index.json nor from `keep`, and files of interrupted writes."""
        roots = (*self.descriptors(), *self._existing(keep))
        kept = {archive.blob_name(digest) for entry in roots for digest in self._referenced(entry)}
        blobs = (path for path in self.root.glob("blobs/*/*") if str(path.relative_to(self.root)) not in kept)
        return (*sorted(blobs), *sorted(self._scratch.glob("*")))

    def _existing(self, digests: Iterable[Digest]) -> Iterator[Descriptor]:
        """Describe the blobs that exist; reading them shows whether they are manifests."""
        for digest in digests:
            with suppress(OSError):
                size = self.blob_path(digest).stat().st_size
                yield Descriptor(media_type="", digest=digest, size=size)

    def _referenced(self, entry: Descriptor) -> Iterator[Digest]:
        try:
            yield from (blob.digest for blob in self.reachable(entry))
        except CheckError:
            # Damaged: its blobs cannot be determined, and only a new build brings them back.
            yield entry.digest

    def exclusive(self) -> AbstractContextManager[bool]:
        """Try to exclude all other writers for the block; yields whether that succeeded."""
        return self._writers.exclusive()

    def remove(self, paths: Iterable[Path]) -> int:
        """Delete files and folders; returns the number of bytes freed."""
        with writing(self.root):
            return sum(_delete(path) for path in paths)


def _changed(
    before: Sequence[Descriptor],
    changes: Mapping[str, Descriptor | None],
    attestations: Sequence[Descriptor] | None,
) -> tuple[Descriptor, ...]:
    images = [entry for entry in before if not entry.is_attestation]
    kept = [entry for entry in images if entry.annotations.get(REF_NAME) not in changes]
    for name, entry in changes.items():
        if entry:
            kept.append(replace(entry, annotations={**entry.annotations, REF_NAME: name}))
    named = (entry for entry in changes.values() if entry)
    replaced = {str(entry.digest) for entry in named} if attestations is not None else set()
    earlier = (entry for entry in before if entry.is_attestation and _subject(entry) not in replaced)
    present = {str(entry.digest) for entry in kept}
    # An attestation is of no use without its image, and would keep its blobs from being collected.
    listed = [entry for entry in (*earlier, *(attestations or ())) if _subject(entry) in present]
    return tuple(sorted([*kept, *listed], key=archive.entry_order))


def _subject(attestation: Descriptor) -> str:
    return attestation.annotations.get(ATTESTATION_OF, "")


def _damaged(path: Path, why: str) -> InputError:
    advice = f"move {path.parent} away and run `dfgen build`"
    return InputError(Problem(Place(str(path)), f"is damaged: {why}; {advice}"))


def _mark_verified(path: Path) -> None:
    """Set the sentinel mtime of a verified blob, so that it is not hashed again until it is modified."""
    with suppress(OSError):  # for example a file of another user: the blob is only hashed again next time
        os.utime(path, ns=(path.stat().st_atime_ns, _VERIFIED))


def write(target: Path, data: bytes, scratch: Path) -> None:
    """Write a file atomically; `scratch` is a folder on the same file system for the temporary file."""
    with writing(target):
        scratch.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, scratch) as temporary:
            with temporary.open("wb") as file:
                # fsync: after a crash of the machine, index.json must not refer to a lost blob.
                fill(file.fileno(), data, durable=True)
            temporary.chmod(0o644)


def _copy(source: Path, target: Path, blob: Descriptor, scratch: Path) -> None:
    """Copy a blob atomically. Raises CheckError if it is missing, or its size or digest is wrong."""
    try:
        file = source.open("rb")
    except FileNotFoundError:
        raise CheckError(f"{source}: is missing; {_FETCH_AGAIN}") from None
    except OSError as error:
        raise ExternalError(f"{source}: cannot be read: {error.strerror}") from error
    with file, writing(target):
        scratch.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, scratch) as temporary:
            hashed = hashlib.new(blob.digest.algorithm)
            with temporary.open("wb") as copied:
                while chunk := file.read(_CHUNK):
                    hashed.update(chunk)
                    copied.write(chunk)
                size = copied.tell()
            if size != blob.size:
                raise CheckError(f"{source}: has {size} bytes, expected {blob.size}; {_FETCH_AGAIN}")
            if hashed.hexdigest() != blob.digest.hex:
                raise CheckError(f"{source}: does not match its digest; {_FETCH_AGAIN}")
            temporary.chmod(0o644)


def _move(source: Path, target: Path, scratch: Path) -> None:
    """Move a file over the target; also atomic between file systems."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            scratch.mkdir(parents=True, exist_ok=True)
            with replacing(target, scratch) as temporary:
                shutil.copyfile(source, temporary)
                temporary.chmod(0o644)


def _delete(path: Path) -> int:
    if path.is_dir():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        shutil.rmtree(path)
    else:
        size = path.stat().st_size
        path.unlink()
    return size


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert an OSError of the block into an ExternalError that names the path."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        advice = "free up space or choose another folder"
        raise ExternalError(f"{path}: cannot be written: {why}; {advice}") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock (threads and processes) for the block."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        # flock belongs to the open file: every caller opens its own, so threads exclude each other too.
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class WriterLock:
    """A lock that writers share and garbage collection takes exclusively.

    A writer's blobs have no reference before it tags them; its shared lock keeps them from being collected.
    The lock is released with the object, or when the process ends, even if it is killed.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._handle, self._guard = path, -1, threading.Lock()

    def acquire(self) -> None:
        """Acquire the shared lock, unless this object holds it already."""
        with self._guard:
            if self._handle >= 0:
                return
            with writing(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
                fcntl.flock(self._handle, fcntl.LOCK_SH)
            # Closing the file releases the lock.
            weakref.finalize(self, os.close, self._handle)

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Try to upgrade to an exclusive lock for the block; yields whether it succeeded."""
        self.acquire()
        is_exclusive = False
        with suppress(BlockingIOError):
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_exclusive = True
        try:
            yield is_exclusive
        finally:
            # Also after a failed upgrade: flock gives up the shared lock before it asks for the other one.
            fcntl.flock(self._handle, fcntl.LOCK_SH)
