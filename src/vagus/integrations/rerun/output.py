"""Rerun recordings as files and in the viewer."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import rerun as rr
import rerun.blueprint as rrb

from vagus.errors import ConfigError
from vagus.integrations.rerun.blueprint import blueprint_for
from vagus.integrations.rerun.recording import write_view
from vagus.integrations.rerun.standing import write_standing
from vagus.private_files import open_file
from vagus.quoting import quoted
from vagus.viewing.description import RecordingView
from vagus.viewing.standing import StandingCamera

__all__ = ["APPLICATION", "RERUN", "SUFFIX", "VIEWER", "is_file", "save_view", "show_view"]

APPLICATION = "vagus"
SUFFIX = ".rrd"
RERUN = (sys.executable, "-c", "import sys; from rerun_cli.__main__ import main; sys.exit(main())")
"""Command of the Rerun that is installed here, whatever is on the path."""
VIEWER = (*RERUN, "--bind", "127.0.0.1", "--hide-welcome-screen")
"""Command that starts the viewer; without an address, it would listen to every machine of the network."""


def is_file(target: str) -> bool:
    """Return whether a target names a file, and not a viewer."""
    return target.endswith(SUFFIX) and "://" not in target


def save_view(view: RecordingView, path: Path, standing: StandingCamera | None = None) -> tuple[str, ...]:
    """Write a view as a .rrd file, for this user alone; return warnings.

    Args:
        view: the view.
        path: of the file.
        standing: depth camera whose frames are shown as points in space, or None.

    Raises:
        OSError: the file cannot be written.
    """
    open_file(path, "wb").close()
    stream = _stream(view)
    try:
        stream.save(path, default_blueprint=_blueprint(view, standing))
        return _written(stream, view, standing)
    except RuntimeError as error:  # whatever its writer meets, a full disk too
        path.unlink(missing_ok=True)
        raise OSError(f"{path} could not be written: {quoted(error)}") from error


def show_view(view: RecordingView, standing: StandingCamera | None = None) -> tuple[str, ...]:
    """Show a view in the Rerun viewer of this machine, and wait until it is closed; return warnings.

    Args:
        view: the view.
        standing: depth camera whose frames are shown as points in space, or None.

    Raises:
        ConfigError: the viewer cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="vagus-view-") as folder:
        file = Path(folder) / "view.rrd"
        warnings = save_view(view, file, standing)
        command = [*VIEWER, str(file)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    if done.returncode:
        said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no word")
        raise ConfigError(
            "the Rerun viewer",
            wanted="a viewer that starts",
            got=quoted(said),
            fix="without a display, use --html FILE, --png FILE or --save FILE.rrd",
        )
    return warnings


def _stream(view: RecordingView) -> rr.RecordingStream:
    stream = rr.RecordingStream(APPLICATION)
    stream.send_recording_name(view.title)
    return stream


def _blueprint(view: RecordingView, standing: StandingCamera | None) -> rrb.Blueprint:
    joints = [track.name for track in view.tracks]
    in_space = None if standing is None else standing.name
    return blueprint_for(
        joints, view.cameras, lanes=len(view.lanes), in_space=in_space, has_cloud=bool(view.clouds)
    )


def _written(
    stream: rr.RecordingStream, view: RecordingView, standing: StandingCamera | None
) -> tuple[str, ...]:
    if standing is not None:
        write_standing(stream, standing)
    warnings = write_view(stream, view)
    stream.flush()
    stream.disconnect()
    return warnings
