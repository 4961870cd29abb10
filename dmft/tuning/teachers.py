"""Who teaches a distilled student in a search: a configuration, trained anew inside each fold.

A teacher that is trained already has learnt from those who are held out in a search. So of a run
only its settings are taken, and its weights are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dmft.config import Configuration, RunConfig, config_of_fold, make_config
from dmft.own import Own
from dmft.runs.folder import fold_folders, is_run, read_info
from pipeline.contract import ConfigError

SHARED = ("modality", "teacher")
"""Sections that a space cannot vary: student and teacher read the same, and all trials share it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherSettings:
    """What the teachers of a search are."""

    config: RunConfig
    """In full."""
    network: Own | None = None
    """The user's own in the teacher's place; None for ours."""


def teacher_settings(
    teacher: Configuration, fold: str, modalities: tuple[str, ...]
) -> TeacherSettings:
    """What a configuration, or a run whose settings are meant, says of a fold's teachers.

    Raises:
        ConfigError: there is no such configuration, or the run's settings are not to be had here.
    """
    if not isinstance(teacher, str | Path) or not is_run(Path(teacher)):
        return TeacherSettings(config=make_config(config_of_fold(teacher, fold)))
    specs = [read_info(folder).spec for folder in fold_folders(Path(teacher))]
    spec = next((each for each in specs if each.fold.name == fold), specs[0])
    wanted = ""
    if spec.kind != "teacher":
        wanted = f"is a {spec.kind}: wanted the run of a teacher"
    elif spec.fold.name != fold and any(each.config != spec.config for each in specs):
        wanted = f"has settings for each fold and none for {fold}: name a configuration"
    elif spec.loss is not None or spec.augment is not None:
        named = "loss" if spec.loss is not None else "augmentation"
        wanted = f"has a {named} of its own, which a search does not take: name a configuration"
    elif spec.modalities != modalities:
        wanted = (
            f"has modalities {', '.join(spec.modalities)} and the search {', '.join(modalities)}: "
            f"say --modalities {','.join(spec.modalities)}"
        )
    if wanted:
        raise ConfigError(f"{teacher} {wanted}")
    return TeacherSettings(config=spec.config, network=spec.network)


def refuse_shared(settings: Iterable[str]) -> None:
    """Refuse a space for a student that names what its teacher decides.

    Raises:
        ConfigError: it does.
    """
    for key in settings:
        if key.partition(".")[0] in SHARED:
            raise ConfigError(
                f"the space has {key}, which is the teacher's, and that is the same in all trials: "
                "choose it by a search with --model teacher"
            )
