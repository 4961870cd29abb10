"""Raw recordings to activities: what joins the encoder and the trainer, and stands above both.

Using a model needs ``pipeline`` (raw files to patches) and ``dmft`` (patches to activities), which
must not know each other. So it is a third program and not a corner of either, and it is named
for what it does: a cache is *encoded*, a model is *trained*, a recording is *recognised*. Nothing
imports it, and it holds no arithmetic of its own: the encoding is the encoder's, the vote the
trainer's.
"""

from recognise.predict import Prediction, predict
from recognise.recogniser import Recogniser, load_recogniser
from recognise.stream import Row, Slicer
from recognise.timeline import Activity, Moment, moments, timeline

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
