"""The files of a build context that a Dockerfile uses, like BuildKit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import pytest

from dfgen.catalog.context import BuildInputs, ContextReader
from dfgen.errors import InputError
from dfgen.filetree import Folder, Kind
from tests.unit.models import AMD64, BOTH, family, image

TREE = ("a.txt", "b.txt", "files/one", "files/sub/two", "files/sub/deep/three", "bin/run", ".hidden", "x[1]")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a catalog of one family whose context has some files."""
    for name in TREE:
        path = tmp_path / "bases" / "a" / "ctx" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def files(root: Path, *instructions: str, text: str = "") -> dict[str, str]:
    """Hash the inputs of an image whose Dockerfile has these instructions."""
    path = root / "bases" / "a" / "1" / "Dockerfile_amd64"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or "\n".join(("FROM x", *instructions, "")))
    one = image("a", AMD64, family=family("a", context=PurePosixPath("bases/a/ctx")))
    taken = ContextReader(Folder(root)).inputs(one)
    if taken.problems:
        raise InputError(taken.problems)
    return dict(taken.files)


def problem(root: Path, *instructions: str) -> str:
    with pytest.raises(InputError) as caught:
        files(root, *instructions)
    return str(caught.value)


EVERYTHING = {*TREE, "files", "files/sub", "files/sub/deep", "bin"}
SUB = {"files/sub", "files/sub/two", "files/sub/deep", "files/sub/deep/three"}


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("COPY a.txt /x", {"a.txt"}),
        ("COPY ./a.txt /b.txt /x/", {"a.txt", "b.txt"}),
        ("copy --chown=1:1 --chmod=755 a.txt /x", {"a.txt"}),
        ("COPY files/sub/ /x", SUB),
        ("COPY files/sub /x", SUB),
        ("COPY *.txt /x/", {"a.txt", "b.txt"}),
        ("COPY ?.txt /x/", {"a.txt", "b.txt"}),
        ("COPY [^b].txt /x/", {"a.txt"}),
        ("COPY f*s/sub /x", SUB),
        ("COPY * /x/", EVERYTHING),
        (
            "COPY --parents files/**/three /x/",
            {"files", "files/sub", "files/sub/deep", "files/sub/deep/three"},
        ),
        ("COPY nothing*.here /x/", set()),
        ('COPY ["a.txt", "/x"]', {"a.txt"}),
        ('COPY "a.txt" /x', {"a.txt"}),
        ("ADD bin /x", {"bin", "bin/run"}),
        ("COPY . /x", EVERYTHING),
        ("COPY / /x", EVERYTHING),
        ("COPY $WHAT /x", EVERYTHING),
        ("COPY files/${WHAT}/x a.txt /x", EVERYTHING),
        ("COPY files/../a.txt /x", {"a.txt"}),
        ("COPY ../a.txt /x", {"a.txt"}),  # for BuildKit the context is the root of the disk
        ("COPY --from=other /etc/passwd /x", set()),
        ("ADD https://example.com/x.tar /x", set()),
        ("ADD git@example.com:x/y.git /x", set()),
        ("RUN cat a.txt", set()),
        ("RUN --mount=type=bind,source=files/one,target=/x cat /x", {"files/one"}),
        ("RUN --mount=src=bin,target=/x,type=bind cat /x", {"bin", "bin/run"}),
        ("RUN --mount=type=bind,target=/x cat /x", EVERYTHING),
        ("RUN --mount=target=/x cat /x", EVERYTHING),
        ("RUN --mount=type=bind,from=other,source=/x,target=/x cat /x", set()),
        ("RUN --mount=type=cache,target=/x --mount=type=secret,id=s true", set()),
        ("ONBUILD COPY a.txt /x", set()),
        ("COPY <<EOF /x\nCOPY b.txt /x\nEOF", set()),
        ("COPY a.txt <<EOF /x\nhello\nEOF", {"a.txt"}),
        ("# COPY a.txt /x", set()),
        ("COPY \\\n  a.txt \\\n  /x", {"a.txt"}),
        ("COPY --from= a.txt /x", {"a.txt"}),
        ("COPY --exclude=*/deep files /x", {"files", "files/one", "files/sub", "files/sub/two"}),
        (
            "COPY --exclude=sub --exclude=!*/two files /x",
            {"files", "files/one", "files/sub", "files/sub/two"},
        ),
        ("COPY --exclude=*.txt *.txt /x/", {"a.txt", "b.txt"}),  # it is for what lies in a source
        ("COPY --parents files/./sub/t* /x/", {"files", "files/sub", "files/sub/two"}),
        ("COPY x[[]1] /x", {"x[1]"}),
        ("COPY *.TXT /x/", set()),
        ("COPY nothing/*.txt /x/", set()),
        ("RUN --mount=type=bind,SRC=bin,src=files/one,target=/x true", {"files/one"}),
        ("RUN --mount=type=BIND,target=/x,source=./bin/../files/one true", {"files/one"}),
        ("RUN --mount=type=bind,from=,source=files/one,target=/x true", {"files/one"}),
        ("RUN --mount=type=tmpfs,target=/x true", set()),
        ("ARG F=files\nENV S=$F/sub\nCOPY ${S} /x", SUB),
        ("ARG F=files\nARG F\nCOPY $F/one /x", {"files/one"}),
        ("ENV A=bin B=$A\nCOPY files/$B /x", EVERYTHING),  # B is what A was before, which the parent may set
        ("COPY ${WHAT:-bin} /x", EVERYTHING),
        ("ENV WHAT=\nCOPY ${WHAT:-bin} /x", {"bin", "bin/run"}),
        ("ENV WHAT=bin.x\nCOPY ${WHAT%.x} /x", EVERYTHING),
        ("ARG TARGETARCH\nCOPY bin/../${TARGETARCH:+bin} /x", {"bin", "bin/run"}),
        ("ARG BUILDARCH\nCOPY $BUILDARCH /x", EVERYTHING),
        ("ARG SOURCE_DATE_EPOCH=bin\nCOPY $SOURCE_DATE_EPOCH /x", EVERYTHING),
        ("FROM scratch\nCOPY ./$WHAT/bin /x", {"bin", "bin/run"}),
        ("COPY a.txt /x\nFROM y\nCOPY b.txt /x", {"b.txt"}),  # BuildKit does not build the first stage
        ("COPY a.txt /x\nFROM y AS y\nFROM z\nCOPY --from=0 / /x", {"a.txt"}),
        ("FROM y AS Y\nCOPY a.txt /x\nFROM z\nRUN --mount=from=y,target=/y true", {"a.txt"}),
        ("FROM y AS Y\nONBUILD COPY a.txt /x\nFROM y\nCOPY b.txt /x", {"a.txt", "b.txt"}),
        ("FROM y AS Y\nENV F=bin\nFROM Y\nCOPY $F /x", {"bin", "bin/run"}),
    ],
)
def test_the_paths_of_an_instruction(root: Path, instruction: str, expected: set[str]) -> None:
    assert set(files(root, instruction)) == expected


def test_fingerprints_contain_kind_mode_and_content(root: Path) -> None:
    context = root / "bases" / "a" / "ctx"
    (context / "bin").chmod(0o750)
    (context / "bin" / "run").chmod(0o755)
    (context / "bin" / "link").symlink_to("../nowhere")
    digest = hashlib.sha256(b"bin/run").hexdigest()
    assert files(root, "COPY bin /x") == {
        "bin": "folder 750",
        "bin/link": "link ../nowhere",
        "bin/run": f"file 755 sha256:{digest}",
    }


def test_links_are_followed_and_included(root: Path) -> None:
    context = root / "bases" / "a" / "ctx"
    (context / "current").symlink_to("files/sub")
    (context / "two").symlink_to("/current/two")
    assert set(files(root, "COPY two /x")) == {"two", "current", "files/sub/two"}
    assert set(files(root, "COPY current/ /x")) == {"current", *SUB}


@pytest.mark.parametrize("target", [None, b"\xff"])
def test_a_name_that_is_not_utf8_is_an_error(root: Path, target: bytes | None) -> None:
    folder = os.fsencode(root / "bases" / "a" / "ctx" / "files")
    if target:
        os.symlink(target, os.path.join(folder, b"bad"))  # noqa: PTH211, PTH118
    else:
        Path(os.fsdecode(os.path.join(folder, b"b\xffd"))).touch()  # noqa: PTH118
    shown = "files/bad" if target else r"files/b\udcffd"
    assert problem(root, "", "COPY files /x") == (
        f"bases/a/1/Dockerfile_amd64:3: COPY takes {shown}, whose name or link target is not UTF-8, which BuildKit"
        " cannot read; rename it, or exclude it in .dockerignore"
    )
    (root / "bases" / "a" / "ctx" / ".dockerignore").write_text("files/b?d\n")
    assert set(files(root, "COPY files /x")).isdisjoint({"files/bad", "files/b\udcffd"})


def test_a_link_out_of_the_context_is_an_error(root: Path) -> None:
    (root / "bases" / "a" / "secret").write_text("s")
    (root / "bases" / "a" / "ctx" / "out").symlink_to("../secret")
    assert problem(root, "", "COPY out /x") == (
        "bases/a/1/Dockerfile_amd64:3: COPY takes 'out', which is outside the context bases/a/ctx;"
        " add it there, or copy it from a stage with --from"
    )


def test_a_loop_of_links_is_an_error(root: Path) -> None:
    context = root / "bases" / "a" / "ctx"
    (context / "x").symlink_to("y")
    (context / "y").symlink_to("x")
    assert problem(root, "COPY x/one /x") == (
        "bases/a/1/Dockerfile_amd64:2: COPY takes 'x/one', which does not exist in the context bases/a/ctx;"
        " add it there, or copy it from a stage with --from"
    )


def test_all_missing_sources_are_reported_with_their_lines(root: Path) -> None:
    advice = "add it there, or copy it from a stage with --from"
    assert problem(root, "COPY nothing /x", "ADD a.txt ../none /x/").splitlines() == [
        f"bases/a/1/Dockerfile_amd64:2: COPY takes 'nothing', which does not exist in the context bases/a/ctx; {advice}",
        "bases/a/1/Dockerfile_amd64:3: ADD takes '../none', which is outside the context bases/a/ctx;"
        f" {advice}",
    ]


def test_an_ignore_file_excludes_what_docker_excludes(root: Path) -> None:
    (root / "bases/a/ctx/.dockerignore").write_text("# comment\n\nfiles/**\n!files/sub/two\n*.txt\n")
    found = set(files(root, "COPY . /x"))
    # BuildKit creates the folder of a re-included file, with its mode.
    expected = {"bin", "bin/run", ".hidden", ".dockerignore", "x[1]", "files", "files/sub", "files/sub/two"}
    assert found == expected


def test_the_ignore_file_beside_the_dockerfile_takes_precedence(root: Path) -> None:
    (root / "bases/a/ctx/.dockerignore").write_text("a.txt\n")
    beside = root / "bases/a/1/Dockerfile_amd64.dockerignore"
    beside.parent.mkdir(parents=True)
    beside.write_text("b.txt\n")
    assert set(files(root, "COPY *.txt /x/")) == {"a.txt"}


def test_an_ignored_source_is_an_error(root: Path) -> None:
    (root / "bases/a/ctx/.dockerignore").write_text("a.txt\n")
    assert problem(root, "COPY a.txt /x") == (
        "bases/a/1/Dockerfile_amd64:2: COPY takes 'a.txt', which bases/a/ctx/.dockerignore excludes from the context bases/a/ctx;"
        " re-include it there with !"
    )


class Counting(Folder):
    """A folder that records listed and fingerprinted paths."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.scanned: list[str] = []
        self.described: list[str] = []

    def _scan(self, folder: str) -> Mapping[str, Kind]:
        self.scanned.append(folder)
        return super()._scan(folder)

    def _fingerprint(self, path: str) -> str:
        self.described.append(PurePosixPath(path).name)
        return super()._fingerprint(path)


def test_a_shared_file_is_read_once(root: Path) -> None:
    tree = Counting(root)
    reader = ContextReader(tree)
    for platform in BOTH:
        one = image("a", platform, family=family("a", context=PurePosixPath("bases/a/ctx")))
        path = root / one.dockerfile
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("FROM x\nCOPY files/sub *.txt /x/\n")
        assert reader.inputs(one).files
    assert sorted(tree.described) == ["a.txt", "b.txt", "deep", "sub", "three", "two"]
    assert len(tree.scanned) == len({*tree.scanned})


def test_an_ignored_folder_is_not_listed(root: Path) -> None:
    (root / "bases/a/ctx/.dockerignore").write_text("files\n*/run\n!bin/kept\n")
    tree = Counting(root)
    path = root / "bases/a/1/Dockerfile_amd64"
    path.parent.mkdir()
    path.write_text("FROM x\nCOPY . /x/\n")
    one = image("a", AMD64, family=family("a", context=PurePosixPath("bases/a/ctx")))
    assert "bin" in ContextReader(tree).inputs(one).files
    assert "bases/a/ctx/bin" in tree.scanned
    assert "bases/a/ctx/files" not in tree.scanned


def test_a_context_that_is_not_a_folder_is_an_error(tmp_path: Path) -> None:
    assert problem(tmp_path, "COPY a /x") == (
        "bases/a/base.yaml: the build context bases/a/ctx is not a folder"
    )


def test_special_files_do_not_stop_a_build(root: Path) -> None:
    os.mkfifo(root / "bases/a/ctx/bin/fifo")
    assert files(root, "COPY bin /x")["bin/fifo"] == "special"


def test_a_broken_dockerfile_is_an_error_with_its_line(root: Path) -> None:
    assert problem(root, "COPY <<EOF /x", "text").startswith("bases/a/1/Dockerfile_amd64:2: ")


def child(root: Path, parent: str, *instructions: str) -> BuildInputs:
    """Return the inputs of an image whose parent in the catalog has this Dockerfile."""
    ctx = PurePosixPath("bases/a/ctx")
    images = (image("onb", AMD64), image("a", AMD64, ["onb:1"], family=family("a", context=ctx)))
    for one, text in zip(
        images, (parent, "\n".join(("FROM localhost/onb:1@sha256:0", *instructions, ""))), strict=True
    ):
        path = root / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ContextReader(Folder(root), {one.merged_name: (one,) for one in images}).inputs(images[1])


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        ("FROM x\nONBUILD COPY files/sub /x\n", SUB),
        (
            "FROM x\nonbuild add a.txt /x\nONBUILD RUN --mount=source=b.txt,target=/b true\n",
            {"a.txt", "b.txt"},
        ),
        ("FROM x\nONBUILD ARG F=bin\nONBUILD COPY $F /x\n", {"bin", "bin/run"}),
        ("FROM x\nONBUILD COPY --from=y a.txt /x\n", set()),
        ("FROM x AS x\nONBUILD COPY a.txt /x\nFROM x\n", set()),  # they ran in the parent's own last stage
        ("FROM x\nCOPY a.txt /x\n", set()),
        ("FROM x\nONBUILD COPY <<EOF /x\na.txt\nEOF\n", set()),
        ("", set()),
    ],
)
def test_triggers_of_a_parent_in_the_catalog_run_in_the_child(
    root: Path, parent: str, expected: set[str]
) -> None:
    taken = child(root, parent, "USER 1")
    assert (set(taken.files), taken.problems) == (expected, ())


def test_a_missing_source_of_a_trigger(root: Path) -> None:
    (found,) = child(root, "FROM x\n\nONBUILD COPY nothing /x\n").problems
    assert str(found) == (
        "bases/a/1/Dockerfile_amd64:1: ONBUILD COPY of bases/onb/1/Dockerfile_amd64:3 takes 'nothing', which does"
        " not exist in the context bases/a/ctx; add it there, or copy it from a stage with --from"
    )


PIN = f"sha256:{'7' * 64}"
ONB = "docker.io/library/onb:1"


def upstream_child(root: Path, triggers: Sequence[str], *instructions: str, start: str = "") -> BuildInputs:
    """Return the inputs of an image whose upstream parent has these triggers in its configuration."""
    one = image("a", AMD64, family=family("a", context=PurePosixPath("bases/a/ctx")))
    path = root / one.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((f"{start}FROM {ONB}@{PIN}", *instructions, "")))
    return ContextReader(Folder(root), upstream={PIN: triggers}).inputs(one)


@pytest.mark.parametrize(
    ("triggers", "expected"),
    [
        (["COPY files/sub /x"], SUB),
        (["add a.txt /x", "RUN --mount=source=b.txt,target=/b true"], {"a.txt", "b.txt"}),
        (["ARG F=bin", "COPY $F /x"], {"bin", "bin/run"}),
        (["COPY <<EOF a.txt /x/\nb.txt\nEOF"], {"a.txt"}),
        ([f"COPY --from=y@{PIN} a.txt /x", f"RUN --mount=from=y@{PIN},target=/y true"], set()),
        (["COPY --from=0 a.txt /x", "COPY --from=build b.txt /x"], {"bin", "bin/run"}),
        (["RUN true", "EXPOSE 1"], set()),
    ],
)
def test_triggers_of_an_upstream_parent_run_in_the_child(
    root: Path, triggers: list[str], expected: set[str]
) -> None:
    taken = upstream_child(root, triggers, "USER 1", start="FROM scratch AS Build\nCOPY bin /bin\n")
    assert (set(taken.files), taken.problems) == (expected, ())


def test_triggers_of_an_upstream_parent_run_in_each_stage_that_is_needed(root: Path) -> None:
    unneeded = upstream_child(root, ["COPY a.txt /x"], "FROM scratch")
    needed = upstream_child(root, ["COPY a.txt /x"], "FROM scratch", "COPY --from=0 /x /")
    assert (set(unneeded.files), set(needed.files)) == (set(), {"a.txt"})


def test_an_overlaid_reader_knows_the_triggers_too(root: Path) -> None:
    one = image("a", AMD64, family=family("a", context=PurePosixPath("bases/a/ctx")))
    reader = ContextReader(Folder(root), upstream={PIN: ["COPY a.txt /x"]})
    assert set(reader.overlaid({one.path: f"FROM {ONB}@{PIN}\n"}).inputs(one).files) == {"a.txt"}


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        ("COPY nothing /x", f"ONBUILD COPY of {ONB} takes 'nothing', which does not exist in the context bases/a/ctx; add it there, or copy it from a stage with --from"),
        ("COPY --from=tool a /x", f"ONBUILD COPY of {ONB} uses the image 'tool' without a digest; use another parent, or name a stage before it tool"),
        ("COPY --from=y.z/tool:1 a /x", f"ONBUILD COPY of {ONB} uses the image 'y.z/tool:1' without a digest; use another parent"),
        ("RUN --mount=type=bind,from=$T,target=/t x", f"ONBUILD RUN of {ONB} uses the image '$T' without a digest; use another parent"),
        ("COPY a /b\nFROM evil", f"{ONB} has an ONBUILD trigger that is not an instruction: 'COPY a /b\\nFROM evil'; use another parent"),
        ("COPY <<EOF /x", f"{ONB} has an ONBUILD trigger that is not an instruction: 'COPY <<EOF /x'; use another parent"),
        ("", f"{ONB} has an ONBUILD trigger that is not an instruction: ''; use another parent"),
    ],
)  # fmt: skip
def test_triggers_of_an_upstream_parent_that_are_refused(root: Path, trigger: str, message: str) -> None:
    (found,) = upstream_child(root, [trigger], start="# x\n").problems
    assert str(found) == f"bases/a/1/Dockerfile_amd64:2: {message}"


def test_links_that_a_pattern_matches(root: Path) -> None:
    context = root / "bases/a/ctx"
    (context / "current").symlink_to("files/sub")
    (context / "bin/lost").symlink_to("nowhere")
    assert set(files(root, "COPY curr* /x/")) == {"current", *SUB}
    assert set(files(root, "COPY current/t* /x/")) == {"current", "files/sub/two"}
    assert set(files(root, "COPY */t* /x/")) == set()  # no pattern goes through a link
    assert problem(root, "COPY bin/l* /x/") == (
        "bases/a/1/Dockerfile_amd64:2: COPY takes 'bin/l*', which does not exist in the context bases/a/ctx;"
        " add it there, or copy it from a stage with --from"
    )


def test_an_ignored_link_is_not_followed(root: Path) -> None:
    (root / "bases/a/ctx/current").symlink_to("files/sub")
    (root / "bases/a/ctx/.dockerignore").write_text("current\n")
    assert problem(root, "COPY current/two /x/") == (
        "bases/a/1/Dockerfile_amd64:2: COPY takes 'current/two', which bases/a/ctx/.dockerignore excludes from the context bases/a/ctx;"
        " re-include it there with !"
    )


def test_a_broken_ignore_file_and_a_broken_pattern(root: Path) -> None:
    assert problem(root, "COPY a[ /x/") == (
        "bases/a/1/Dockerfile_amd64:2: COPY has an invalid pattern in 'a[' or its --exclude: a [] class is empty or"
        " not closed; BuildKit rejects it"
    )
    (root / "bases/a/ctx/.dockerignore").write_text("a[\n!\n")
    assert problem(root, "COPY a.txt /x/").splitlines() == [
        "bases/a/ctx/.dockerignore:1: the pattern 'a[' is invalid: a [] class is empty or not closed; BuildKit"
        " rejects it",
        "bases/a/ctx/.dockerignore:2: the pattern '!' is invalid: nothing follows the !; BuildKit rejects it",
    ]


def test_an_empty_ignore_file_beside_the_dockerfile_takes_precedence(root: Path) -> None:
    (root / "bases/a/ctx/.dockerignore").write_text("a.txt\n")
    (root / "bases/a/1").mkdir()
    (root / "bases/a/1/Dockerfile_amd64.dockerignore").write_text("")
    assert set(files(root, "COPY *.txt /x/")) == {"a.txt", "b.txt"}


def test_a_policy_that_buildx_loads_is_an_input(root: Path) -> None:
    path = root / "bases/a/1/Dockerfile_amd64.rego"
    path.parent.mkdir()
    path.write_text("package docker")
    digest = hashlib.sha256(b"package docker").hexdigest()
    assert files(root, "RUN true") == {"bases/a/1/Dockerfile_amd64.rego": f"file 644 sha256:{digest}"}


def test_unwritten_dockerfiles_overlay_the_context(root: Path) -> None:
    name = "bases/a/1/Dockerfile_amd64"
    one = image("a", AMD64, family=family("a"))
    reader = ContextReader(Folder(root), texts={name: "FROM x\nCOPY 1 /x\n"})
    digest = hashlib.sha256(b"FROM x\nCOPY 1 /x\n").hexdigest()
    assert reader.inputs(one).files == {
        "1": "folder 755",
        "1/Dockerfile_amd64": f"file 644 sha256:{digest}",
    }
    assert reader.overlaid({name: "FROM x\n"}).inputs(one).files == {}


OID = f"oid sha256:{'a' * 64}\nsize 12\n"
LFS = "a git-lfs pointer; run `git lfs pull`"


@pytest.mark.parametrize(
    ("content", "instead"),
    [
        (f"version https://git-lfs.github.com/spec/v1\n{OID}", LFS),
        (f"version https://git-lfs.github.com/spec/v1\next-0-x sha256:{'b' * 64}\n{OID}", LFS),
        (f"version https://hawser.github.com/spec/v1\n{OID}", LFS),
        ("/annex/objects/SHA256E-s5--abc.gz\n", "a git-annex pointer; run `git annex get`"),
    ],
)
@pytest.mark.parametrize(
    "instruction", ["COPY a.txt /x", "ADD *.txt /x/", "COPY . /x/", "RUN --mount=target=/src x"]
)
def test_a_file_without_its_content_is_an_error(
    root: Path, content: str, instead: str, instruction: str
) -> None:
    (root / "bases/a/ctx/a.txt").write_text(content)
    keyword = instruction.split(maxsplit=1)[0]
    assert problem(root, instruction) == (
        f"bases/a/1/Dockerfile_amd64:2: {keyword} takes a.txt, which is {instead}"
    )
    assert "b.txt" in files(root, "COPY b.txt /x")  # a file that the build does not take


def test_a_link_into_the_annex_is_an_error(root: Path) -> None:
    (root / "bases/a/ctx/files/big").symlink_to(
        "../../../../.git/annex/objects/0/1/SHA256E-s5--a/SHA256E-s5--a"
    )
    assert problem(root, "COPY files /x/") == (
        "bases/a/1/Dockerfile_amd64:2: COPY takes files/big, which is a link of git-annex;"
        " run `git annex get` and `git annex unlock`"
    )


@pytest.mark.parametrize(
    "content",
    [
        "about version https://git-lfs.github.com/spec/v1\n" + OID,
        "version https://git-lfs.github.com/spec/v1\nis the first line\n",
        f"version https://git-lfs.github.com/spec/v1\n{OID}" + "x" * 1024,
        "see /annex/objects/\n",
    ],
)
def test_a_file_about_pointers_is_not_a_pointer(root: Path, content: str) -> None:
    (root / "bases/a/ctx/a.txt").write_text(content)
    assert files(root, "COPY a.txt /x")["a.txt"].startswith("file ")
