"""A run's configuration: what the features, the models, the training and distillation are.

Named configurations are TOML files in ``data_manifests/configs``; a user's file lists only what
differs from its ``base``. It says nothing of caches, protocols, seeds and folders: those are the
run's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmft.data.fault_words import FAULTS
from dmft.models.config import (
    EncoderConfig,
    StudentConfig,
    TeacherConfig,
    VotingConfig,
    require,
)
from pipeline.common.settings import (
    Changes,
    apply_changes,
    flatten,
    merge_tables,
    parse_table,
    read_toml,
    shipped_names,
    to_table,
    toml_text,
)
from pipeline.contract import ConfigError

GEOMETRIES = ("none", "points", "axes")
STANDARDS = ("fold", "none")
LOSSES = ("per_branch", "summed_softmax")
OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("constant", "cosine")
TARGETS = ("unimodal", "branches", "vote")
DIRECTIONS = ("reverse_kl", "forward_kl")
CONFIG_FILE = "config.toml"
"""In the folder of a ``dmft tune``: what it chose."""
OTHER = "other"
"""The entry of ``modality`` that modalities without an entry of their own get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityConfig:
    """What becomes of a modality's stored patches before the model sees them."""

    n_patches: int = 32
    """P of the model; finer stored patches are pooled to it, coarser ones stay as they are."""
    velocities: bool = False
    """Append the change from patch to patch (D more features)."""
    deviations: bool = False
    """Append the standard deviation inside each pooled window (D more features)."""
    standardise: str = "fold"
    """``fold``: by mean and deviation of the training fold; ``none``: as stored.

    Deviation: the paper names no standardisation.
    """
    geometry: str = "none"
    """How columns turn: ``points`` (x, y, z of joints, y up), ``axes`` (x, y, z of sensors)."""

    def __post_init__(self) -> None:
        require(self.n_patches >= 2, "n_patches", self.n_patches, "at least 2")
        require(self.standardise in STANDARDS, "standardise", self.standardise, "fold or none")
        require(self.geometry in GEOMETRIES, "geometry", self.geometry, ", ".join(GEOMETRIES))


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """Random changes to a training record, drawn anew each epoch; all zero for none."""

    time: float = 0.0
    """Largest part of a record that is cropped, and largest bend of its time axis."""
    rotate_points_deg: float = 0.0
    """Largest turn of points about the vertical axis."""
    tilt_points_deg: float = 0.0
    """Largest turn of points about each horizontal axis."""
    shear_points: float = 0.0
    """Largest number that is added to an entry of a record's 3 x 3 matrix of points.

    Body shapes differ by more than size; so do the places and heights of cameras.
    """
    bone_lengths: float = 0.0
    """Largest relative change of the length of a bone, for skeletons whose joints are known."""
    rotate_axes_deg: float = 0.0
    """Largest turn of sensor axes, about any axis."""
    scale: float = 0.0
    """Largest relative change of size of points and axes."""
    jitter: float = 0.0
    """Standard deviation of noise on standardised features."""
    drop_modality: float = 0.0
    """Chance that a modality of a record is hidden from a teacher; one always stays.

    A student's branches never meet: hiding one would only keep its records from it.
    """
    mixup: float = 0.0
    """Parameter of the Beta distribution that two records are blended by; 0 for no blending."""
    cut: float = 0.0
    """Longest stretch of a record that is another record's instead, as a part of its length."""

    def __post_init__(self) -> None:
        for name in ("time", "scale", "shear_points", "bone_lengths", "drop_modality"):
            value = getattr(self, name)
            require(0 <= value <= 0.5, name, value, "a number from 0 to 0.5")
        for name in ("rotate_points_deg", "tilt_points_deg", "rotate_axes_deg"):
            require(0 <= getattr(self, name) <= 180, name, getattr(self, name), "0 to 180 degrees")
        for name in ("jitter", "mixup"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "a number from 0 up")
        require(0 <= self.cut <= 1, "cut", self.cut, "a number from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtConfig:
    """How a model learns, once it is trained, how far each modality is to be believed.

    Only where ``encoder.reliability`` is not 0. Deviation: nothing in the paper doubts a modality.
    """

    epochs: int = 0
    """Passes over the training fold with some sensors lying, at most ``training.epochs``; 0 for
    none."""
    chance: float = 0.3
    """That a modality of a record has one of ``faults``."""
    faults: tuple[str, ...] = ()
    """Faults that are learnt from, see ``dmft robustness``; what is not here it has never seen."""
    learning_rate: float = 5e-3
    """Highest learning rate; it falls to zero as a cosine does."""

    def __post_init__(self) -> None:
        require(self.epochs >= 0, "epochs", self.epochs, "0 or a positive number")
        require(0 <= self.chance <= 1, "chance", self.chance, "a number from 0 to 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "a positive number")
        unknown = [name for name in self.faults if name not in FAULTS]
        require(not unknown, "faults", unknown, f"some of {', '.join(FAULTS)}")
        named = self.epochs == 0 or len(self.faults) > 0
        require(named, "faults", self.faults, "at least one, because epochs is above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How weights are found."""

    epochs: int = 50
    """Passes over the training fold; the last one's weights are the model."""
    batch_size: int = 32
    """Records a step."""
    optimizer: str = "adamw"
    """``adam`` or ``adamw``. Deviation: the paper uses Adam."""
    learning_rate: float = 1e-3
    """Highest learning rate."""
    weight_decay: float = 0.01
    """AdamW's; must be 0 with Adam."""
    schedule: str = "cosine"
    """``constant`` or ``cosine`` (to zero at the end)."""
    warmup_epochs: float = 1.0
    """Epochs of linear rise to the highest learning rate."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    loss: str = "per_branch"
    """``per_branch``: one cross-entropy a branch; ``summed_softmax``: one on Eq. (12)'s vote.

    Deviation: the paper does not give the teacher's loss; the vote's trains worse branches.
    """
    label_smoothing: float = 0.0
    """Part of the target that is spread over all classes."""
    average_decay: float = 0.0
    """Decay a step of the weights' moving average, which then is the model; 0 for none."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "a positive number")
        require(self.optimizer in OPTIMIZERS, "optimizer", self.optimizer, "adam or adamw")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "a positive number")
        decay_wanted = "0 or more, and 0 with adam"
        decay_fits = self.weight_decay == 0 or (self.weight_decay > 0 and self.optimizer == "adamw")
        require(decay_fits, "weight_decay", self.weight_decay, decay_wanted)
        require(self.schedule in SCHEDULES, "schedule", self.schedule, "constant or cosine")
        for name in ("warmup_epochs", "clip_norm"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "a number from 0 up")
        require(self.loss in LOSSES, "loss", self.loss, "per_branch or summed_softmax")
        for name in ("label_smoothing", "average_decay"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """How a teacher's predictions enter a student's loss, Eqs (13)-(15)."""

    temperature: float = 4.0
    """temp of Eq. (13)."""
    target: str = "branches"
    """What is taught: each of the teacher's ``branches``, Eq. (15), each of them as it is where the
    teacher has that modality alone (``unimodal``), or its ``vote``.

    Deviation: ``unimodal``. The teacher's temporal branches have seen the other modality and the
    student's cannot; taught their certainty, its branches learn to err together. The vote leaves
    it to the student which of its branches knows what.
    """
    hard_weight: float = 0.5
    """w_CS of Eq. (15)."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """w_S and w_T, as ``skeleton_spatial`` to a number; empty shares 1 - w_CS out equally."""
    direction: str = "forward_kl"
    """``reverse_kl`` is KL(student || teacher), Eq. (14) as printed.

    Deviation: the default is the usual direction, KL(teacher || student).
    """
    scale_by_temperature: bool = True
    """Multiply the soft loss by temp squared. Deviation: it keeps its gradient at any temp."""
    joint_teachers: bool = True
    """In an experiment a student is taught by the teachers of all its seeds in turn.

    Deviation: the paper has one teacher, that of the same seed. Several cost no more, and what one
    has wrong by chance the others put right.
    """
    transfer: bool = False
    """Teach on a second view of each batch, changed as ``[transfer]`` says, instead of the first.

    Labels could not bear such changes, a teacher's answers can; what it knows of people whom it
    has not seen shows nowhere else (Hinton et al. 2015, transfer sets; Beyer et al. 2022).
    """

    def __post_init__(self) -> None:
        require(self.temperature > 0, "temperature", self.temperature, "a positive number")
        require(0 <= self.hard_weight <= 1, "hard_weight", self.hard_weight, "0 to 1")
        require(self.target in TARGETS, "target", self.target, " or ".join(TARGETS))
        require(self.direction in DIRECTIONS, "direction", self.direction, " or ".join(DIRECTIONS))
        own_target = not (self.weights and self.target == "vote")
        require(own_target, "weights", dict(self.weights), "none, because the vote is one target")
        if self.weights:
            negative = {k: v for k, v in self.weights.items() if v < 0}
            require(not negative, "weights", negative, "no negative weight")
            total = self.hard_weight + sum(self.weights.values())
            wanted = f"with hard_weight {self.hard_weight} a sum of 1, Eq. (15), not {total:g}"
            require(abs(total - 1) < 1e-6, "weights", dict(self.weights), wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that a configuration file can say.

    ``RunConfig()`` is what the paper says where it says something, not the ``default``
    configuration: :func:`load_config` makes that.
    """

    modality: Mapping[str, ModalityConfig] = field(
        default_factory=lambda: {OTHER: ModalityConfig()}
    )
    """Features, by modality; ``other`` stands for those not named."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    voting: VotingConfig = field(default_factory=VotingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    transfer: AugmentConfig = field(default_factory=AugmentConfig)
    """Changes to what a student is taught on, where ``distill.transfer``."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    doubt: DoubtConfig = field(default_factory=DoubtConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)

    def of_modality(self, name: str) -> ModalityConfig:
        """Return the entry of a modality, or that of ``other``."""
        return self.modality.get(name) or self.modality.get(OTHER) or ModalityConfig()


def load_config(name_or_file: str | Path = "default", changes: Changes = ()) -> RunConfig:
    """Read a named configuration, a TOML file or what a search chose, then lay changes over it.

    >>> load_config("paper", {"training": {"epochs": 20}}).training.epochs
    20
    >>> load_config(changes={"training.epochs": 20, "encoder.width": 32}).encoder.width
    32

    Raises:
        ConfigError: there is no such configuration, or it or a change is wrong.
    """
    where = f"configuration {name_or_file}" + _with(changes)
    return parse_table(RunConfig, apply_changes(_table_of(str(name_or_file)), changes), where=where)


def change_config(config: RunConfig, changes: Changes) -> RunConfig:
    """Lay changes over a configuration: ``section.key=value`` texts, or a table.

    Raises:
        ConfigError: a change is wrong.
    """
    where = f"the configuration{_with(changes)}"
    return parse_table(RunConfig, apply_changes(to_table(config), changes), where=where)


Configuration = RunConfig | str | Path | Changes
"""A configuration, the name, file or search folder of one, or changes."""


def config_of_fold(config: Configuration | None, fold: str) -> Configuration | None:
    """One fold's configuration, where what is given is the folder of a search on each fold."""
    if isinstance(config, str | Path) and has_config_a_fold(config):
        return Path(config) / f"fold-{fold}"
    return config


def has_config_a_fold(config: str | Path) -> bool:
    """Whether a name is that of a folder in which a search has a configuration for each fold."""
    return _is_folder(config) and not (Path(config) / CONFIG_FILE).exists()


def _is_folder(config: str | Path) -> bool:
    return Path(config).is_dir() and str(config) not in shipped_names("configs")


def make_config(config: Configuration | None, base: RunConfig | None = None) -> RunConfig:
    """The configuration that is meant: as it is, by its name, or as changes to ``base``.

    Args:
        config: None for ``base`` itself.
        base: ``default`` where None.

    Raises:
        ConfigError: there is no such configuration, or a change is wrong.

    >>> make_config({"training.epochs": 3}) == load_config("default", ["training.epochs=3"])
    True
    """
    if isinstance(config, RunConfig):
        return config
    if isinstance(config, str | Path):
        return load_config(config)
    if base is None:
        return load_config(changes=config or ())
    return change_config(base, config) if config else base


def _with(changes: Changes) -> str:
    return f" with {', '.join(changes)}" if changes else ""


def _table_of(name_or_file: str) -> dict[str, Any]:
    """A configuration's table, laid over that of its base; a shipped one may have none."""
    if _is_folder(name_or_file):
        name_or_file = str(Path(name_or_file) / CONFIG_FILE)
    table, names = read_toml(name_or_file, "configs", "configuration"), shipped_names("configs")
    if name_or_file in names and "base" not in table:
        return table
    base = table.pop("base", "default")
    if base not in names:
        raise ConfigError(f"{name_or_file}: base is {base!r}: wanted one of {', '.join(names)}")
    return merge_tables(_table_of(base), table)


def config_text(config: RunConfig, base: str) -> str:
    """A configuration file: a base that ships, and what differs from it.

    >>> print(config_text(load_config(changes=["training.epochs=3"]), "default"))
    base = "default"
    <BLANKLINE>
    [training]
    epochs = 3
    <BLANKLINE>
    """
    base_settings = flatten(to_table(load_config(base)))
    settings = flatten(to_table(config))
    changed = {
        dotted: value
        for dotted, value in settings.items()
        if dotted not in base_settings or base_settings[dotted] != value
    }
    head = f"base = {json.dumps(base)}\n"
    return f"{head}\n{toml_text(changed)}" if changed else head


def shipped_base(config: str | Path) -> str:
    """The shipped configuration that a name or a file stands on."""
    if str(config) in shipped_names("configs"):
        return str(config)
    if Path(config).is_dir():
        config = Path(config) / CONFIG_FILE
    return str(read_toml(str(config), "configs", "configuration").get("base", "default"))
