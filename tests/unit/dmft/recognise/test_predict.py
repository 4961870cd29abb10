"""From raw files to activities: the encoding is the cache's, and one bad file harms no other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dmft.data import open_cache
from dmft.export.folder import INT8_FILE
from dmft.recognise import load_recogniser, predict
from dmft.recognise.recordings import group_files, place
from dmft.runs.files import seal_of, write_json
from dmft.runs.trained import load_run
from pipeline.contract import ConfigError, ContractError, RecordingError
from tests.fabricate import path_of
from tests.trained import shared_export, shared_place


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return shared_place(tmp_path_factory)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return shared_export(tmp_path_factory)


def files_of(place, record_id, *modalities):
    return [place.raw / path_of(record_id, m) for m in modalities or ("skeleton", "inertial")]


def test_raw_files_are_predicted_as_evaluate_predicts_them_from_the_cache(trained):
    run = load_run(trained.run)
    cache = open_cache(trained.cache, run.info.spec.modalities)
    wanted = run.predict(cache, torch.arange(len(cache))).numpy()
    files = [file for i in cache.record_ids for file in files_of(trained, i)]
    found = predict(trained.run, files)
    assert [each.recording for each in found] == list(cache.record_ids)
    classes = run.info.spec.classes
    probabilities = [[each.probabilities[name] for name in classes] for each in found]
    np.testing.assert_allclose(probabilities, wanted, rtol=0, atol=1e-5)
    assert [each.activity for each in found] == [classes[k] for k in wanted.argmax(axis=1)]


def test_an_export_predicts_what_its_run_predicts(trained, exported):
    by_run, by_graph = (predict(m, raw=trained.raw) for m in (trained.run, exported))
    assert len(by_run) == 8
    for one, other in zip(by_run, by_graph, strict=True):
        assert one.activity == other.activity
        for name, vote in one.votes.items():
            assert other.votes[name] == pytest.approx(vote, abs=1e-5)
    assert load_recogniser(exported, graph=INT8_FILE).classes == tuple(sorted_classes(by_run[0]))


def sorted_classes(prediction):
    """The classes in the order of the data set."""
    from pipeline.manifests.utd_mhad import UTD_MHAD_CLASSES

    assert set(prediction.probabilities) == set(UTD_MHAD_CLASSES)
    return UTD_MHAD_CLASSES


def test_one_modality_alone_is_enough_and_the_other_has_no_vote(trained):
    (alone,) = predict(trained.run, files_of(trained, "a1_s1_t1", "inertial"))
    assert list(alone.votes) == ["inertial"]
    share = alone.reliability["inertial"]
    assert list(alone.reliability) == ["inertial"]
    mixed = {k: share * v + (1 - share) / 27 for k, v in alone.votes["inertial"].items()}
    assert alone.probabilities == pytest.approx(mixed, abs=1e-6)
    assert sum(alone.probabilities.values()) == pytest.approx(1, abs=1e-5)
    ranks = list(alone.probabilities.values())
    assert ranks == sorted(ranks, reverse=True)


def test_a_file_that_cannot_be_read_is_named_and_the_rest_goes_on(trained, tmp_path):
    raw = shutil.copytree(trained.raw, tmp_path / "raw")
    broken, gone = (raw / path_of("a1_s1_t1", m) for m in ("skeleton", "inertial"))
    broken.write_bytes(broken.read_bytes()[:-40])
    lost = [broken, gone, *(raw / path_of("a2_s1_t1", m) for m in ("skeleton", "inertial"))]
    gone.unlink()
    lost[2].write_bytes(b"")
    first, second = predict(trained.run, lost)
    assert first.activity is None
    assert first.votes == {}
    assert [file for file, _ in first.failures] == [str(broken), str(gone)]
    assert "no such file" in first.failures[1][1]
    assert list(second.votes) == ["inertial"]
    assert second.failures == ((str(lost[2]), "the file is empty"),)


def test_a_raw_tree_is_read_whole_or_by_names_inside_it(trained):
    everything = predict(trained.run, raw=trained.raw)
    (one,) = predict(trained.run, [path_of("a3_s2_t1", "skeleton")], raw=trained.raw)
    assert len(everything) == 8
    assert one.recording == "a3_s2_t1"
    with pytest.raises(RecordingError, match="nowhere is not a folder"):
        predict(trained.run, raw="nowhere")


def test_names_say_recording_and_modality():
    def names(path, dataset):
        named = place(path, dataset)
        return named.record_id, named.modality, named.stream

    assert names("x/a3_s2_t1_color.avi", "utd-mhad") == ("a3_s2_t1", "rgb", "rgb")
    assert names("Kitchen 07_Skeleton.MAT", "utd-mhad") == ("Kitchen 07", "skeleton", "skeleton")
    assert names("Kitchen_acc_watch.csv", "mmact") == ("Kitchen", "inertial", "acc_watch")
    tree = "gyro_clip/subject1/scene2/session3/fall.csv"
    trial = "subject1_cam0_scene2_session3_fall"
    assert names(tree, "mmact") == (trial, "inertial", "gyro")
    assert names("a28_s1_t1_inertial.mat", "utd-mhad") == ("a28_s1_t1", "inertial", "inertial")
    unknown = "acc_watch_clip/subject1/scene1/session1/clip0001.csv"
    assert names(unknown, "mmact") == ("clip0001", "inertial", "acc_watch")
    with pytest.raises(ContractError, match=r"name 'notes\.txt' does not say .* _inertial\.mat"):
        place("notes.txt", "utd-mhad")


def files_in(tmp_path, *names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return [tmp_path / name for name in names]


def grouped(tmp_path, *names, dataset="utd-mhad"):
    files, modalities = files_in(tmp_path, *names), ("rgb", "skeleton", "inertial")
    recordings = group_files(files, dataset=dataset, modalities=modalities).recordings
    return {
        recording.id: sorted(
            Path(file.shown).relative_to(tmp_path).as_posix()
            for streams in recording.files.values()
            for file in streams
        )
        for recording in recordings
    }


def test_recordings_of_two_folders_or_two_names_are_never_one(tmp_path):
    """Two people's became one, and so did two Chinese names."""
    names = ["anna/walk_inertial.mat", "bert/walk_skeleton.mat"]
    assert grouped(tmp_path, *names) == {f"{n[:4]}/walk": [n] for n in names}
    names = ["走路_inertial.mat", "跑步_skeleton.mat"]
    assert grouped(tmp_path, *names) == {"走路": [names[0]], "跑步": [names[1]]}
    names = ["anna/Inertial/a1_s1_t1_inertial.mat", "anna/Skeleton/a1_s1_t1_skeleton.mat"]
    other = "bert/Skeleton/a1_s1_t1_skeleton.mat"
    assert grouped(tmp_path, *names, other) == {"anna/a1_s1_t1": names, "bert/a1_s1_t1": [other]}


def test_sensors_without_a_label_go_to_the_views_of_their_folder(tmp_path):
    sensors = [f"{s}_clip/subject1/scene1/session1/clip7.csv" for s in ("acc_watch", "gyro")]
    films = [f"trainval/subject1/cam{c}/scene1/session1/clip7.mp4" for c in (1, 2)]
    found = grouped(tmp_path, *sensors, *films, dataset="mmact")
    assert list(found.values()) == [sorted([*sensors, film]) for film in films]


def test_files_of_a_raw_tree_that_are_not_used_are_named(tmp_path):
    files_in(tmp_path, "Inertial/clip0001_inertial.mat", "Inertial/odd.mat", "README.txt")
    found = group_files((), dataset="utd-mhad", modalities=("inertial",), raw=tmp_path)
    assert [r.id for r in found.recordings] == ["clip0001"]
    assert found.ignored == ("Inertial/odd.mat",)


def test_files_that_belong_to_nothing_are_failures_of_their_own(trained, tmp_path):
    twin = trained.raw / "a1_s1_t1_skeleton.mat"
    files = [*files_of(trained, "a1_s1_t1"), twin, "nowhere/a1_s1_t1_depth.mat", "notes.txt"]
    files.append(trained.raw / "a1_s1_t1_color.avi")
    found = group_files(files, dataset="utd-mhad", modalities=("skeleton", "inertial"))
    assert [each.id for each in found.recordings] == ["a1_s1_t1"]
    assert [file for file, _ in found.failures] == [str(twin), files[3], "notes.txt"]
    assert "is a second skeleton of a1_s1_t1" in found.failures[0][1]
    assert found.ignored == (str(files[-1]),)
    with pytest.raises(ContractError, match=r"notes\.txt: the name 'notes\.txt' does not say"):
        predict(trained.run, ["notes.txt"])


def test_files_of_a_trial_go_to_each_of_its_views_that_is_there(tmp_path):
    sensors = ["acc_watch", "gyro"]
    inside = [f"{s}_clip/subject1/scene1/session1/fall.csv" for s in sensors]
    inside += [f"trainval/subject1/cam{c}/scene1/session1/fall.mp4" for c in (2, 1)]
    for path in inside:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    for how in ({"files": inside, "raw": tmp_path}, {"files": [tmp_path / p for p in inside]}):
        both = group_files(**how, dataset="mmact", modalities=("rgb", "inertial"))
        assert {r.id: sorted(r.files) for r in both.recordings} == {
            "subject1_cam2_scene1_session1_fall": ["inertial", "rgb"],
            "subject1_cam1_scene1_session1_fall": ["inertial", "rgb"],
        }
        for each in both.recordings:
            files = each.files["inertial"]
            assert [file.stream for file in files] == sensors
            assert len({id(file.tree) for file in files}) == 1
            assert all(file.tree.size(file.path) == 0 for file in files)
        (alone,) = group_files(**how, dataset="mmact", modalities=("inertial",)).recordings
        assert alone.id == "subject1_cam0_scene1_session1_fall"


def test_a_name_that_leads_out_of_the_tree_harms_only_itself(trained):
    files = ["../run/a1_s1_t1_skeleton.mat", path_of("a1_s1_t1", "inertial")]
    found = group_files(
        files, dataset="utd-mhad", modalities=("skeleton", "inertial"), raw=trained.raw
    )
    assert [list(each.files) for each in found.recordings] == [["inertial"]]
    assert found.failures[0][0] == files[0]
    assert "leads out of the raw tree" in found.failures[0][1]


def test_files_of_other_modalities_alone_are_nothing_to_recognise(trained, tmp_path):
    depth = trained.raw / "a1_s1_t1_depth.mat"
    with pytest.raises(ConfigError, match=r"of skeleton, inertial, found only .*t1_depth\.mat"):
        predict(trained.run, [depth])
    with pytest.raises(ConfigError, match=r"found 2 files of other modalities, as .*t1_depth\.mat"):
        predict(trained.run, [depth, tmp_path / "a1_s1_t1_color.avi"])
    with pytest.raises(ConfigError, match="found none"):
        predict(trained.run, raw=tmp_path)


def reseal(run, **entries):
    said = json.loads((run / "run.json").read_text())
    said["source"] |= entries
    (run / "run.json").write_text(json.dumps(said | {"sha256": seal_of(said)}))


def test_a_run_that_does_not_say_how_its_cache_was_encoded_is_refused(trained, tmp_path):
    run = shutil.copytree(trained.run, tmp_path / "run")
    reseal(run, encodings={})
    with pytest.raises(ContractError, match=r"run does not say how its skeleton was encoded"):
        load_recogniser(run)


def test_an_encoding_of_another_version_is_refused(trained, tmp_path):
    run = shutil.copytree(trained.run, tmp_path / "run")
    encodings = json.loads((run / "run.json").read_text())["source"]["encodings"]
    encodings["inertial"]["encoder_version"] = 99
    reseal(run, encodings=encodings)
    with pytest.raises(ContractError, match="inertial of encoder version 99: this software has"):
        load_recogniser(run)


def test_a_run_of_several_folds_is_refused_with_the_name_of_one(trained, tmp_path):
    shutil.copytree(trained.run, tmp_path / "all" / "fold-a")
    shutil.copytree(trained.run, tmp_path / "all" / "fold-b")
    write_json(tmp_path / "all" / "folds.json", {"folds": ["a", "b"]})
    with pytest.raises(ContractError, match=r"name one of them, as .*fold-a"):
        load_recogniser(tmp_path / "all")
