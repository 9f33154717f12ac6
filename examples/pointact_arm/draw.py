"""Draw what a PointAct policy gets of the simulated arm: picture and points, as they are sent.

    python examples/pointact_arm/draw.py cloud.png

Wants the extras `pointact` and `plot`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

from vagus.import_path import load_named
from vagus.integrations.pointact.arm_options import ArmOptions
from vagus.integrations.pointact.arm_setup import load_setup

mpl.use("Agg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).resolve().parent


def main(target: str) -> None:
    """Write the drawing to `target`."""
    _, make = load_named("robot", f"{FOLDER / 'arm.py'}:Arm")
    arm = make()  # type: ignore[operator]
    setup = load_setup(
        ArmOptions(
            urdf=str(FOLDER / "arm.urdf"),
            intrinsics=str(FOLDER / "intrinsics.yaml"),
            extrinsics=str(FOLDER / "extrinsics.yaml"),
        )
    )
    frames = arm.read_images()
    sent = setup.transform.sensed(arm.read_state(), frames["front"], frames["front_depth"], "")
    points, place = sent.points, sent.pose[:3]
    figure = plt.figure(figsize=(10, 4.2), layout="constrained")
    picture = figure.add_subplot(1, 2, 1)
    picture.imshow(sent.picture)
    picture.set_title("observation.images.front_image, 256×256")
    picture.axis("off")
    cloud = figure.add_subplot(1, 2, 2, projection="3d")
    cloud.scatter(*points[:, :3].T, c=np.clip(points[:, 3:], 0.0, 1.0), s=5)
    cloud.computed_zorder = False
    cloud.plot(*place[:, None], color="lime", marker="X", ms=11, ls="", zorder=9, label="state: x, y, z")
    cloud.set_title(f"observation.points, {len(points)} of them")
    for name, low, high in (("x", -0.21, 0.23), ("y", -0.35, 0.3), ("z", 0.0, 0.4)):
        getattr(cloud, f"set_{name}lim")(low, high)
        getattr(cloud, f"set_{name}label")(f"{name} [m]")
    cloud.locator_params(nbins=4)
    cloud.set_box_aspect((0.44, 0.65, 0.4))
    cloud.view_init(elev=25, azim=35)
    cloud.legend(loc="upper right")
    figure.savefig(target, dpi=90)


if __name__ == "__main__":
    main(sys.argv[1])
