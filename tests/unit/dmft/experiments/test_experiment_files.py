"""What the file of an experiment may say, and what is taken of it."""

import pytest

from dmft.experiments import (
    load_experiment,
    shipped_experiments,
)
from dmft.experiments.grid import override
from pipeline.contract import ConfigError
from tests.unit.dmft.experiments.conftest import HEAD


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("seeds = [0]", 'seeds = ["a"]', r"grids\[0\].seeds\[0\] is 'a'"),
        ("seeds = [0]", "seeds = []", r"seeds is \[\]: wanted at least one"),
        (
            "seeds = [0]",
            'models = ["tutor"]',
            "models is 'tutor': wanted one of teacher, .*or a class",
        ),
        ("seeds = [0]", 'fusion = ["early"]', "fusion is 'early': wanted one of none"),
        ("seeds = [0]", "fusion_tokens = [0]", "fusion_tokens is 0: wanted positive"),
        ("seeds = [0]", "set_for = { tutor = [] }", "set_for is 'tutor': wanted one of"),
        ("seeds = [0]", "sedes = [0]", r"grids\[0\].sedes is not a setting"),
        ('["skeleton", "inertial"]', '["rgb", "rgb"]', r"modalities is \['rgb', 'rgb'\]"),
        ("[[grids]]", "[[grid]]", "grid is not a setting"),
        ("seeds = [0]", "seeds = [", "e2.toml is not valid TOML"),
    ],
)
def test_a_wrong_experiment_is_refused_with_what_was_found(place, old, new, found):
    (place / "e2.toml").write_text(HEAD.replace(old, new))
    with pytest.raises(ConfigError, match=found):
        load_experiment(str(place / "e2.toml"))


def test_an_experiment_without_grids_is_refused(place):
    (place / "e3.toml").write_text('name = "none"\ngrids = []\n')
    with pytest.raises(ConfigError, match=r"grids is \[\]: wanted at least one"):
        load_experiment(str(place / "e3.toml"))


def test_an_unknown_experiment_names_the_shipped_ones():
    with pytest.raises(
        ConfigError, match=r"experiment 'table-0' is neither a file nor one of .*tab"
    ):
        load_experiment("table-0")


@pytest.mark.parametrize("name", shipped_experiments())
def test_shipped_experiments_are_valid_and_described(name):
    found = load_experiment(name)
    assert found.name == name
    assert found.description


def test_every_table_of_the_paper_has_a_shipped_experiment():
    for table in range(1, 9):
        names = [n for n in shipped_experiments() if n.split("-")[:2] == ["table", str(table)]]
        assert names, f"Table {table}"


def test_seeds_configuration_and_settings_can_be_given_beside_the_file(place):
    asked = load_experiment(str(place / "e.toml"))
    other = override(asked, seeds="3,4", config="paper", changes=("training.epochs=2",)).grids[0]
    assert other.seeds == (3, 4)
    assert other.config == "paper"
    assert other.set[-1] == "training.epochs=2"
    with pytest.raises(ConfigError, match="--seeds '1,x': wanted whole numbers"):
        override(asked, seeds="1,x")


def test_a_part_of_a_file_can_be_chosen():
    asked = load_experiment("table-5-utd")
    (grid,) = override(asked, modalities=("inertial,skeleton",)).grids
    assert (grid.protocols, grid.modalities) == (("utd-50-50",), (("skeleton", "inertial"),))
    (grid,) = override(asked, protocols=("utd-loso",), modalities=("rgb,skeleton",)).grids
    assert (grid.protocols, grid.modalities) == (("utd-loso",), (("rgb", "skeleton"),))
    with pytest.raises(ConfigError, match=r"nothing for modalities \['depth'\].*utd-loso rgb,skel"):
        override(asked, modalities=("depth",))
