"""The exact output of each format for one plan, and plans that cannot be exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from ruamel.yaml import YAML

from dfgen.commands.plan.inputs import Plan, Reason, Step
from dfgen.errors import InputError
from dfgen.exports import graph
from dfgen.exports.bake import bake, wave_names
from dfgen.exports.ci import plain_names, waves
from dfgen.exports.github import github
from dfgen.exports.gitlab import gitlab
from tests.unit.exports.plans import a_plan, all_new, chain, pinned, step
from tests.unit.models import AMD64, ARM64, catalog, family, image

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path("somewhere")


def baked(plan: Plan) -> str:
    found = catalog(ROOT, [one.image for one in plan.steps])
    return bake(plan, pinned("base:1", "tool:1.0"), found, "dist/bake")


def exported(name: str) -> str:
    plan = a_plan()
    return {
        "plan.mmd": lambda: graph.mermaid(plan),
        "bake.json": lambda: baked(plan),
        "github.json": lambda: github(plan),
        "gitlab.yml": lambda: gitlab(all_new(plan)),
    }[name]()


@pytest.mark.parametrize("name", ["plan.mmd", "bake.json", "github.json", "gitlab.yml"])
def test_an_export_equals_its_golden_file(name: str) -> None:
    assert exported(name) == (GOLDEN / name).read_text(encoding="utf-8")


def test_a_child_is_in_a_wave_after_all_platforms_of_its_parents() -> None:
    # Only the arm64 image of base has a parent, and it comes after the child of the other one.
    low, high = image("low", ARM64), image("base", AMD64)
    steps = [
        step(high),
        step(image("app", AMD64, ["base:1"])),
        step(low),
        step(image("base", ARM64, ["low:1"])),
    ]
    found = [[one.image.name for one in wave] for wave in waves(steps)]
    assert found == [["low:1@arm64"], ["base:1@amd64", "base:1@arm64"], ["app:1@amd64"]]


def test_a_github_wave_has_only_its_own_images() -> None:
    plan = Plan(steps=tuple(chain("a", "b", "c")))
    found = json.loads(github(plan, wave=2))["include"]
    assert [one["select"] for one in found] == ["b:1@amd64", "b:1@arm64"]
    assert json.loads(github(plan, wave=4)) == {"include": []}


def _matrix(plan: Plan, wave: int = 0) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(github(plan, wave=wave))["include"]
    return found


def test_a_github_job_names_only_the_artifacts_of_its_parents() -> None:
    # A glob in braces needs at least two names.
    steps = (*chain("a", "b"), step(image("c", AMD64)), step(image("d", AMD64, ["c:1"])))
    assert {one["select"]: one["parents"] for one in _matrix(Plan(steps=steps))} == {
        "a:1@amd64": "",
        "a:1@arm64": "",
        "b:1@amd64": "{a-1-amd64,a-1-arm64}",
        "b:1@arm64": "{a-1-amd64,a-1-arm64}",
        "c:1@amd64": "",
        "d:1@amd64": "c-1-amd64",
    }


@pytest.mark.parametrize(
    ("number", "jobs", "largest"),
    [(128, 256, 1), (129, 130, 2), (256, 256, 2), (257, 172, 3), (1000, 250, 8)],
)
def test_no_matrix_exceeds_the_limit_of_github(number: int, jobs: int, largest: int) -> None:
    steps = [step(image(f"a:{at}", platform)) for at in range(number) for platform in (AMD64, ARM64)]
    matrix = _matrix(Plan(steps=tuple(steps)))
    shares = [str(one["select"]).split() for one in matrix]
    assert (len(matrix), max(map(len, shares))) == (jobs, largest)
    assert sorted(name for share in shares for name in share) == sorted(one.image.name for one in steps)
    assert len({one["artifact"] for one in matrix}) == jobs
    for one, share in zip(matrix, shares, strict=True):
        assert {name.partition("@")[2] for name in share} == {str(one["platform"]).partition("/")[2]}
        assert one["name"] == (share[0] if len(share) == 1 else f"{share[0]} and {len(share) - 1} more")


def test_a_child_of_images_that_share_a_job_uses_the_artifact_of_that_job() -> None:
    low = [step(image(f"a:{at}", AMD64)) for at in range(257)]
    (child,) = _matrix(Plan(steps=(*low, step(image("b", AMD64, ["a:1"])))), wave=2)
    assert (child["select"], child["parents"]) == ("b:1@amd64", "a-0-amd64")


def test_a_job_with_more_needs_than_gitlab_allows_is_refused() -> None:
    low = [step(image(f"a:{at}", AMD64)) for at in range(51)]
    child = step(image("b", AMD64, [f"a:{at}" for at in range(51)]))
    assert YAML(typ="safe").load(gitlab(Plan(steps=(*low[1:], child))))["b:1@amd64"]["needs"]
    with pytest.raises(InputError) as caught:
        gitlab(Plan(steps=(*low, child)))
    why = "b:1@amd64 needs 51 jobs, but GitLab allows 50; build its parents in an earlier pipeline, or for fewer platforms"
    assert str(caught.value) == f"bases/b/base.yaml:1: {why}"


def test_a_runner_can_be_set_and_other_platforms_have_the_default() -> None:
    plan = Plan(steps=tuple(chain("a")))
    found = json.loads(github(plan, ["aarch64=my arm"]))["include"]
    assert [one["runner"] for one in found] == ["ubuntu-24.04", "my arm"]
    jobs = YAML(typ="safe").load(gitlab(plan, ["x64=mine"]))
    assert [jobs["a:1@amd64"]["tags"], jobs["a:1@arm64"]["tags"]] == [["mine"], ["saas-linux-small-arm64"]]


@pytest.mark.parametrize("word", ["arm64", "arm64="])
def test_a_word_without_a_runner_is_refused(word: str) -> None:
    with pytest.raises(InputError) as caught:
        github(Plan(steps=()), [word])
    expected = "runner label is missing; use PLATFORM=LABEL, for example arm64=my-arm"
    assert str(caught.value) == f"--runner {word}: {expected}"


def test_a_pipeline_is_yaml_whose_jobs_need_all_platforms_of_their_parents() -> None:
    jobs = YAML(typ="safe").load(gitlab(Plan(steps=tuple(chain("a", "b")))))
    assert jobs["a:1@arm64"]["needs"] == []
    assert jobs["b:1@arm64"]["needs"] == ["a:1@amd64", "a:1@arm64"]
    assert jobs["merge"]["script"] == [
        "dfgen join layouts/a-1-amd64 layouts/a-1-arm64 layouts/b-1-amd64 layouts/b-1-arm64"
    ]


def test_a_pipeline_with_nothing_to_build_still_has_its_merge_job() -> None:
    assert YAML(typ="safe").load(gitlab(Plan(steps=())))["merge"]["script"] == ["echo nothing to build"]


def test_plain_names_are_unique() -> None:
    plan = Plan(steps=(step(image("a:1.0", AMD64)), step(image("a:1_0", AMD64)), step(image("a-1:0", AMD64))))
    assert list(plain_names(plan).values()) == ["a-1_0-amd64", "a-1_0-amd64-2", "a-1-0-amd64"]


def test_templates_of_bake_are_escaped() -> None:
    odd = family("a", context=PurePosixPath("bases/${a}%{b}"))
    found = json.loads(baked(Plan(steps=(step(image("a", AMD64, family=odd)),))))
    assert found["target"]["a-1-amd64"]["context"] == "bases/$${a}%%{b}"


@pytest.mark.parametrize("export", [baked, github, gitlab])
def test_an_image_whose_parent_has_no_pin_cannot_be_exported(export: Callable[[Plan], str]) -> None:
    steps = chain("a", "b")
    unknown = (replace(one, inputs=None, reason=Reason.PARENT, detail="a:1") for one in steps[2:])
    with pytest.raises(InputError) as caught:
        export(Plan(steps=(*steps[:2], *unknown)))
    why = "cannot be exported, because a:1 has no pin yet; run `dfgen build a:1` to pin it"
    assert str(caught.value).splitlines() == [
        f"bases/b/base.yaml:1: b:1@{arch} {why}" for arch in ("amd64", "arm64")
    ]


def test_the_command_that_pins_several_parents_can_be_pasted() -> None:
    top = image("c", AMD64, ["a:1", "b:1"])
    waiting = Step(image=top, reason=Reason.PARENT, detail="b:1")
    with pytest.raises(InputError) as caught:
        baked(Plan(steps=(waiting,)))
    assert str(caught.value) == (
        "bases/c/base.yaml:1: c:1@amd64 cannot be exported, because b:1 has no pin yet;"
        " run `dfgen build a:1 b:1` to pin it"
    )


def test_the_groups_of_a_bake_file_are_its_waves() -> None:
    plan = a_plan()
    assert list(json.loads(baked(plan))["group"]) == list(wave_names(plan)) == ["wave-1", "wave-2"]
