"""An OCI image layout on disk that several processes may use, and that a kill at any point leaves valid."""

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

from dfgen.errors import CheckError, InputError, OutsideError, Place, Problem
from dfgen.filetree.files import fill, replacing
from dfgen.oci import archive
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import ATTESTATION_OF, REF_NAME, Descriptor, Index, Manifest, parse


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into an OutsideError that names the path."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise OutsideError(f"{path}: cannot be written: {why}; make room or choose another folder") from error


def write(target: Path, data: bytes, scratch: Path) -> None:
    """Write a file that appears only when it is whole; `scratch` is a folder of the same file system."""
    with writing(target):
        scratch.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, scratch) as beside:
            with beside.open("wb") as file:
                fill(file.fileno(), data, durable=True)
            beside.chmod(0o644)


def move(source: Path, target: Path, scratch: Path) -> None:
    """Put a file where another may be already; across file systems it is copied, and still appears whole."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            scratch.mkdir(parents=True, exist_ok=True)
            with replacing(target, scratch) as beside:
                shutil.copyfile(source, beside)
                beside.chmod(0o644)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one, of all threads and processes, between here and the end of the block."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Writers:
    """Who writes into a folder holds a share of its lock, so that nobody takes their work for garbage.

    The share ends with the object or the process, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._handle, self._guard = path, -1, threading.Lock()

    def join(self) -> None:
        """Take the share, once."""
        with self._guard:
            if self._handle >= 0:
                return
            with writing(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
                fcntl.flock(self._handle, fcntl.LOCK_SH)
            weakref.finalize(self, os.close, self._handle)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Say whether nobody else is writing; if so, nobody begins before the end of the block."""
        self.join()
        alone = False
        with suppress(BlockingIOError):
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        try:
            yield alone
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_SH)


_PIECE = 2**20  # bytes read at once
_FETCH_AGAIN = "fetch or build that layout again"


def copy(source: Path, target: Path, blob: Descriptor, scratch: Path) -> None:
    """Copy a blob to where it appears only when it is whole; `scratch` is a folder beside.

    Errors: CheckError for one that is missing or not what its descriptor says.
    """
    try:
        file = source.open("rb")
    except FileNotFoundError:
        raise CheckError(f"{source}: is missing; {_FETCH_AGAIN}") from None
    except OSError as error:
        raise OutsideError(f"{source}: cannot be read: {error.strerror}") from error
    with file, writing(target):
        scratch.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, scratch) as beside:
            hashed = hashlib.new(blob.digest.algorithm)
            with beside.open("wb") as copied:
                while piece := file.read(_PIECE):
                    hashed.update(piece)
                    copied.write(piece)
                size = copied.tell()
            _check(source, blob, size, hashed.hexdigest())
            beside.chmod(0o644)


def _check(source: Path, blob: Descriptor, size: int, hexdigest: str) -> None:
    if size != blob.size:
        raise CheckError(f"{source}: has {size} bytes, expected {blob.size}; {_FETCH_AGAIN}")
    if hexdigest != blob.digest.hex:
        raise CheckError(f"{source}: does not hold what its digest says; {_FETCH_AGAIN}")


# 2001-01-01: an even second, later than 1980, so that every file system and every archive can keep it.
_WHOLE = 978_307_200 * 10**9


def mark(path: Path) -> None:
    """Note that a blob is what its name says; where the file system refuses, it is hashed again next time."""
    with suppress(OSError):
        os.utime(path, ns=(path.stat().st_atime_ns, _WHOLE))


def is_marked(found: os.stat_result) -> bool:
    """Whether nobody wrote to a blob since it was found whole."""
    return found.st_mtime_ns == _WHOLE


_MEND = "run `dfgen build` to have it again"


class Layout:
    """The images of a folder, by name; the folder is made by the first write.

    Blobs are written before what refers to them, and index.json last and in one step.
    Errors: InputError for a folder that is not a layout, OutsideError for what the file system refuses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scratch = root / ".partial"
        self._writers = Writers(root / ".writers")

    def entries(self) -> Mapping[str, Descriptor]:
        """What has a name, such as `java-base:1.0-x86_64`; annotations are kept."""
        named = ((entry.annotations.get(REF_NAME), entry) for entry in self.descriptors())
        return {name: entry for name, entry in named if name}

    def descriptors(self) -> tuple[Descriptor, ...]:
        """Every entry of index.json: images by name, those without, and attestations."""
        path = self.root / archive.INDEX_FILE
        try:
            found = parse(path.read_bytes())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise OutsideError(f"{path}: cannot be read: {error.strerror}") from error
        except CheckError as error:
            raise _damaged(path, str(error)) from None
        if not isinstance(found, Index):
            raise _damaged(path, "it is an image manifest")
        return found.manifests

    def attestations(self, image: Digest) -> tuple[Descriptor, ...]:
        """The provenance and SBOM manifests that are kept beside an image."""
        return tuple(
            entry
            for entry in self.descriptors()
            if entry.is_attestation and entry.annotations.get(ATTESTATION_OF) == str(image)
        )

    def read(self, descriptor: Descriptor) -> bytes:
        """A blob's bytes. Errors: CheckError when it is missing or not what its descriptor says."""
        path = self.blob_path(descriptor.digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise CheckError(f"{path}: is missing; {_MEND}") from None
        except OSError as error:
            raise OutsideError(f"{path}: cannot be read: {error.strerror}") from error
        if len(data) != descriptor.size:
            raise CheckError(f"{path}: has {len(data)} bytes, expected {descriptor.size}; {_MEND}")
        if not descriptor.digest.matches(data):
            raise CheckError(f"{path}: does not hold what its digest says; {_MEND}")
        return data

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that a descriptor names. Errors: as `read`, or CheckError for neither."""
        try:
            return parse(self.read(descriptor), descriptor.media_type)
        except CheckError as error:
            path = str(self.blob_path(descriptor.digest))
            raise error if str(error).startswith(path) else CheckError(f"{path}: {error}") from error

    def blob_path(self, digest: Digest) -> Path:
        """Where a blob lies, or would."""
        return self.root / archive.blob_name(digest)

    def is_intact(self, descriptor: Descriptor, deep: bool = False) -> bool:
        """Whether a manifest and all that it names is there, and whole.

        A blob is hashed when it was written to since it was last found whole; `deep` hashes all of them.
        """
        try:
            manifest = self.manifest(descriptor)
        except CheckError:
            return False
        if isinstance(manifest, Index):
            return all(self.is_intact(child, deep) for child in manifest.manifests)
        return all(self._has(blob, deep) for blob in manifest.blobs)

    def add(self, data: bytes) -> Digest:
        """Store bytes."""
        self._writers.join()
        digest = Digest.of(data)
        write(self.blob_path(digest), data, self._scratch)
        mark(self.blob_path(digest))
        return digest

    def scratch(self) -> Path:
        """A new folder on the layout's file system, for an export that `adopt` can take without copying."""
        self._writers.join()
        with writing(self._scratch):
            self._scratch.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(dir=self._scratch))

    def adopt(self, exported: Path) -> tuple[Descriptor, ...]:
        """Move the blobs of a layout that buildx exported in here.

        Returns the entries of its index.json; one that is an index is replaced by what it binds, so that an
        image's own manifest comes out beside its attestations (`is_attestation` tells them apart).
        """
        self._writers.join()
        other = Layout(exported)
        flat: list[Descriptor] = []
        for entry in other.descriptors():
            manifest = other.manifest(entry)
            flat.extend(manifest.manifests if isinstance(manifest, Index) else [entry])
        for blob in {blob.digest: blob for entry in flat for blob in other.reachable(entry)}.values():
            path, size = other.blob_path(blob.digest), blob.size
            if not path.is_file() or path.stat().st_size != size:
                raise OutsideError(f"{path}: the export is incomplete, expected {size} bytes; build again")
            move(path, self.blob_path(blob.digest), self._scratch)
            mark(self.blob_path(blob.digest))
        return tuple(flat)

    def take(self, source: Path, blobs: Iterable[Descriptor]) -> None:
        """Copy blobs from another layout, each checked on its way; those that are here are left alone."""
        self._writers.join()
        for blob in {blob.digest: blob for blob in blobs}.values():
            if not self._has(blob):
                path = source / archive.blob_name(blob.digest)
                copy(path, self.blob_path(blob.digest), blob, self._scratch)
                mark(self.blob_path(blob.digest))

    def tag(
        self, changes: Mapping[str, Descriptor | None], attestations: Sequence[Descriptor] | None = None
    ) -> None:
        """Set names, or with None remove them, in one step; the attestations go beside their images.

        Earlier attestations of the images give way to these, if any are given, be it none at all; they go
        with the image's last name.
        """
        self._writers.join()
        with locked(self.root / ".lock"):
            before = self.descriptors()
            after = _changed(before, changes, attestations)
            if after == before and (self.root / archive.INDEX_FILE).exists():
                return
            if not self._is_marked():
                write(self.root / archive.VERSION_FILE, archive.VERSION, self._scratch)
            write(self.root / archive.INDEX_FILE, archive.index_bytes(after), self._scratch)

    def reachable(self, descriptor: Descriptor) -> Iterator[Descriptor]:
        """A manifest or index and all that it names, down to the layers. Errors: as `manifest`."""
        yield descriptor
        manifest = self.manifest(descriptor)
        if isinstance(manifest, Manifest):
            yield from manifest.blobs
            return
        for child in manifest.manifests:
            yield from self.reachable(child)

    def unreferenced(self, keep: Iterable[Digest] = ()) -> tuple[Path, ...]:
        """Blobs that neither an entry nor a manifest to keep leads to, and what interrupted writes left."""
        roots = (*self.descriptors(), *self._stored(keep))
        kept = {archive.blob_name(digest) for entry in roots for digest in self._kept(entry)}
        blobs = (path for path in self.root.glob("blobs/*/*") if str(path.relative_to(self.root)) not in kept)
        return (*sorted(blobs), *sorted(self._scratch.glob("*")))

    def collect(self) -> int:
        """Delete what is unreferenced; returns how many bytes that freed, 0 while another process writes."""
        if not self.root.exists():
            return 0
        with self.alone() as alone:
            return self.remove(self.unreferenced()) if alone else 0

    def alone(self) -> AbstractContextManager[bool]:
        """Say whether no other process writes; if so, none begins before the end of the block."""
        return self._writers.alone()

    def remove(self, paths: Iterable[Path]) -> int:
        """Delete files and folders; returns how many bytes that freed."""
        with writing(self.root):
            return sum(_delete(path) for path in paths)

    def archive(self, descriptor: Descriptor, name: str) -> Iterator[bytes]:
        """An OCI archive of one image or index, for `docker load`; `name` is the full reference it gets."""
        manifest = self.manifest(descriptor)
        yield from archive.stream(descriptor, name, self.reachable(descriptor), self.root)
        if isinstance(manifest, Manifest):
            yield from archive.docker_manifest(manifest, name)
        yield archive.end()

    def _is_marked(self) -> bool:
        """Whether the folder says already that it is a layout."""
        try:
            return (self.root / archive.VERSION_FILE).read_bytes() == archive.VERSION
        except OSError:
            return False

    def _has(self, blob: Descriptor, deep: bool = False) -> bool:
        path = self.blob_path(blob.digest)
        try:
            found = path.stat()
            if found.st_size != blob.size or (is_marked(found) and not deep):
                return found.st_size == blob.size
            with path.open("rb") as file:
                is_whole = hashlib.file_digest(file, blob.digest.algorithm).hexdigest() == blob.digest.hex
        except OSError:
            return False
        if is_whole:
            mark(path)
        return is_whole

    def _stored(self, digests: Iterable[Digest]) -> Iterator[Descriptor]:
        """Describe those blobs that are there; whether they are manifests is seen when they are read."""
        for digest in digests:
            with suppress(OSError):
                size = self.blob_path(digest).stat().st_size
                yield Descriptor(media_type="", digest=digest, size=size)

    def _kept(self, entry: Descriptor) -> Iterator[Digest]:
        try:
            yield from (blob.digest for blob in self.reachable(entry))
        except CheckError:
            yield entry.digest  # damaged: what it referred to can only come from a new build


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
    renewed = {str(entry.digest) for entry in named} if attestations is not None else set()
    earlier = (entry for entry in before if entry.is_attestation and _subject(entry) not in renewed)
    present = {str(entry.digest) for entry in kept}
    beside = [entry for entry in (*earlier, *(attestations or ())) if _subject(entry) in present]
    return tuple(sorted([*kept, *beside], key=archive.entry_order))


def _subject(attestation: Descriptor) -> str:
    return attestation.annotations.get(ATTESTATION_OF, "")


def _delete(path: Path) -> int:
    if path.is_dir():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        shutil.rmtree(path)
    else:
        size = path.stat().st_size
        path.unlink()
    return size


def _damaged(path: Path, why: str) -> InputError:
    advice = f"move {path.parent} away and run `dfgen build`"
    return InputError(Problem(Place(str(path)), f"is damaged: {why}; {advice}"))
