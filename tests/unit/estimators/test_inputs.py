"""Scaling against scikit-learn's, and back; images, grey levels, and rows from outside the range."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import sparse
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

from genclust.estimators.inputs import CHUNK, Scaling, as_rows
from genclust.settings import SettingError

rng = np.random.default_rng(0)
X = np.where(rng.random((300, 7)) < 0.4, 0, rng.normal(3, [1, 2, 5, 1, 1, 1e3, 1e-3], (300, 7)))
X[:, 3] = 0.1  # constant, and no binary fraction
FORMS = [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csr_matrix, sparse.csc_array, np.float32]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "scaler"), [("minmax", MinMaxScaler()), ("standard", StandardScaler())])
def test_scaling_is_scikit_learns(form, kind, scaler):
    exact = scaler.fit(X).transform(X)
    scaling = Scaling.fitted(form(X), kind, False, False)
    assert scaling.kind == kind
    scaled = scaling.apply(form(X))
    assert scaled.dtype == torch.float32
    np.testing.assert_allclose(scaled.numpy(), exact, atol=5e-6)
    assert (scaled[:, 3].abs() < 1e-6).all()
    np.testing.assert_allclose(scaling.restore(scaled), X, rtol=2e-6, atol=1e-5 * X.std(0).max())
    assert scaling.restore(scaled).dtype == np.float32


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_columns_far_from_zero_keep_their_digits(form):
    """Such as times in seconds since 1970, of which float32 knows no more than minutes."""
    times = 1.7e9 + rng.normal(0, 3, (500, 2))
    exact = StandardScaler().fit_transform(times)
    np.testing.assert_allclose(
        Scaling.fitted(form(times), "standard", False, False).apply(form(times)), exact, atol=1e-3
    )
    exact = MinMaxScaler().fit_transform(times)
    np.testing.assert_allclose(Scaling.fitted(form(times), "minmax", False, False).apply(form(times)), exact, atol=1e-6)


def test_large_float32_values_do_not_overflow():
    large = (rng.normal(0, 1, (100, 3)) * 1e30).astype(np.float32)
    scaled = Scaling.fitted(large, "standard", False, False).apply(large)
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(large.astype(np.float64)), atol=1e-5)


def test_a_constant_column_stays_small_when_it_changes():
    scaling = Scaling.fitted(np.full((1000, 1), 0.1), "standard", False, False)
    assert scaling.apply(np.array([[0.2]])) == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_sparse_grey_levels_do_not_wrap_around(kind):
    grey = rng.integers(0, 256, (50, 6), dtype=np.uint8)
    dense, thin = (Scaling.fitted(form(grey), kind, False, False) for form in (np.asarray, sparse.csr_array))
    np.testing.assert_allclose(thin.shift, dense.shift, rtol=1e-12)
    np.testing.assert_allclose(thin.scale, dense.scale, rtol=1e-12)
    np.testing.assert_allclose(thin.scale, grey.std(0) if kind == "standard" else np.ptp(grey, 0), rtol=1e-12)


def test_images_share_one_range():
    pixels = rng.random((80, 12)) * np.arange(1, 13) + 5
    minmax = Scaling.fitted(pixels, "minmax", False, True)
    np.testing.assert_allclose(minmax.apply(pixels), (pixels - pixels.min()) / (pixels.max() - pixels.min()), atol=1e-6)
    standard = Scaling.fitted(pixels, "standard", False, True)
    np.testing.assert_allclose(standard.apply(pixels), (pixels - pixels.mean()) / pixels.std(), atol=1e-5)
    for scaling in (minmax, standard):
        np.testing.assert_allclose(scaling.restore(scaling.apply(pixels)), pixels, rtol=1e-5)
        np.testing.assert_allclose(scaling.apply(sparse.csr_array(pixels)), scaling.apply(pixels))


def test_values_outside_the_fitted_range():
    fitted = np.array([[0.0, 10.0], [2.0, 30.0]])
    new = np.array([[-1.0, 40.0], [1.0, 20.0]])
    assert Scaling.fitted(fitted, "minmax", False, False).apply(new).tolist() == [[0, 1], [0.5, 0.5]]
    assert Scaling.fitted(fitted, "standard", False, False).apply(new).tolist() == [[-2, 2], [0, 0]]
    assert Scaling.fitted(fitted, "none", False, False).apply(new).tolist() == new.tolist()


@pytest.mark.parametrize(
    ("values", "bits", "kind"),
    [
        ([0.0, 1.0], True, "none"),
        ([0.0, 1.0], False, "none"),
        ([0.0, np.nextafter(1, 2)], True, "none"),
        ([0.0, 1.5], True, "minmax"),
        ([-0.5, 1.0], False, "standard"),
        (np.array([0, 255], np.uint8), True, "grey"),
        (np.array([3, 200], np.uint8), False, "grey"),
        (np.array([0, 1], np.uint8), True, "none"),
    ],
)
def test_auto(values, bits, kind):
    rows = np.asarray(values)[:, None]
    for form in (np.asarray, sparse.csr_array):
        assert Scaling.fitted(form(rows), "auto", bits, False).kind == kind


def test_grey_levels_are_255ths_and_stay_numbers_between_0_and_1():
    grey = np.arange(256, dtype=np.uint8)[:, None]
    scaling = Scaling.fitted(grey, "auto", True, True)
    np.testing.assert_array_equal(scaling.apply(grey), (np.arange(256) / 255).astype(np.float32)[:, None])
    np.testing.assert_array_equal(scaling.apply(grey / 255), scaling.apply(grey))
    np.testing.assert_array_equal(scaling.restore(scaling.apply(grey)), scaling.apply(grey))


def test_logarithms_of_counts():
    counts = rng.negative_binomial(2, 0.05, (90, 5))
    logs = np.log1p(counts)
    for rows in (counts, counts.astype(np.uint8), counts.astype(np.float32), sparse.csr_array(counts)):
        scaling = Scaling.fitted(rows, "log", False, False)
        assert scaling.kind == "log"
        np.testing.assert_allclose(scaling.apply(rows), (logs - logs.mean(0)) / logs.std(0), atol=1e-5)
        np.testing.assert_allclose(scaling.restore(scaling.apply(rows)), counts, rtol=1e-4, atol=1e-4)
    with pytest.raises(SettingError, match="is for counts, from 0 on, and X goes down to -1; take scale='standard'"):
        Scaling.fitted(counts - 1, "log", False, False)
    with pytest.raises(ValueError, match="on logarithms of counts, and X goes down to -1"):
        scaling.refuse_other_units(counts - 1, False)


@pytest.mark.parametrize("asked", ["none", "standard", "log"])
def test_bits_need_values_between_0_and_1(asked):
    with pytest.raises(SettingError, match=r"spans -1 to 2; take scale='auto' or 'minmax'"):
        Scaling.fitted(np.array([[-1.0], [2.0]]), asked, True, False)


def test_chunks_hold_all_rows_once_and_never_more_than_they_should():
    many = np.arange(2 * CHUNK + 7, dtype=np.float64)[:, None]
    for rows in (many, sparse.csr_array(many)):
        chunks = list(Scaling.fitted(rows, "none", False, False).chunks(rows))
        assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 7]
        np.testing.assert_array_equal(torch.cat(chunks), many)


def test_images_become_rows():
    pictures = rng.random((4, 2, 3, 3))
    for data in (pictures, torch.tensor(pictures), list(pictures), pictures.tolist()):
        rows, shape = as_rows(data)
        assert shape == (2, 3, 3)
        np.testing.assert_array_equal(rows, pictures.reshape(4, 18))
    table = [[1, 2], [3, 4]]
    assert as_rows(table) == (table, None) and as_rows(X)[0] is X
    assert as_rows(np.empty((0, 8, 8)))[0].shape == (0, 64)
    with pytest.raises(ValueError, match=r"^Images must all have one shape, and there are some of \(2, 3\) and"):
        as_rows([np.ones((2, 3)), np.ones((3, 3))])


@pytest.mark.parametrize("form", [np.asarray, torch.tensor, list, np.ndarray.tolist])
def test_what_is_neither_rows_nor_images(form):
    with pytest.raises(ValueError, match=r"^X has 5 dimensions; give rows × columns, or images as N × height × width"):
        as_rows(form(np.zeros((6, 2, 2, 2, 2))))


def test_images_of_pillow_are_told_how_to_become_an_array():
    X = [Image.fromarray(np.full((4, 5), grey, np.uint8)) for grey in range(6)]
    with pytest.raises(ValueError, match=r"^X holds images of Pillow; give an array, such as ") as raised:
        as_rows(X)
    told = str(raised.value).split("such as ")[1].split(", with")[0]
    assert as_rows(eval(told))[1] == (4, 5, 3)
    assert as_rows(eval(told.replace("RGB", "L")))[1] == (4, 5)


def test_a_column_that_scikit_learn_calls_sparse_keeps_its_zeros():
    rows = sparse.random_array((40, 5), density=0.2, rng=0, format="csr")
    scaling = Scaling.fitted(rows, "minmax", False, False)
    np.testing.assert_allclose(scaling.apply(rows), MaxAbsScaler().fit_transform(rows).toarray(), atol=1e-6)


def test_colours_before_height_and_width_are_refused_and_sparse_tensors_read():
    with pytest.raises(
        ValueError, match=r"^X has the shape \(5, 3, 8, 8\), but images are .*; move the colours to the"
    ):
        as_rows(np.zeros((5, 3, 8, 8)))
    thin = torch.eye(4)
    for tensor in (thin.to_sparse(), thin.to_sparse_csr()):
        np.testing.assert_array_equal(as_rows(tensor)[0], np.eye(4))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_values_outside_those_of_the_fit_are_refused_where_bits_need_them(form):
    scaling = Scaling.fitted(np.array([[0.0], [1.0]]), "auto", True, False)
    for values, span in (([0, 255], "0 to 255"), ([-1, 1], "-1 to 1")):
        rows = form(np.array(values, dtype=float)[:, None])
        with pytest.raises(
            ValueError, match=rf"values in \[0, 1\], and X spans {span}; scale it as the rows of the fit"
        ):
            scaling.refuse_other_units(rows, bits=True)
        scaling.refuse_other_units(rows, bits=False)
    with pytest.raises(ValueError, match="and X holds grey levels; divide them by 255"):
        scaling.refuse_other_units(np.array([[0], [255]], np.uint8), bits=True)
    scaling.refuse_other_units(form(np.array([[-0.4], [1.4]])), bits=True)  # as of a MinMaxScaler
