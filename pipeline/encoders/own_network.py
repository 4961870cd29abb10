"""A frame network of the user's own, from a file: ``network = "onnx"`` or ``"pt2"``, and
``--weights FILE``.

The file takes pictures (n, 3, size, size), prepared as the settings say, and gives a vector or a
map of features a picture; maps are averaged. It is read from its bytes, so that it can name no
other file, and nothing that it carries is run but arithmetic. It computes in single precision.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.contract import ConfigError
from pipeline.encoders.exported_network import ExportedNetwork
from pipeline.encoders.onnx_network import OnnxNetwork

MAX_BYTES = 2 << 30


class OwnNetwork(nn.Module):
    """A network of a file, asked for any number of pictures."""

    def __init__(self, path: Path, kind: str) -> None:
        """Open a file.

        Args:
            path: Of the file.
            kind: ``onnx`` or ``pt2``, which the file's name ends in, too.

        Raises:
            ConfigError: no such file, no network, or one that takes no pictures.
        """
        super().__init__()
        wanted = f"network {kind} wants a .{kind} file, by --weights"
        if path.suffix != f".{kind}":
            raise ConfigError(f"weights {str(path)!r} are no .{kind} file: {wanted}")
        if not path.is_file():
            raise ConfigError(f"weights {str(path)!r}: no such file; {wanted}")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"weights {str(path)!r} are larger than {MAX_BYTES} bytes: {wanted}")
        content = path.read_bytes()
        self.path, self.sha256 = path, hashlib.sha256(content).hexdigest()
        opened = OnnxNetwork if kind == "onnx" else ExportedNetwork
        self.graph: OnnxNetwork | ExportedNetwork = opened(content, str(path))
        self.takes: tuple[int | None, ...] = self.graph.takes
        """Lengths of the axes of its pictures; None for any."""
        if len(self.takes) != 4 or self.takes[1] not in (None, 3):
            raise ConfigError(
                f"weights {str(path)!r} take {list(self.takes)}: wanted pictures (n, 3, height, "
                "width)"
            )

    def forward(self, pictures: Tensor) -> Tensor:
        """A vector a picture.

        Shapes: (n, 3, size, size) -> (n, D).

        Raises:
            ConfigError: it takes no pictures of that size, or gives something else.
        """
        n, step = len(pictures), self.takes[0] or len(pictures)
        size = tuple(pictures.shape[2:])
        if any(
            wanted not in (None, actual)
            for wanted, actual in zip(self.takes[2:], size, strict=True)
        ):
            raise self._no_such_pictures(size, f"it takes {self.takes[2]} x {self.takes[3]}")
        pictures = pictures.float().contiguous()
        if n % step:
            pictures = nn.functional.pad(pictures, (0, 0, 0, 0, 0, 0, 0, -n % step))
        made = []
        for start in range(0, n, step):
            try:
                found: Tensor = self.graph(pictures[start : start + step])
            except ConfigError:
                raise
            except Exception as error:  # ONNX Runtime's own types; PyTorch has as many
                raise self._no_such_pictures(size, str(error)) from error
            found = found.float()
            found = found.mean(dim=(2, 3)) if found.ndim == 4 else found
            if found.ndim != 2 or len(found) != step:
                raise ConfigError(
                    f"{self.path.name} gives {tuple(found.shape)}: wanted a vector a picture"
                )
            made.append(found)
        return torch.cat(made)[:n]

    def _no_such_pictures(self, size: tuple[int, ...], why: str) -> ConfigError:
        return ConfigError(f"{self.path.name} takes no pictures of {size}: {why}; set image_size")


@lru_cache(maxsize=4)
def own_network(path: str, kind: str) -> OwnNetwork:
    """The network of a file, opened once a process."""
    return OwnNetwork(Path(path), kind)
