"""Tables for Table 1 of VLAC, on SVHN and on the smaller sets of house numbers that replace it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from genclust import data
from genclust.experiments.access import Asked, Runs
from genclust.experiments.declaration import Row, load
from genclust.pages.columns import Column, above, at_end, divergences, mean_sd, minutes, paper, seeds, table
from genclust.pages.tables import UNLABELLED

TABLE = "vlac-table1"
#: Training images of the rows, by the suffix of their names.
IMAGES = {"crops": "house numbers", "10k": "SVHN, 10,000 images", "extra": "SVHN, extra too", "": "SVHN"}


def images_of(row: Row) -> str:
    """Suffix of a row's name that says which images it was trained on, a key of ``IMAGES``."""
    end = row.name.rpartition("-")[2]
    return end if end in IMAGES else ""


def at_hand(asked: Asked) -> dict[str, Runs]:
    """Records of the rows of Table 1 that can be shown, by row name.

    All rows if published ones are requested; only those on the crops with other data or at profile ``demo``, where all
    would be the same.  Otherwise those whose files are in the data folder, the full SVHN not at ``quick``.
    """
    if asked.data.get("name") or asked.profile == "demo":
        there = {"crops"}
    elif asked.profile == "published":
        there = set(IMAGES)
    else:
        in_folder = {name: data.sources()[name].present(data.place(name)) for name in ("svhn", "svhn_10k")}
        extra = (data.place("svhn") / "extra_32x32.mat").exists()
        full = asked.profile != "quick"
        present = {"": in_folder["svhn"] and full, "crops": True, "10k": in_folder["svhn_10k"], "extra": extra and full}
        there = {images for images, is_there in present.items() if is_there}
    rows = [row.name for row in load(TABLE).runnable if images_of(row) in there]
    return asked.rows(TABLE, ",".join(rows))


def names(asked: Asked) -> dict[str, Column]:
    """Columns with the model and the images of a row; the images are as declared, or the requested data."""
    declared = load(TABLE)

    def model(runs: Runs) -> str:
        of_model = declared.row(runs.row.name.removesuffix(f"-{images_of(runs.row)}")).label
        return runs.row.label.removesuffix(declared.row(runs.row.name).label.removeprefix(of_model))

    def images(runs: Runs) -> str:
        if not asked.beside_paper:
            return runs[0].data_name if runs else ""
        return "" if runs.row.quoted else IMAGES[images_of(runs.row)]

    return {"Model": model, "images": images}


def accuracies(found: Mapping[str, Runs], asked: Asked) -> pd.DataFrame:
    """Table of the many-to-one accuracy (per cent) of measured and quoted rows.

    With the difference to the GM-DGM that was trained on the same images.
    """
    metric = "test.acc_many_to_one"

    def baseline(runs: Runs) -> Runs:
        same = [other for other in found.values() if images_of(other.row) == images_of(runs.row)]
        gmdgm = next((other for other in same if other.row.name.startswith("gm-dgm")), None)
        return Runs(runs.row) if gmdgm is None else gmdgm

    quoted = {row.name: Runs(row) for row in load(TABLE).rows.values() if row.quoted and asked.beside_paper}
    columns = {"ACC (many-to-one)": mean_sd(metric, 1), "above GM-DGM": above(baseline, metric)} | UNLABELLED
    return table({**found, **quoted}, names(asked) | columns | {"Paper": paper, "Seeds": seeds})


def by_layer(found: Mapping[str, Runs], asked: Asked) -> pd.DataFrame:
    """Table of the NMI (per cent) of the clusters of each layer and the digits; a dash for layers that a row lacks."""
    start = "test.nmi_arithmetic_y"
    layers = sorted({key.removeprefix(start)[0] for runs in found.values() for key in runs[0].metrics if start in key})
    if not layers:
        return pd.DataFrame({"": ["no labels, and so nothing to compare clusters with"]})
    columns = {f"layer {layer}": mean_sd(f"{start}{layer}_identity", 1) for layer in layers}
    return table(found, names(asked) | columns)


def costs(found: Mapping[str, Runs], asked: Asked) -> pd.DataFrame:
    """Table of the objective's terms on validation images after the last epoch (nats), and minutes of training."""
    columns = {"−log p(x|z) (nats)": at_end("reconstruction", 0), "minutes per seed": minutes()}
    divergence = {name.replace("kl_", "KL of "): at_end(name) for name in divergences(found.values())}
    return table(found, names(asked) | columns | divergence)
