"""The paper's networks (3.2-3.4): plain modules that see tensors, never caches or training.

Read ``mstt.py``, ``mid_fusion.py`` and ``teacher.py`` in this order. Axis letters: B record,
M modality, P patch, D width, T token, F fusion token, H head, K class.
"""

from typing import TYPE_CHECKING

from pipeline.common.lazy import lazily

if TYPE_CHECKING:
    from dmft.models.config import (
        BRANCHES,
        EncoderConfig,
        InputShape,
        ModelShape,
        StudentConfig,
        TeacherConfig,
        VotingConfig,
    )
    from dmft.models.dropout import set_dropout_keys
    from dmft.models.heads import Answer, answer_of
    from dmft.models.student import Student
    from dmft.models.teacher import Teacher
    from dmft.models.vote import modality_votes, overall_vote
else:
    __getattr__ = lazily(
        __name__,
        {
            "config": "BRANCHES EncoderConfig InputShape ModelShape StudentConfig TeacherConfig "
            "VotingConfig",
            "dropout": "set_dropout_keys",
            "heads": "Answer answer_of",
            "student": "Student",
            "teacher": "Teacher",
            "vote": "modality_votes overall_vote",
        },
    )

__all__ = [
    "BRANCHES",
    "Answer",
    "EncoderConfig",
    "InputShape",
    "ModelShape",
    "Student",
    "StudentConfig",
    "Teacher",
    "TeacherConfig",
    "VotingConfig",
    "answer_of",
    "modality_votes",
    "overall_vote",
    "set_dropout_keys",
]
