"""What decides a model's shape: the inputs it gets and the layers it is built of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.contract import ConfigError

BRANCHES = ("spatial", "temporal")
"""Of every modality, in the order of the logits."""
NORMS = ("pre", "post")
ACTIVATIONS = ("gelu", "relu")
VOTES = ("sum", "product")
SHARES = ("pair", "modality")


def require(condition: bool, field: str, value: object, wanted: str) -> None:
    """Raise a :class:`ConfigError` that names the field, its value and what was wanted.

    Raises:
        ConfigError: ``condition`` does not hold.
    """
    if not condition:
        raise ConfigError(f"{field} is {value!r}: wanted {wanted}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """The Transformer layers that teacher and student share."""

    width: int = 64
    """Width of every token. 0 keeps the native widths D and P, as the paper does.

    Deviation: the paper has no projection; an inertial token of width 6 learns next to nothing.
    """
    heads: int = 4
    """Attention heads wanted; a width that they do not divide gets its largest fitting number."""
    feed_forward: int = 128
    """Width of the hidden layer of the position-wise network."""
    norm: str = "pre"
    """``pre`` or ``post``. Deviation: the paper's vanilla layers are post-norm."""
    activation: str = "gelu"
    """``gelu`` or ``relu``."""
    dropout: float = 0.1
    """On the residual branches, never inside attention: there it forces the slow kernel."""
    temporal_encoding: bool = True
    """Sinusoids on the temporal branch too. Deviation: the paper has them on the spatial alone."""
    narrow_above: int = 256
    """Features beyond which the spatial branch sees a learned projection; 0 for never."""
    narrow_to: int = 64
    """Features that such a projection keeps.

    Deviation: 2,049 spatial tokens of a ResNet modality cost nearly the whole step on a CPU.
    """
    reliability: int = 0
    """Width of the hidden layer that tells how far a modality is to be believed; 0 for none, which
    believes all.

    Deviation: nothing in the paper's models doubts a modality.
    """

    def __post_init__(self) -> None:
        require(self.width >= 0, "width", self.width, "0 for native widths, or a positive number")
        for name in ("heads", "feed_forward", "narrow_to"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "a positive number")
        for name in ("narrow_above", "reliability"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or a positive number")
        require(self.norm in NORMS, "norm", self.norm, "pre or post")
        require(self.activation in ACTIVATIONS, "activation", self.activation, "gelu or relu")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "a number from 0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """Depths of the teacher."""

    layers: int = 2
    """L_MSTT: layers of each spatial and temporal branch before fusion."""
    fusion_layers: int = 2
    """L_TMT: layers of each temporal mid-fusion module; 0 for none, so that only votes meet.

    At least 2 otherwise: what one side puts into the tokens the other reads a layer later.
    """
    fusion_tokens: int = 4
    """F: tokens that two modalities exchange."""
    fusion_weights: str = "pair"
    """Whose layers Eq. (8) runs: each ``pair``'s own, or each ``modality``'s in all its pairs.

    Reading: theta_m names a modality alone; sizes in Table 6 lie between the two.
    """

    def __post_init__(self) -> None:
        for name in ("layers", "fusion_tokens"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "a positive number")
        wanted = "0 for late fusion, or at least 2 (one layer alone lets nothing through)"
        fuses = self.fusion_layers == 0 or self.fusion_layers >= 2
        require(fuses, "fusion_layers", self.fusion_layers, wanted)
        require(
            self.fusion_weights in SHARES, "fusion_weights", self.fusion_weights, "pair or modality"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentConfig:
    """Depth and widths of the student."""

    layers: int = 1
    """L_MSTT: layers of each spatial and temporal branch."""
    width: int = 0
    """Width of every token; 0 for the encoder's own."""
    feed_forward: int = 0
    """Width of the hidden layer of the position-wise network; 0 for the encoder's own."""

    def __post_init__(self) -> None:
        require(self.layers >= 1, "layers", self.layers, "a positive number")
        for name in ("width", "feed_forward"):
            wanted = "0 for the encoder's own, or a positive number"
            require(getattr(self, name) >= 0, name, getattr(self, name), wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class VotingConfig:
    """How the branches' predictions become one; it has no weights and changes no training."""

    rule: str = "product"
    """``sum`` adds probabilities, Eqs (11) and (12); ``product`` multiplies them.

    Deviation: multiplying was better for every model measured, the more so for students.
    """
    sharpness: float = 1.0
    """What a modality's log-probabilities are multiplied by before a ``product``; a sum has none.

    It changes how sure a vote is, and hardly ever what it chooses.
    """

    def __post_init__(self) -> None:
        require(self.rule in VOTES, "rule", self.rule, "sum or product")
        require(self.sharpness > 0, "sharpness", self.sharpness, "a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShape:
    """What one modality hands to the model for a record."""

    n_patches: int
    """P."""
    n_features: int
    """D, derived features included."""

    def __post_init__(self) -> None:
        for name in ("n_patches", "n_features"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Everything outside the layers: which inputs come in and how many classes go out."""

    inputs: Mapping[str, InputShape]
    """Modality to its input, in the order of the model's output."""
    n_classes: int
    """K."""

    def __post_init__(self) -> None:
        require(len(self.inputs) >= 1, "inputs", dict(self.inputs), "at least one modality")
        require(self.n_classes >= 2, "n_classes", self.n_classes, "at least two classes")

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities' names, in order."""
        return tuple(self.inputs)
