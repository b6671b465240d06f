import numpy as np
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.tasks.plasticc.batching import (
    all_bands,
    limit_lengths,
    one_band,
    pair,
    two_views,
)
from astro_lightning.tasks.plasticc.tokenizer_seed import CLS, PAD, SEP, day_bins, flux_tokens


def rng(seed=0):
    return np.random.default_rng(seed)


def segment(curves, row, band):
    part = slice(curves.offsets[row], curves.offsets[row + 1])
    return flux_tokens(curves.flux[part][curves.band[part] == band]).tolist()


@pytest.mark.parametrize("rule", ["window", "subsample"])
def test_long_curves_are_cut_and_counted(make_curves, rule):
    curves = make_curves((30, 80, 5, 140))
    cut, n_cut = limit_lengths(curves, 40, rng(), rule)
    assert n_cut == 2
    assert cut.lengths.tolist() == [30, 40, 5, 40]
    positions = [np.flatnonzero(np.isin(curves.mjd, cut.mjd[cut.owner == row])) for row in range(4)]
    assert all((np.diff(cut.mjd[cut.owner == row]) >= 0).all() for row in range(4))
    assert (np.ptp(positions[3]) == 39) == (rule == "window")
    again, _ = limit_lengths(curves, 40, rng(), rule)
    other, _ = limit_lengths(curves, 40, rng(1), rule)
    assert again.mjd.tolist() == cut.mjd.tolist() != other.mjd.tolist()


def test_windows_reach_both_ends(make_curves):
    curves = make_curves((5,))
    starts = {float(limit_lengths(curves, 3, rng(seed))[0].mjd[0]) for seed in range(40)}
    assert starts == set(curves.mjd[:3])


def test_one_band(make_curves):
    curves = make_curves()
    batch, lost = one_band(curves, rng())
    assert lost == (0, 0)
    assert (batch["tokens"][:, 0] == CLS).all()
    for row in range(4):
        real = batch["mask"][row]
        band = int(batch["band"][row, 1])
        assert batch["tokens"][row][real][1:].tolist() == segment(curves, row, band)
        assert (batch["band"][row][real][1:] == band).all()
        assert (batch["tokens"][row][~real] == PAD).all()


def test_one_band_draws_every_observed_band_and_no_other(make_curves):
    curves = make_curves((60,))
    curves = curves.keep(np.isin(curves.band, (1, 4)))
    drawn = {int(one_band(curves, rng(seed))[0]["band"][0, 1]) for seed in range(30)}
    assert drawn == {1, 4}


def test_all_bands_holds_each_band_once_in_random_order(make_curves):
    curves = make_curves()
    batch, _ = all_bands(curves, rng())
    orders = []
    for row in range(4):
        tokens = batch["tokens"][row][batch["mask"][row]].tolist()
        assert tokens[0] == CLS and tokens[-1] == SEP and tokens.count(SEP) == 6
        parts, start = [], 1
        for i, token in enumerate(tokens):
            if token == SEP:
                parts.append(tokens[start:i])
                start = i + 1
        assert sorted(parts) == sorted(segment(curves, row, band) for band in range(6))
        bands = batch["band"][row][batch["mask"][row] & ~batch["special"][row]].tolist()
        orders.append(tuple(dict.fromkeys(bands)))
    assert len(set(orders)) > 1
    assert batch["special"].sum(dim=1).tolist() == [7] * 4


def test_days_follow_their_observations(make_curves):
    curves = make_curves((40,))
    batch, _ = all_bands(curves, rng())
    seen = batch["mask"][0] & ~batch["special"][0]
    tokens = sorted(
        zip(batch["day"][0][seen].tolist(), batch["band"][0][seen].tolist(), batch["tokens"][0][seen].tolist())
    )
    assert tokens == sorted(
        zip(day_bins(curves.mjd)[0].tolist(), curves.band.tolist(), flux_tokens(curves.flux).tolist())
    )


def test_pairs_tell_same_from_other(make_curves):
    curves = make_curves(np.full(200, 60))
    curves = curves.with_columns(flux=np.where(curves.owner % 2, 1, -1) * (5.0 * 1.1 ** (curves.owner // 2) + 1))
    batch, _ = pair(curves, rng())
    tokens, segment_of = batch["tokens"].numpy(), batch["segment"].numpy()
    seen = (batch["mask"] & ~batch["special"]).numpy()
    a = np.array([set(t[s & (g == 0)]) for t, s, g in zip(tokens, seen, segment_of)])
    b = np.array([set(t[s & (g == 1)]) for t, s, g in zip(tokens, seen, segment_of)])
    assert all(len(x) == len(y) == 1 for x, y in zip(a, b))
    assert (np.array([x == y for x, y in zip(a, b)]) == batch["same"].numpy().astype(bool)).all()
    assert 0.35 < batch["same"].float().mean() < 0.65
    bands = batch["band"].numpy()
    assert all(
        set(i[s & (g == 0)]) != set(i[s & (g == 1)]) for i, s, g, y in zip(bands, seen, segment_of, batch["same"]) if y
    )
    assert (tokens == SEP).sum(axis=1).tolist() == [2] * 200


def test_another_object_is_never_the_object_itself(make_curves):
    curves = make_curves((30, 30)).with_columns(flux=np.repeat([-100.0, 100.0], 30))
    for seed in range(20):
        batch, _ = pair(curves, rng(seed))
        seen = batch["mask"] & ~batch["special"]
        for row, same in enumerate(batch["same"]):
            bright = batch["tokens"][row][seen[row]] > 200
            assert (bright == bright[0]).all() == bool(same)


def test_pair_of_an_object_with_one_band_is_never_the_same(make_curves):
    curves = make_curves(np.full(50, 20))
    curves = curves.with_columns(band=np.zeros(len(curves.band)))
    assert not pair(curves, rng())[0]["same"].any()


def test_an_object_alone_in_its_batch_is_paired_with_itself(make_curves):
    curves = make_curves((20,))
    for one in (curves, curves.with_columns(band=np.zeros(len(curves.band)))):
        batch, _ = pair(one, rng())
        assert batch["same"].tolist() == [1] and len(batch["tokens"]) == 1


@pytest.mark.parametrize(
    ("form", "max_length", "longest"), [(one_band, 75, 73), (pair, 150, 147), (all_bands, 450, 439)]
)
def test_deep_fields_are_cut_not_crashed(make_curves, form, max_length, longest):
    curves = make_curves((2000, 1500))
    batch, lost = form(curves, rng(), max_length)
    assert batch["tokens"].shape == (2, longest)
    assert lost.curves_cut >= 2
    shorter, _ = form(curves, rng(), max_length // 3)
    assert shorter["tokens"].shape[1] <= max_length // 3


def test_observations_outside_the_days_are_counted(make_curves):
    curves = make_curves((20,))
    _, lost = all_bands(curves.with_columns(mjd=curves.mjd - 3000), rng())
    assert lost.observations_outside_days == 20
    assert all_bands(curves.with_columns(mjd=curves.mjd - 3000), rng(), mjd_origin=56575)[1] == (0, 0)


def test_no_room_for_the_bands_is_an_error(make_curves):
    with pytest.raises(BadInput, match="max_length"):
        all_bands(make_curves(), rng(), 12)


@pytest.mark.parametrize("time_fraction", [0.0, 0.5, 1.0])
def test_views_are_disjoint_and_complete(make_curves, time_fraction):
    curves = make_curves((60, 2, 1, 0, 90))
    first, second, valid = two_views(curves, rng(), time_fraction)
    assert valid.tolist() == [True, True, False, False, True]
    assert sorted([*first.mjd, *second.mjd]) == sorted(curves.mjd)
    bands = set(first.band[first.owner == 0]), set(second.band[second.owner == 0])
    if time_fraction == 0:
        assert bands[0].isdisjoint(bands[1])
        assert {len(part) for part in bands} == {3}
    if time_fraction == 1:
        a, b = first.mjd[first.owner == 0], second.mjd[second.owner == 0]
        assert a.max() < b.min() or b.max() < a.min()


def test_views_of_a_single_band_are_split_in_time(make_curves):
    curves = make_curves((30,)).with_columns(band=np.full(30, 2))
    assert two_views(curves, rng(), 0.0)[2].all()
