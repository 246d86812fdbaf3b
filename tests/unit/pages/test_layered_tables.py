"""Tables of VLAC and of GMVAE's phase map, on records of a few numbers: every cell is worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genclust.experiments import Asked, Record, Runs, load
from genclust.pages import attributes, house_numbers, phases


def record(
    seed: int = 0, name: str = "coloured_digits", curve: Any = (), K: int = 8, samples: int = 1, **metrics: float
) -> Record:
    config = {"data": {}, "model": {"n_clusters": K, "samples": samples}, "training": {"epochs": 1}}
    named = {f"test.{metric}": value for metric, value in metrics.items()}
    return Record(config, seed, named, list(curve), {}, None, {"name": name}, {}, 60.0)


# ---- attributes


def layered(seed: int, kind: str, digit: float, ink: float, **more: float) -> Record:
    """Two layers: the first knows twice as much of the digit as the second, which knows the ink."""
    scores = {}
    for score in ("nmi_arithmetic", "acc_many_to_one"):
        scores |= {f"{score}_{kind}1_identity": digit, f"{score}_{kind}2_identity": digit / 2}
        scores |= {f"{score}_{kind}1_ink": 4.0, f"{score}_{kind}2_ink": ink}
    floors = {"floor_identity": 11.0, "floor_ink": 12.5, f"leading_{kind}": 2.0}
    return record(seed, **(scores | floors | more))


@pytest.fixture
def found() -> dict[str, Runs]:
    chance = {
        f"chance_{s}_y{n}_{a}": v + n
        for s, v in (("nmi", 1.0), ("many_to_one", 20.0))
        for n in (1, 2)
        for a in ("identity", "ink")
    }
    vlac = [layered(0, "y", 20, 60, **chance), layered(1, "y", 8, 40, **chance)]
    for run, one in zip(vlac, (layered(0, "z", 20, 60), layered(1, "z", 8, 40)), strict=True):
        run.metrics.update(one.metrics)
    table = load("vlac-factors")
    others = {"vlae": [layered(0, "z", 30, 10)], "gm-dgm": []}
    return {name: Runs(table.row(name), runs) for name, runs in {"vlac": vlac, **others}.items()}


def test_agreement_is_the_mean_over_seeds_by_layer_and_attribute(found: dict[str, Runs]) -> None:
    values, layers, names = attributes.scores_by_attribute(found["vlac"], "y")
    assert values.tolist() == [[14, 4], [7, 50]] and layers == ["1", "2"] and names == ["identity", "ink"]
    maps = attributes.layers_by_attribute(found)
    assert list(maps) == [
        "VLAC: clusters $y$ (coloured digits, 2 seeds)",
        "VLAC: k-means in $z$ (coloured digits, 2 seeds)",
        "VLAE: k-means in $z$ (coloured digits, 1 seed)",
    ]
    assert maps["VLAE: k-means in $z$ (coloured digits, 1 seed)"].layers == ["layer 1", "layer 2"]
    assert attributes.by_chance(found) == "NMI by chance, in any cell of VLAC's: 3.0 % at most"


def test_without_labels_there_is_nothing_to_map(found: dict[str, Runs]) -> None:
    unknown = {name: Runs(runs.row, [record()] if runs else []) for name, runs in found.items()}
    assert attributes.layers_by_attribute(unknown) == {} == attributes.layers_by_attribute({"vlac": []})
    assert attributes.by_chance(unknown).startswith("no labels")
    assert attributes.by_chance({"vlac": Runs(found["vlac"].row)}) == "not run"


def test_an_attribute_leads_a_layer_from_ten_per_cent_on(found: dict[str, Runs]) -> None:
    shown = attributes.leaders(found)
    assert shown.to_numpy().tolist()[:2] == [
        ["VLAC, clusters", 0, "identity (20)", "ink (60)", "2"],
        ["VLAC, clusters", 1, "none (identity 8)", "ink (40)", "2"],
    ]
    assert shown[""].tolist()[2:] == ["VLAC, k-means"] * 2 + ["VLAE, k-means"]


def test_accuracies_are_of_the_best_layer_above_chance_and_floor(found: dict[str, Runs]) -> None:
    lines = attributes.accuracies(found).set_index("")
    assert lines.loc["VLAC, clusters"].tolist() == ["14.0 ± 8.5 (layer 1)", "50.0 ± 14.1 (layer 2)", "2"]
    assert lines.loc["VLAE, k-means"].tolist() == ["30.0 (layer 1)", "10.0 (layer 2)", "1"]
    assert lines.loc["VLAC, by chance"].tolist() == ["22.0", "22.0", ""]
    assert lines.loc["floor"].tolist() == ["11.0", "12.5", ""]


def test_the_best_layer_is_chosen_seed_by_seed(found: dict[str, Runs]) -> None:
    """Digits: 20 and 8; ink: 60 and 40."""
    assert attributes.best_layer("identity")(found["vlac"]) == "14.0 ± 8.5"
    assert attributes.best_layer("ink")(Runs(found["vlac"].row, found["vlac"][:1])) == "60.0"
    assert attributes.known_of(found) == ["identity", "ink"]


# ---- house numbers


def test_rows_are_shown_whose_images_are_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("genclust.experiments.access.run", lambda *_, **__: [])

    def rows(**asked: Any) -> list[str]:
        return list(house_numbers.at_hand(Asked(**asked)))

    crops = ["vlac-one-crops", "vlac-two-crops", "gm-dgm-crops"]
    np.savez(tmp_path / "own.npz", x_train=np.random.default_rng(0).random((20, 16, 16)))
    assert len(rows()) == 12
    assert rows(profile="demo") == crops == rows(data={"name": str(tmp_path / "own.npz")})
    assert rows(profile="quick") == crops == rows(profile="paper")  # the data folder of the tests is empty


def test_vlac_is_compared_with_the_gm_dgm_of_the_same_images() -> None:
    table = load("vlac-table1")
    runs = {
        "vlac-one": [30.0, 32.0], "vlac-one-crops": [50.0, 52.0], "gm-dgm-crops": [40.0, 42.0], "gm-dgm-10k": [1.0, 2.0]
    }  # fmt: skip
    found = {
        n: Runs(table.row(n), [record(name="digits", acc_many_to_one=v) for v in values]) for n, values in runs.items()
    }
    shown = house_numbers.accuracies(found, Asked())
    assert shown["Model"].tolist()[:4] == [table.row(n).label for n in ("vlac-one", "vlac-one", "gm-dgm", "gm-dgm")]
    assert shown["images"].tolist()[:4] == ["SVHN", "house numbers", "house numbers", "SVHN, 10,000 images"]
    assert shown["ACC (many-to-one)"][0] == "31.0 ± 1.4"
    above = shown["above GM-DGM"].tolist()
    assert above[0] == above[2] == above[3] == "–" and above[1] == "10.00 [3.92, 16.08]"
    assert shown["Seeds"].tolist()[4:] == ["quoted"] * 3 and shown["images"].tolist()[4:] == [""] * 3
    demo = house_numbers.accuracies(found, Asked("demo"))
    assert demo["images"].tolist() == ["digits"] * 4, "what the paper quotes is of other images"


def test_layers_and_terms_that_a_row_lacks_are_dashes() -> None:
    table = load("vlac-table1")
    found = {
        "vlac-one": Runs(table.row("vlac-one"), [
            record(nmi_arithmetic_y1_identity=3.0, nmi_arithmetic_y3_identity=5.0,
                   curve=[{"epoch": 1, "reconstruction": -70.4, "kl_z1": 2.0}])]),
        "gm-dgm": Runs(table.row("gm-dgm"), [
            record(nmi_arithmetic_y3_identity=7.0, curve=[{"epoch": 1, "reconstruction": 8.0, "kl_y3": 1.5}])]),
    }  # fmt: skip
    layers = house_numbers.by_layer(found, Asked())
    assert list(layers)[2:] == ["layer 1", "layer 3"] and layers.to_numpy()[:, 2:].tolist() == [
        ["3.0", "5.0"],
        ["–", "7.0"],
    ]
    costs = house_numbers.costs(found, Asked())
    assert list(costs)[2:] == ["−log p(x|z) (nats)", "minutes per seed", "KL of y3", "KL of z1"]
    assert costs.to_numpy()[:, 2:].tolist() == [["−70", "1.0", "–", "2.00"], ["8", "1.0", "1.50", "–"]]


# ---- the phase map


def plane() -> dict[tuple[float, float], Runs]:
    row = load("gmvae-phases").row("eta0-alpha0")
    scores = {(0.0, 1.0): (10.0, 96.0, 40.0), (0.5, 0.0): (99.0, 95.0, 97.0)}
    return {
        pair: Runs(row, [record(s, ari=v, clusters_used=4.0) for s, v in enumerate(aris)])
        for pair, aris in scores.items()
    }


def test_the_phase_map_has_the_median_of_every_pair() -> None:
    values, etas, alphas = phases.medians(plane(), "test.ari")
    assert etas == [0, 0.5] == phases.weights(plane())[0] and alphas == [0, 1]
    np.testing.assert_array_equal(values, [[np.nan, 40], [97, np.nan]])
    ((title, (ari, used)),) = phases.maps({"bn": plane()}).items()
    assert title == "with batch normalisation" and used[0][0, 1] == 4 and ari[0][0, 1] == 40
    assert phases.components({"plain": plane()}) == 8


def test_the_arms_are_found_from_an_index_of_95_on() -> None:
    assert phases.reached(plane()).to_numpy().tolist() == [["0", "–", "1 of 3"], ["0.5", "3 of 3", "–"]]


def test_pairs_with_more_samples_stand_below_the_same_pairs_with_one() -> None:
    row = load("gmvae-phases").row("eta0-alpha0")
    many = {
        (0.5, 0.0): Runs(row, [record(ari=50.0, clusters_used=3.0, samples=10)]),
        (2.0, 2.0): Runs(row, [record(ari=1.0, samples=10)]),
    }
    shown = phases.more_samples(many, plane())
    assert shown["M"].tolist() == [1, 10, 10] and shown["median ARI"].tolist() == ["97", "50", "1"]
    assert shown["each seed"][0] == "99, 95, 97" and shown["components used"][0] == "4, 4, 4"
    assert shown[""].tolist() == ["η = 0.5, α = 0"] * 2 + ["η = 2, α = 2"]


def test_planes_are_of_the_networks_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = set()

    def fake(experiment: str, row: str, profile: str, **_: Any) -> list[Record]:
        profiles.add(profile)
        return [record(ari=1.0)] if row == "eta0-alpha0" else []

    monkeypatch.setattr("genclust.experiments.access.records", fake)
    found = phases.planes(Asked(), "plain, bn")
    assert list(found) == ["plain"] and list(found["plain"]) == [(0, 0)] and profiles == {"quick"}
    epochs = []
    monkeypatch.setattr("genclust.experiments.access.run", lambda task, *_, **__: epochs.append(task) or [])
    phases.planes(Asked(training={"epochs": 3}), "plain")
    assert {task.config.training["epochs"] for task in epochs} == {3}


def test_pairs_of_figure_2_stand_beside_those_of_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "genclust.experiments.access.records", lambda *_, **__: [record(ari=v) for v in (7.0, 5.0, 6.0)]
    )
    row = load("gmvae-phases").row("eta0-alpha0")
    here = {(1.0, 0.0): Runs(row, [record(ari=30.0), record(ari=10.0)]), (4.0, 4.0): Runs(row, [record(ari=1.0)])}
    (line,) = phases.beside_figure2({"plain": here}).to_dict("records")
    assert line[""] == load("gmvae-figure2").row("eta1-alpha0").label.split(" (")[0]
    assert line["this map, median ARI"] == "20" and line["each seed of the map"] == "10, 30"
    assert line["Figure 2, median ARI"] == "6" and line["each seed of Figure 2"] == "5, 6, 7"
