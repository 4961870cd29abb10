"""Raw recordings to activities: the one part of the trainer that may import the encoder.

Using a model needs both programs: ``pipeline`` makes patches of raw files, a run of ``dmft`` makes
activities of patches. So this room imports the encoder and needs the ``encode`` extra, and nothing
else in ``dmft`` imports it but the command ``dmft predict``. It holds no arithmetic of its own:
the encoding is the encoder's, the vote the trainer's.
"""

from dmft.recognise.live import Row, Slicer
from dmft.recognise.predict import Prediction, predict
from dmft.recognise.recogniser import Recogniser, load_recogniser
from dmft.recognise.timeline import Activity, Moment, moments, timeline

__all__ = [
    "Activity",
    "Moment",
    "Prediction",
    "Recogniser",
    "Row",
    "Slicer",
    "load_recogniser",
    "moments",
    "predict",
    "timeline",
]
