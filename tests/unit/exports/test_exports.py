"""What each format says of one plan, to the letter; and what cannot be exported."""

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
def test_an_export_is_what_is_golden(name: str) -> None:
    assert exported(name) == (GOLDEN / name).read_text(encoding="utf-8")


def test_a_child_comes_in_a_wave_after_all_platforms_of_its_parents() -> None:
    # Of base only the arm64 image has a parent, and it stands after the child of the other.
    low, high = image("low", ARM64), image("base", AMD64)
    steps = [
        step(high),
        step(image("app", AMD64, ["base:1"])),
        step(low),
        step(image("base", ARM64, ["low:1"])),
    ]
    found = [[one.image.name for one in wave] for wave in waves(steps)]
    assert found == [["low:1@arm64"], ["base:1@amd64", "base:1@arm64"], ["app:1@amd64"]]


def test_a_wave_of_github_has_its_images_alone() -> None:
    plan = Plan(steps=tuple(chain("a", "b", "c")))
    found = json.loads(github(plan, wave=2))["include"]
    assert [one["select"] for one in found] == ["b:1@amd64", "b:1@arm64"]
    assert json.loads(github(plan, wave=4)) == {"include": []}


def _matrix(plan: Plan, wave: int = 0) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(github(plan, wave=wave))["include"]
    return found


def test_a_job_of_github_names_the_artifacts_of_its_parents_alone() -> None:
    # A pattern in braces has to have two names at least.
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
def test_no_matrix_is_larger_than_github_takes(number: int, jobs: int, largest: int) -> None:
    steps = [step(image(f"a:{at}", platform)) for at in range(number) for platform in (AMD64, ARM64)]
    matrix = _matrix(Plan(steps=tuple(steps)))
    shares = [str(one["select"]).split() for one in matrix]
    assert (len(matrix), max(map(len, shares))) == (jobs, largest)
    assert sorted(name for share in shares for name in share) == sorted(one.image.name for one in steps)
    assert len({one["artifact"] for one in matrix}) == jobs
    for one, share in zip(matrix, shares, strict=True):
        assert {name.partition("@")[2] for name in share} == {str(one["platform"]).partition("/")[2]}
        assert one["name"] == (share[0] if len(share) == 1 else f"{share[0]} and {len(share) - 1} more")


def test_a_child_of_images_that_share_a_job_takes_the_artifact_of_that_job() -> None:
    low = [step(image(f"a:{at}", AMD64)) for at in range(257)]
    (child,) = _matrix(Plan(steps=(*low, step(image("b", AMD64, ["a:1"])))), wave=2)
    assert (child["select"], child["parents"]) == ("b:1@amd64", "a-0-amd64")


def test_a_job_that_waits_for_more_than_gitlab_takes_is_refused() -> None:
    low = [step(image(f"a:{at}", AMD64)) for at in range(51)]
    child = step(image("b", AMD64, [f"a:{at}" for at in range(51)]))
    assert YAML(typ="safe").load(gitlab(Plan(steps=(*low[1:], child))))["b:1@amd64"]["needs"]
    with pytest.raises(InputError) as caught:
        gitlab(Plan(steps=(*low, child)))
    why = "b:1@amd64 has to wait for 51 jobs, and GitLab takes 50; build the parents in a pipeline before, or give fewer platforms"
    assert str(caught.value) == f"bases/b/base.yaml:1: {why}"


def test_a_runner_can_be_chosen_and_others_have_the_default() -> None:
    plan = Plan(steps=tuple(chain("a")))
    found = json.loads(github(plan, ["aarch64=my arm"]))["include"]
    assert [one["runner"] for one in found] == ["ubuntu-24.04", "my arm"]
    jobs = YAML(typ="safe").load(gitlab(plan, ["x64=mine"]))
    assert [jobs["a:1@amd64"]["tags"], jobs["a:1@arm64"]["tags"]] == [["mine"], ["saas-linux-small-arm64"]]


@pytest.mark.parametrize("word", ["arm64", "arm64="])
def test_a_word_that_names_no_runner_is_refused(word: str) -> None:
    with pytest.raises(InputError) as caught:
        github(Plan(steps=()), [word])
    expected = "does not say which runner; expected PLATFORM=LABEL, such as arm64=my-arm"
    assert str(caught.value) == f"--runner {word}: {expected}"


def test_a_pipeline_is_yaml_whose_jobs_wait_for_all_platforms_of_their_parents() -> None:
    jobs = YAML(typ="safe").load(gitlab(Plan(steps=tuple(chain("a", "b")))))
    assert jobs["a:1@arm64"]["needs"] == []
    assert jobs["b:1@arm64"]["needs"] == ["a:1@amd64", "a:1@arm64"]
    assert jobs["merge"]["script"] == [
        "dfgen join layouts/a-1-amd64 layouts/a-1-arm64 layouts/b-1-amd64 layouts/b-1-arm64"
    ]


def test_a_pipeline_with_nothing_to_build_still_has_its_joining_job() -> None:
    assert YAML(typ="safe").load(gitlab(Plan(steps=())))["merge"]["script"] == ["echo nothing to build"]


def test_names_that_become_alike_are_told_apart() -> None:
    plan = Plan(steps=(step(image("a:1.0", AMD64)), step(image("a:1_0", AMD64)), step(image("a-1:0", AMD64))))
    assert list(plain_names(plan).values()) == ["a-1_0-amd64", "a-1_0-amd64-2", "a-1-0-amd64"]


def test_what_bake_would_read_as_its_own_is_text() -> None:
    odd = family("a", context=PurePosixPath("bases/${a}%{b}"))
    found = json.loads(baked(Plan(steps=(step(image("a", AMD64, family=odd)),))))
    assert found["target"]["a-1-amd64"]["context"] == "bases/$${a}%%{b}"


@pytest.mark.parametrize("export", [baked, github, gitlab])
def test_an_image_whose_parent_has_no_pin_cannot_be_exported(export: Callable[[Plan], str]) -> None:
    steps = chain("a", "b")
    unknown = (replace(one, inputs=None, reason=Reason.PARENT, detail="a:1") for one in steps[2:])
    with pytest.raises(InputError) as caught:
        export(Plan(steps=(*steps[:2], *unknown)))
    why = (
        "cannot be exported: there is no pin yet of a:1; run `dfgen build a:1`, which writes it into the lock"
    )
    assert str(caught.value).splitlines() == [
        f"bases/b/base.yaml:1: b:1@{arch} {why}" for arch in ("amd64", "arm64")
    ]


def test_the_command_that_pins_several_parents_can_be_run_as_it_is_told() -> None:
    top = image("c", AMD64, ["a:1", "b:1"])
    waiting = Step(image=top, reason=Reason.PARENT, detail="b:1")
    with pytest.raises(InputError) as caught:
        baked(Plan(steps=(waiting,)))
    assert str(caught.value) == (
        "bases/c/base.yaml:1: c:1@amd64 cannot be exported: there is no pin yet of b:1;"
        " run `dfgen build a:1 b:1`, which writes it into the lock"
    )


def test_the_groups_of_a_bake_file_are_its_waves() -> None:
    plan = a_plan()
    assert list(json.loads(baked(plan))["group"]) == list(wave_names(plan)) == ["wave-1", "wave-2"]
