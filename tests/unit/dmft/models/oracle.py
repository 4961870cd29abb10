"""Teacher and student of the paper in numpy, written from its equations and not from our code.

Weights come by their names from a model's state; everything is float64 and of one record. What the
equations leave open (pre- or post-norm, positions on the temporal branch, a projection) is read
from the weights and the flags that are given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float64]


class Oracle:
    """One model's weights, and the equations on them.

    Args:
        weights: Name to array, as in the model's state.
        heads: h wanted; the largest number that divides a width is taken.
        norm: ``pre`` or ``post``.
        activation: ``gelu`` or ``relu``.
        temporal_encoding: Whether Eq. (1) is added to the temporal branch too.
    """

    def __init__(
        self,
        weights: Mapping[str, Array],
        *,
        heads: int,
        norm: str,
        activation: str,
        temporal_encoding: bool,
    ) -> None:
        self.w, self.heads, self.norm, self.activation = weights, heads, norm, activation
        self.temporal_encoding = temporal_encoding

    def student(self, x: Mapping[str, Array]) -> Array:
        """Logits (M, 2, K)."""
        out = []
        for m, patches in x.items():
            spatial, temporal = self.mstt(m, patches)
            out.append([self.head(m, "spatial", spatial), self.head(m, "temporal", temporal)])
        return np.array(out)

    def teacher(self, x: Mapping[str, Array], present: Sequence[bool]) -> Array:
        """Logits (M, 2, K)."""
        names = list(x)
        branches = {m: self.mstt(m, x[m]) for m in names}
        fused: dict[str, list[Array]] = {m: [] for m in names}
        for a, b in combinations(names, 2):
            if f"fusion.pairs.{a}-{b}.tokens" in self.w:
                there = {a: present[names.index(a)], b: present[names.index(b)]}
                of_a, of_b = self.pair(a, b, branches[a][1], branches[b][1], there)
                fused[a].append(of_a)
                fused[b].append(of_b)
        out = []
        for m in names:
            spatial, temporal = branches[m]
            if fused[m]:
                temporal = sum(fused[m]) / len(fused[m])  # (10), over the pairs that hold m
            out.append([self.head(m, "spatial", spatial), self.head(m, "temporal", temporal)])
        return np.array(out)

    def mstt(self, m: str, patches: Array) -> tuple[Array, Array]:
        """Eqs (2) and (3) and the layers on them."""
        columns = self.linear(f"mstt.{m}.narrow", patches)
        return (
            self.branch(f"mstt.{m}.spatial", columns.T, encoded=True),
            self.branch(f"mstt.{m}.temporal", patches, encoded=self.temporal_encoding),
        )

    def branch(self, at: str, tokens: Array, *, encoded: bool) -> Array:
        tokens = self.linear(f"{at}.project", tokens)
        hidden = np.vstack([self.w[f"{at}.class_token"].reshape(1, -1), tokens])
        if encoded:
            hidden = hidden + positions(*hidden.shape)
        return self.stack(f"{at}.layers", hidden)

    def stack(self, at: str, hidden: Array) -> Array:
        n = 0
        while f"{at}.{n}.attention.project_in.weight" in self.w:
            hidden = self.layer(f"{at}.{n}", hidden)
            n += 1
        return hidden

    def pair(
        self, a: str, b: str, h_a: Array, h_b: Array, there: Mapping[str, bool]
    ) -> tuple[Array, Array]:
        """Eqs (7)-(9) for every layer."""
        at = f"fusion.pairs.{a}-{b}"
        tokens = self.w[f"{at}.tokens"][0]
        n_tokens, (small, large) = len(tokens), (a, b) if h_a.shape[1] <= h_b.shape[1] else (b, a)
        h = {a: h_a, b: h_b}
        n = 0
        while self._has(f"{at}.layers.{n}") or f"fusion.sides.{a}.{n}" in self._places():
            layer = f"{at}.layers.{n}"
            sides = {small: f"{layer}.narrow_layer", large: f"{layer}.wide_layer"}
            if not self._has(sides[small]):
                sides = {m: f"fusion.sides.{m}.{n}" for m in (small, large)}
            joined = {
                small: np.vstack([tokens, h[small]]),
                large: np.vstack([self.linear(f"{layer}.widen", tokens), h[large]]),
            }
            out = {m: self.layer(sides[m], joined[m]) for m in (small, large)}
            h = {m: out[m][n_tokens:] for m in out}
            said = {small: out[small][:n_tokens]}
            wide = out[large][:n_tokens]
            if wide.shape[1] == tokens.shape[1] or self._has(f"{layer}.shrink"):
                said[large] = self.linear(f"{layer}.shrink", wide)
                heard = [said[m] for m in said if there[m]]
                tokens = sum(heard) / len(heard) if heard else 0 * tokens  # (9)
            n += 1
        return h[a], h[b]

    def layer(self, at: str, x: Array) -> Array:
        """A vanilla encoder layer: Eqs (4)-(6), then the position-wise network."""
        if self.norm == "pre":
            x = x + self.attention(f"{at}.attention", self.layer_norm(f"{at}.attention_norm", x))
            return x + self.network(at, self.layer_norm(f"{at}.feed_forward_norm", x))
        x = self.layer_norm(f"{at}.attention_norm", x + self.attention(f"{at}.attention", x))
        return self.layer_norm(f"{at}.feed_forward_norm", x + self.network(at, x))

    def attention(self, at: str, x: Array) -> Array:
        width = x.shape[1]
        n_heads = max(h for h in range(1, min(self.heads, width) + 1) if width % h == 0)
        d = width // n_heads
        q, k, v = np.split(self.linear(f"{at}.project_in", x), 3, axis=1)
        out = []
        for head in range(n_heads):
            part = slice(head * d, (head + 1) * d)
            scores = q[:, part] @ k[:, part].T / math.sqrt(d)
            out.append(softmax(scores) @ v[:, part])
        return self.linear(f"{at}.project_out", np.hstack(out))

    def network(self, at: str, x: Array) -> Array:
        hidden = self.linear(f"{at}.feed_forward.0", x)
        if self.activation == "relu":
            hidden = np.maximum(hidden, 0)
        else:
            hidden = hidden * (1 + erf(hidden / math.sqrt(2))) / 2
        return self.linear(f"{at}.feed_forward.2", hidden)

    def head(self, m: str, branch: str, hidden: Array) -> Array:
        at = f"heads.{m}.{branch}"
        return self.linear(f"{at}.linear", self.layer_norm(f"{at}.norm", hidden[:1]))[0]

    def layer_norm(self, at: str, x: Array) -> Array:
        if not self._has(at):
            return x
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return scaled * self.w[f"{at}.weight"] + self.w[f"{at}.bias"]

    def linear(self, at: str, x: Array) -> Array:
        return x @ self.w[f"{at}.weight"].T + self.w[f"{at}.bias"] if self._has(at) else x

    def _has(self, at: str) -> bool:
        return any(name.startswith(f"{at}.") for name in self.w)

    def _places(self) -> set[str]:
        return {".".join(name.split(".")[:4]) for name in self.w if name.startswith("fusion.sides")}


def positions(n: int, width: int) -> Array:
    """Eq. (1)."""
    table = np.zeros((n, width))
    for pos in range(n):
        for i in range(width):
            angle = pos / 10_000 ** ((i - i % 2) / width)
            table[pos, i] = math.cos(angle) if i % 2 else math.sin(angle)
    return table


def softmax(x: Array) -> Array:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)
