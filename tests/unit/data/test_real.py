"""The real data sets, where the data folder has them."""

from __future__ import annotations

import functools
import gzip
import hashlib

import numpy as np
import pytest

from genclust import data

pytestmark = pytest.mark.data


@functools.cache
def real(name: str) -> data.DataSet:
    if not data.sources()[name].present(data.place(name)):
        pytest.skip(
            f"the data folder {data.folder()} has no {name}; set GENCLUST_DATA or run `genclust data fetch {name}`"
        )
    return data.load(name)


def counts(name: str, split: str) -> list[int]:
    return np.bincount(real(name).splits[split].y).tolist()


def test_mnist_files_are_the_canonical_ones() -> None:
    real("mnist")
    md5 = {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
    for name, digest in md5.items():
        path = data.folder() / "mnist" / f"{name}.gz"
        content = gzip.decompress(path.read_bytes()) if path.exists() else path.with_suffix("").read_bytes()
        assert hashlib.md5(content).hexdigest() == digest


def test_mnist_has_its_classes_and_ink() -> None:
    assert counts("mnist", "train") == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert counts("mnist", "test") == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    x = real("mnist").splits["train"].x
    assert abs(x.mean() / 255 - 0.1307) < 1e-4 and abs(x.std() / 255 - 0.3081) < 1e-4
    # What a Bernoulli draw of the test images adds in nats when pixels are divided by 255.
    p = np.clip(real("mnist").splits["test"].x / 255, 1e-12, 1 - 1e-12)
    assert abs(-(p * np.log(p) + (1 - p) * np.log1p(-p)).sum(1).mean() - 45.53) < 0.01


def test_binarized_mnist_is_a_draw_of_mnist() -> None:
    splits = real("binarized_mnist").splits
    assert {name: len(split) for name, split in splits.items()} == {"train": 50_000, "valid": 10_000, "test": 10_000}
    assert set(np.unique(splits["test"].x)) == {0, 255}
    # Each pixel is a coin thrown with the grey value of MNIST: the mean images agree up to sampling noise.
    p = real("mnist").splits["test"].x / 255
    noise = np.sqrt((p * (1 - p)).sum(0)) / len(p)
    assert (np.abs(splits["test"].x.mean(0) / 255 - p.mean(0)) <= 5 * noise + 1e-12).all()


def test_omniglot_has_the_papers_sizes() -> None:
    omniglot = real("omniglot")
    n_test = {"rebuilt": 8_115, "chardata.mat": 8_070}[omniglot.variant]
    assert (len(omniglot.splits["train"]), len(omniglot.splits["test"])) == (24_345, n_test)
    assert set(omniglot.splits["train"].y) == set(omniglot.splits["test"].y) == set(range(50))
    x = omniglot.splits["train"].x.reshape(-1, 28, 28)
    assert x[:, 8:20, 8:20].mean() > 3 * x[:, :2].mean()  # bright ink, dark margins
    assert omniglot.fidelity == {"rebuilt": "rebuilt", "chardata.mat": "exact"}[omniglot.variant]


def test_omniglot_is_rebuilt_as_its_authors_made_it() -> None:
    """160 training images of their file: all but five, of older drawings, agree within 2 grey levels of 255."""
    path = data.folder() / "omniglot" / "chardata_samples160.npz"
    if not path.exists() or real("omniglot").variant != "rebuilt":
        pytest.skip(f"there is no {path}, or the data folder has chardata.mat itself")
    samples = np.load(path)
    ink = 1 - samples["gray"].transpose(0, 2, 1).reshape(160, 784) / np.float32(255)  # columns come first there
    seen = samples["valid"].transpose(0, 2, 1).reshape(160, 784).astype(np.float32)

    def apart(x: np.ndarray) -> np.ndarray:
        """The largest difference of each sample, in grey levels, from the image with the nearest pixels."""
        nearest = x[np.argmin(seen @ (x * x).T - 2 * (seen * ink) @ x.T, axis=1)]
        return 255 * (seen * np.abs(nearest - ink)).max(axis=1)

    among_train = apart(real("omniglot").splits["train"].x)
    assert (among_train <= 2.5).sum() == 155  # 2 of the whole levels that the samples have
    assert set(samples["alphabet"][among_train > 2.5]) == {0}  # Angelic
    assert apart(real("omniglot").splits["test"].x).min() > 10  # the samples are training images


def test_the_ink_of_omniglot_is_as_much_as_in_the_original() -> None:
    """What a Bernoulli draw of the images adds in nats: known of the drawings reduced by the filter of the original."""
    for name, nats in (("train", 48.46), ("test", 47.87)):
        p = np.clip(real("omniglot").splits[name].x.astype(np.float64), 1e-12, 1 - 1e-12)
        assert abs(-(p * np.log(p) + (1 - p) * np.log1p(-p)).sum(1).mean() - nats) < 0.01


def test_usps_counts() -> None:
    assert counts("usps", "train") == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert counts("usps", "test") == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]
    x = real("usps").splits["train"].x
    assert (x.min(), x.max()) == (0, 1)
    assert len(set(real("usps").splits["train"].y[:100])) == 10  # not sorted by class


def test_rcv1_counts_and_scale() -> None:
    assert counts("rcv1_10k", "train") == [4095, 2180, 2852, 873]
    x = real("rcv1_10k").splits["train"].x
    assert x.shape == (10_000, 2_000) and np.allclose((x**2).sum(1), 2000, rtol=1e-4)
    assert (real("rcv1_10k").fidelity, real("rcv1_10k").stands_in_for) == ("surrogate", "reuters10k")


def test_house_numbers_counts() -> None:
    splits = real("house_numbers").splits
    assert len(splits["train"]) + len(splits["test"]) == 7_864
    assert 0.18 < len(splits["test"]) / 7_864 < 0.22
    assert (real("house_numbers").fidelity, real("house_numbers").stands_in_for) == ("surrogate", "svhn")


def test_svhn_10k_counts() -> None:
    subset = real("svhn_10k")
    assert (subset.fidelity, subset.stands_in_for) == ("subset", "svhn")
    # Of all 10,000 images, digits 1 … 9 and 0.
    every = np.add(counts("svhn_10k", "train"), counts("svhn_10k", "test"))
    assert np.roll(every, -1).tolist() == [1968, 1590, 1104, 964, 909, 773, 767, 621, 620, 684]
    split = subset.hold_out("validation", 0.1, seed=0).splits
    assert {name: len(part) for name, part in split.items()} == {"train": 7200, "validation": 800, "test": 2000}
    photographs = [set(part.groups) for part in split.values()]
    assert sum(map(len, photographs)) == len(set.union(*photographs)) == 5033


def test_svhn_counts() -> None:
    assert counts("svhn", "test")[1] == 5_099
    assert (len(real("svhn").splits["train"]), len(real("svhn").splits["test"])) == (73_257, 26_032)


@pytest.mark.parametrize(
    "name", ["mnist", "binarized_mnist", "omniglot", "usps", "rcv1_10k", "house_numbers", "svhn_10k", "svhn"]
)
def test_arrays_suit_every_model(name: str) -> None:
    loaded = real(name)
    for split in loaded.splits.values():
        assert split.x.ndim == 2 and split.x.dtype in (np.uint8, np.float32)
        assert split.x.flags.writeable and split.x.flags.c_contiguous
        if split.y is not None:
            assert split.y.dtype == np.int64 and split.y.max() < len(loaded.class_names)
