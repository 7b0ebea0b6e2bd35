"""Films of environment 0, written frame by frame; needs the optional imageio."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from statewise.errors import EnvironmentFault
from statewise.storage.files import TEMPORARY_SUFFIX, require_replaceable

if TYPE_CHECKING:
    from statewise.envs import SafeVectorEnv

_PACKAGES = {".mp4": "imageio_ffmpeg", ".gif": "imageio"}
_GIF_FPS = 20
"""Many viewers slow down faster ones; frames in between are left out."""


class VideoWriter:
    """A film at `path` (.mp4 or .gif), there only once it is whole; a context manager.

    ValueError for another suffix, a missing package or folder.
    """

    def __init__(self, path: Path) -> None:
        suffix = path.suffix.lower()
        if suffix not in _PACKAGES:
            raise ValueError(f"video: {str(path)!r} is not allowed; its name must end in .mp4 or .gif")
        if not path.parent.is_dir():
            raise ValueError(f"video: there is no folder {path.parent}; make it first")
        require_replaceable(path)
        try:
            importlib.import_module(_PACKAGES[suffix])
        except ImportError as error:
            raise ValueError(f"video: {error.name} is missing; pip install 'statewise[video]'") from error
        self.path = path
        # The suffix stays last, as imageio goes by it.
        self._temporary = path.with_name(f".{path.stem}{TEMPORARY_SUFFIX}{suffix}")
        self._writer: Any = None
        self._stride = 1
        self._steps = 0

    def add_frame(self, env: SafeVectorEnv) -> None:
        """Film environment 0 as it is now; ValueError where it can't be drawn."""
        if self._writer is None:
            self._writer = self._open(env.metadata["render_fps"])
        # Of an episode that ends no film leaves out the last frame, whatever it does with those in between.
        if self._steps % self._stride == 0 or env.ended[0]:
            frame = _frame(env)
            with warnings.catch_warnings():
                # JAX warns of every fork; the one at the first frame goes straight on to ffmpeg.
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
                self._writer.append_data(frame)
        self._steps = 0 if env.ended[0] else self._steps + 1

    def _open(self, fps: float) -> Any:
        import imageio

        if self.path.suffix.lower() == ".mp4":
            return imageio.get_writer(self._temporary, fps=fps, macro_block_size=2)
        self._stride = max(1, round(fps / _GIF_FPS))
        return imageio.get_writer(self._temporary, duration=1000 * self._stride / fps, loop=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if self._writer is None:
            return
        self._writer.close()
        if kind is None:
            self._temporary.replace(self.path)
        else:
            self._temporary.unlink(missing_ok=True)


def _frame(env: SafeVectorEnv) -> Any:
    try:
        frames = env.render()
    except EnvironmentFault:
        raise
    except RuntimeError as error:
        raise ValueError(f"video: {error}") from error
    if frames is None or frames[0] is None:
        raise ValueError("video: the environment draws no frames; give it the render mode rgb_array")
    return frames[0]
