"""What a run writes into the layout, and what the next run does with it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.commands.building.run import Event, Finished
from dfgen.commands.plan.inputs import TESTS, digest_of_tests
from dfgen.errors import CheckError, ExitCode, ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, INPUTS, Index, Manifest
from tests.unit.models import AMD64, UPSTREAM, a_test
from tests.unit.world import World, states

WAIT = 20.0


def test_images_are_tagged_and_versions_have_an_index_of_all_platforms(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []})
    run = world.build()
    entries = world.layout.entries()
    assert sorted(entries) == ["a:1", "a:1-aarch64", "a:1-x86_64"]
    index = world.layout.manifest(entries["a:1"])
    assert isinstance(index, Index)
    assert [str(child.platform) for child in index.images] == ["linux/amd64", "linux/arm64"]
    assert run.merged == {"a:1": entries["a:1"].digest}
    assert run.exit_code == ExitCode.SUCCESS


def test_an_entry_is_annotated_with_its_inputs_and_passed_tests(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    run = world.build()
    step = run.results[0].step
    assert step.inputs
    marks = world.layout.entries()["a:1-x86_64"].annotations
    assert marks[INPUTS] == str(step.inputs.digest)
    assert marks[TESTS] == str(digest_of_tests(step.image))
    assert world.records.inputs(step.inputs.digest) == step.inputs


def test_a_request_has_the_annotations_of_the_parent(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    step = world.build().results[0].step
    assert step.inputs
    request = world.builder.requests["a:1@amd64"]
    pin = world.lock.parents[UPSTREAM].platforms[AMD64].digest
    base = {BASE_NAME: UPSTREAM, BASE_DIGEST: str(pin)}
    assert request.annotations == {**base, INPUTS: str(step.inputs.digest)}
    assert (str(request.dockerfile), str(request.context)) == ("bases/a/1/Dockerfile_amd64", "bases/a")
    assert request.log == tmp_path / "dist" / "logs" / "a-1-amd64.log"


def test_a_second_run_builds_and_changes_nothing(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"b": ["a"], "a": []})
    first = world.build()
    index = (tmp_path / "dist" / "index.json").read_bytes()
    second = world.build()
    assert world.builder.built == []
    assert set(states(second).values()) == {"up to date"}
    assert second.merged == first.merged
    assert [one.digest for one in second.results] == [one.digest for one in first.results]
    assert [one.size for one in second.results] == [one.size for one in first.results]
    assert (tmp_path / "dist" / "index.json").read_bytes() == index


def test_the_size_is_the_sum_of_manifest_configuration_and_layers(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    result = world.build().results[0]
    blobs = [path.stat().st_size for path in (tmp_path / "dist" / "blobs").rglob("*") if path.is_file()]
    merged = world.layout.entries()["a:1"].size
    assert result.size == sum(blobs) - merged


def test_only_a_damaged_image_is_built_again(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": []})
    run = world.build()
    digest = run.results[0].digest
    assert digest
    world.layout.blob_path(digest).unlink()
    assert world.reasons()["a:1@amd64"] == "damaged in the layout"
    again = world.build()
    assert world.builder.built == ["a:1@amd64"]
    assert again.merged == run.merged


def test_children_are_not_built_if_the_parent_restores_their_damaged_blob(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]})
    world.build()
    manifest = world.layout.manifest(world.layout.entries()["a:1-x86_64"])
    assert isinstance(manifest, Manifest)
    world.layout.blob_path(
        manifest.config.digest
    ).unlink()  # all images of a platform have this configuration
    reasons = world.reasons()
    assert (reasons["a:1@amd64"], reasons["b:1@amd64"]) == ("damaged in the layout", "damaged in the layout")
    run = world.build()
    assert world.builder.built == ["a:1@amd64"]
    assert run.exit_code == 0


def test_a_missing_merged_tag_is_restored_without_a_build(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []})
    first = world.build()
    world.layout.tag({"a:1": None})
    second = world.build()
    assert world.builder.built == []
    assert second.merged == first.merged
    assert world.layout.entries()["a:1"].digest == first.merged["a:1"]


def test_a_version_is_merged_again_when_the_index_of_its_parent_changes(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []})
    world.build()
    locked = replace(world.lock.parents[UPSTREAM], digest=Digest.of(b"another index of the same images"))
    world.lock = world.lock.with_parents({UPSTREAM: locked})
    world.build()
    assert world.builder.built == []
    index = world.layout.manifest(world.layout.entries()["a:1"])
    assert index.annotations[BASE_DIGEST] == str(locked.digest)


def test_changed_smoke_tests_run_without_a_build(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    digest = world.build().results[0].digest
    world.change("a:1@amd64", tests=(a_test(),))
    assert world.reasons() == {"a:1@amd64": "smoke tests changed"}
    run = world.build()
    assert (world.builder.built, world.builder.tested) == ([], ["a:1@amd64"])
    assert run.results[0].digest == digest
    assert world.reasons() == {"a:1@amd64": "up to date"}


def test_a_version_is_merged_when_its_last_platform_is_built(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []})
    assert world.build("a:1@arm64").merged == {}
    assert sorted(world.layout.entries()) == ["a:1-aarch64"]
    assert sorted(world.build("a:1@amd64").merged) == ["a:1"]
    assert world.builder.built == ["a:1@amd64"]


def test_a_version_with_an_outdated_platform_is_not_merged(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []})
    world.build()
    for arch in ("amd64", "arm64"):
        (tmp_path / "bases" / "a" / "1" / f"Dockerfile_{arch}").write_text("FROM y\n")
    assert world.build("a:1@arm64").merged == {}


def test_the_record_of_the_run_is_written(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    run = world.build()
    result = run.results[0]
    assert result.step.inputs
    assert world.records.read_run() == json.loads(json.dumps(run.to_json()))
    assert run.to_json()["images"] == [
        {
            "name": "a:1@amd64",
            "family": "a",
            "version": "1",
            "platform": "linux/amd64",
            "state": "built",
            "reason": "not built yet",
            "inputs": str(result.step.inputs.digest),
            "digest": str(result.digest),
            "size": result.size,
            "seconds": round(result.seconds, 3),
            "node": "default",
            "packages": None,
            "log": str(tmp_path / "dist" / "logs" / "a-1-amd64.log"),
            "error": None,
        }
    ]


def test_an_interrupt_stops_running_builds_and_the_next_run_resumes(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "slow": [], "c": ["a", "slow"]}, [AMD64])
    events: list[Event] = []

    def during(name: str) -> None:
        if name == "slow:1@amd64":
            assert ended.wait(WAIT)
            raise ExternalError("stopped")

    def report(event: Event) -> None:
        events.append(event)
        if isinstance(event, Finished):
            raise KeyboardInterrupt

    ended = threading.Event()
    world.builder.during = during
    world.builder.on_stop = ended.set
    run = world.build(report=report)
    assert run.interrupted
    assert ended.is_set()
    assert states(run) == {"a:1@amd64": "built", "slow:1@amd64": "interrupted", "c:1@amd64": "not tried"}
    found = {one["name"]: (one["state"], one["error"]) for one in world.records.read_run()["images"]}
    interrupted = "skipped, because the run was interrupted"
    assert found["a:1@amd64"] == ("built", None)
    assert found["slow:1@amd64"] == ("interrupted", "slow:1@amd64: interrupted during [1/1] FROM")
    assert found["c:1@amd64"] == ("not tried", f"c:1@amd64: {interrupted}")

    world.builder.during = lambda _: None
    run = world.build()
    assert states(run) == {"a:1@amd64": "up to date", "slow:1@amd64": "built", "c:1@amd64": "built"}
    assert sorted(run.merged) == ["a:1", "c:1", "slow:1"]


def test_a_record_that_cannot_be_written_is_an_error_and_results_are_kept(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    (tmp_path / "dist" / "build.json").mkdir(parents=True)
    run = world.build()
    assert states(run) == {"a:1@amd64": "built"}
    assert [str(error) for error in run.errors] == [
        f"{tmp_path}/dist/build.json: cannot be written: Is a directory"
    ]
    assert run.exit_code == ExitCode.ENVIRONMENT


def test_options_that_change_the_image_cause_a_build(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    world.build()
    world.catalog = replace(world.catalog, source_date_epoch=1)
    assert world.reasons() == {"a:1@amd64": "inputs changed: source_date_epoch"}


def test_no_cache_is_passed_to_the_engine(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    world.build(no_cache=True)
    assert world.builder.requests["a:1@amd64"].no_cache


def test_no_cache_builds_everything_again(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"b": ["a"], "a": []}, [AMD64])
    first = world.build()
    dockerfile = tmp_path / "bases" / "a" / "1" / "Dockerfile_amd64"
    dockerfile.write_text(f"{dockerfile.read_text()}# a comment\n")
    run = world.build(no_cache=True)  # the child is built even though its parent has the same digest
    assert world.builder.built == ["a:1@amd64", "b:1@amd64"]
    assert run.merged == first.merged


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([CheckError("x")], ExitCode.CHECK_FAILED),
        ([ExternalError("x")], ExitCode.ENVIRONMENT),
        ([ExternalError("x"), CheckError("y")], ExitCode.CHECK_FAILED),
    ],
)
def test_the_failures_decide_the_exit_code(
    tmp_path: Path, errors: list[CheckError | ExternalError], code: ExitCode
) -> None:
    world = World.of(tmp_path, {"a": [], "b": []}, [AMD64])
    world.builder.failures = dict(zip(("a:1@amd64", "b:1@amd64"), errors, strict=False))
    assert world.build().exit_code == code
