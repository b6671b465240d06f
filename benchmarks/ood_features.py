"""Vectorised hand features of transient light curves for the novelty benchmark (SPCC and MALLORN)."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.cosmology import FlatLambdaCDM

WAVELENGTH_NM = np.array([367.0, 482.0, 622.0, 754.0, 869.0, 971.0])
EXTINCTION = np.array([4.81, 3.64, 2.70, 2.06, 1.58, 1.31])  # A_b / E(B-V)
PHASE_EDGES = np.array([-40.0, -20, -10, -3, 4, 12, 22, 35, 55, 90, 150])  # rest-frame days from peak
REST_NM = np.array([300.0, 360, 430, 510, 600])


def read_spcc(root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Observations and one row per object with `label`, `z`, `z_err`, `ebv`."""
    curves = pd.read_parquet(root / "spcc/lightcurves.parquet").rename(columns={"object_id": "id"})
    curves["passband"] += 1
    meta = pd.read_parquet(root / "spcc/metadata.parquet").rename(columns={"object_id": "id", "mwebv": "ebv"})
    kinds = {"Ia": "Ia", "Ib": "Ibc", "Ic": "Ibc", "Ibc": "Ibc"}
    meta["label"] = meta.sim_type.map(kinds).fillna("II")
    meta["z"], meta["z_err"] = meta.host_photoz, meta.host_photoz_err
    return curves, meta[["id", "label", "z", "z_err", "ebv"]]


def read_mallorn(root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Observations and one row per object with `label`, `z`, `z_err`, `ebv`."""
    curves = pd.read_parquet(root / "mallorn/train_lightcurves.parquet").rename(columns={"oid": "id"})
    meta = pd.read_parquet(root / "mallorn/train_log.parquet").rename(columns={"oid": "id", "Z": "z", "EBV": "ebv"})
    kind = meta.SpecType
    meta["label"] = np.where(kind.isin(["TDE", "AGN"]), kind, np.where(kind.str.startswith("SN Ia"), "Ia", "CC"))
    meta["z_err"] = 0.0
    return curves, meta[["id", "label", "z", "z_err", "ebv"]]


class Curves:
    """Flat arrays sorted by (object, band, time) with sums per object and band.

    Args:
        curves: columns id, mjd, passband, flux, flux_err.
        meta: one row per object, columns id, z, ebv.
    """

    def __init__(self, curves: pd.DataFrame, meta: pd.DataFrame) -> None:
        row = pd.Series(np.arange(len(meta)), index=meta.id.to_numpy())
        curves = curves.assign(row=row.reindex(curves.id.to_numpy()).to_numpy())
        good = np.isfinite(curves.flux) & (curves.flux_err > 0) & curves.row.notna()
        curves = curves[good].sort_values(["row", "passband", "mjd"], kind="stable")
        self.row, self.band = curves.row.to_numpy().astype(int), curves.passband.to_numpy().astype(int)
        self.n = len(meta)
        self.key = self.row * 6 + self.band
        dust = 10 ** (0.4 * EXTINCTION[self.band] * meta.ebv.to_numpy()[self.row])
        self.mjd = curves.mjd.to_numpy()
        self.flux = curves.flux.to_numpy().astype(float) * dust
        self.err = np.hypot(curves.flux_err.to_numpy() * dust, 0.03 * self.flux)
        self.w = self.err**-2
        first = pd.Series(self.mjd).groupby(self.row).min()
        last = pd.Series(self.mjd).groupby(self.row).max()
        self.start = first.reindex(np.arange(self.n)).to_numpy()
        self.stop = last.reindex(np.arange(self.n)).to_numpy()

    def by_band(self, values: np.ndarray) -> np.ndarray:
        """Sum over observations, shape (objects, 6)."""
        return np.bincount(self.key, values, self.n * 6).reshape(self.n, 6)

    def by_object(self, values: np.ndarray) -> np.ndarray:
        """Sum over observations, shape (objects,)."""
        return np.bincount(self.row, values, self.n)


def bazin(phase: np.ndarray, rise: float, fall: float) -> np.ndarray:
    """Bazin (2009) pulse of unit height at phase 0 (days); needs fall > rise."""
    t0 = -rise * np.log(fall / rise - 1)
    x = np.clip(phase - t0, -60 * rise, 60 * fall)
    pulse = np.exp(-x / fall) / (1 + np.exp(-x / rise))
    return pulse / (np.exp(t0 / fall) / (1 + np.exp(t0 / rise)))


def fit_pulse(c: Curves, rises: list, falls: list, coarse: tuple, fine: np.ndarray) -> dict[str, np.ndarray]:
    """Grid fit of one pulse shape per object, amplitude per band solved in closed form (positive).

    Args:
        c: observations.
        rises: rise times in days.
        falls: fall times in days.
        coarse: (step in days, rise, fall) of the first search for the peak time.
        fine: peak time offsets in days of the second search.

    Returns:
        `peak`, `rise`, `fall` (objects,) with posterior spreads; per band `amp`, `amp_err`, `band_fall`, `band_rise`.
    """
    wy = c.w * c.flux

    def gain_of(peak: np.ndarray, rise: float, fall: float) -> tuple[np.ndarray, ...]:
        f = bazin(c.mjd - peak[c.row], rise, fall)
        num, den = c.by_band(wy * f), c.by_band(c.w * f * f)
        return np.maximum(num, 0) ** 2 / np.maximum(den, 1e-9), num, den

    step, rise0, fall0 = coarse
    best, peak = np.full(c.n, -1.0), c.start.copy()
    for k in range(int(np.nanmax(c.stop - c.start) / step) + 1):
        trial = np.minimum(c.start + k * step, c.stop)
        gain = gain_of(trial, rise0, fall0)[0].sum(1)
        peak = np.where(gain > best, trial, peak)
        best = np.maximum(gain, best)

    shapes = [(r, f) for r in rises for f in falls if f > 1.3 * r]
    total = np.zeros((len(shapes), len(fine), c.n), np.float32)
    band_best = np.full((c.n, 6), -1.0)
    band = {name: np.full((c.n, 6), np.nan) for name in ("band_rise", "band_fall", "band_shift")}
    for s, (r, f) in enumerate(shapes):
        for o, shift in enumerate(fine):
            gain = gain_of(peak + shift, r, f)[0]
            total[s, o] = gain.sum(1)
            better = gain > band_best
            band_best = np.where(better, gain, band_best)
            for name, value in (("band_rise", r), ("band_fall", f), ("band_shift", shift)):
                band[name][better] = value
    flat = total.reshape(-1, c.n)
    pick = flat.argmax(0)
    weight = np.exp(np.clip((flat - flat.max(0)) / 2, -50, 0))
    weight /= weight.sum(0)
    lr, lf = (np.repeat(np.log([x[i] for x in shapes]), len(fine)) for i in (0, 1))
    sh = np.tile(fine, len(shapes))
    out = {"peak": peak + sh[pick], "gain": flat.max(0)}
    for name, grid in (("log_rise", lr), ("log_fall", lf)):
        out[name] = weight.T @ grid
        out[name + "_sd"] = np.sqrt(np.maximum(weight.T @ grid**2 - out[name] ** 2, 0))
    f = np.zeros(len(c.mjd))
    for s, (r, fall) in enumerate(shapes):
        mine = (pick // len(fine) == s)[c.row]
        f[mine] = bazin((c.mjd - out["peak"][c.row])[mine], r, fall)
    den = c.by_band(c.w * f * f)
    out["amp"], out["amp_err"] = c.by_band(wy * f) / np.maximum(den, 1e-9), np.maximum(den, 1e-9) ** -0.5
    out["model"] = f * out["amp"].reshape(-1)[c.key]
    out["band_gain"], out["band_peak"] = band_best, band["band_shift"] - sh[pick][:, None]
    return out | {k: np.log(band[k]) for k in ("band_rise", "band_fall")}


def features(c: Curves, fit: dict[str, np.ndarray], meta: pd.DataFrame, zero_point: float) -> pd.DataFrame:
    """Table of hand features, one row per object; NaN where the data do not constrain a feature.

    Args:
        c: observations.
        fit: result of `fit_pulse`.
        meta: one row per object with z and z_err.
        zero_point: magnitude of unit flux.
    """
    z = np.clip(meta.z.to_numpy(), 0.01, 6)
    names = "ugrizy"
    seen = fit["amp_err"] < 1e4
    mu = FlatLambdaCDM(70, 0.3).distmod(z).value
    stretch = np.log1p(z)
    t = {"z": z, "z_err": meta.z_err.to_numpy(), "rise": fit["log_rise"] - stretch, "fall": fit["log_fall"] - stretch}
    t |= {"rise_sd": fit["log_rise_sd"], "fall_sd": fit["log_fall_sd"], "log_gain": np.log(fit["gain"] + 1)}
    soft = np.where(seen, fit["amp_err"], np.nan)
    amp = np.where(seen, fit["amp"], np.nan)
    # inverse hyperbolic sine magnitudes stay finite for non-detections
    mag = zero_point - 2.5 / np.log(10) * (np.arcsinh(amp / (2 * soft)) + np.log(soft))
    sure = amp > 3 * soft
    detected = np.where(sure, mag, np.nan)
    for b in range(6):
        if not seen[:, b].any():
            continue
        t[f"abs_{names[b]}"], t[f"snr_{names[b]}"] = mag[:, b] - mu, np.log(np.maximum(amp / soft, 0.1))[:, b]
        for k in ("band_rise", "band_fall", "band_peak"):
            value = fit[k][:, b] - (stretch if k != "band_peak" else 0)
            t[f"{k}_{names[b]}"] = np.where(fit["band_gain"][:, b] > 25, value, np.nan)
        if b and seen[:, b - 1].any():
            t[f"colour_{names[b - 1]}{names[b]}"] = mag[:, b - 1] - mag[:, b]
    grid = np.log(REST_NM) + np.log1p(z)[:, None]
    for k, nm in enumerate(REST_NM):
        rest = np.full(c.n, np.nan)
        for lo in range(5):
            a, b = np.log(WAVELENGTH_NM[[lo, lo + 1]])
            inside = (grid[:, k] >= a) & (grid[:, k] < b)
            frac = (grid[:, k] - a) / (b - a)
            rest = np.where(inside, detected[:, lo] * (1 - frac) + detected[:, lo + 1] * frac, rest)
        t[f"rest_{nm:.0f}"] = rest - mu + 2.5 * np.log10(1 + z)
    for lo, hi in itertools.pairwise(REST_NM):
        t[f"restcolour_{lo:.0f}"] = t[f"rest_{lo:.0f}"] - t[f"rest_{hi:.0f}"]
    phase = (c.mjd - fit["peak"][c.row]) / (1 + z)[c.row]
    bin_ = np.digitize(phase, PHASE_EDGES)
    shape_bins, colour_bins = [], []
    for k in range(1, len(PHASE_EDGES)):
        mine = bin_ == k
        den, num = c.by_band(np.where(mine, c.w, 0)), c.by_band(np.where(mine, c.w * c.flux, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            level, err = num / den, den**-0.5
            ratio = np.where((den > 0) & sure & (err < 0.25 * amp), level / amp, np.nan)
            lup = -2.5 / np.log(10) * (np.arcsinh(level / (2 * err)) + np.log(err))
            lup = np.where((den > 0) & (level > 3 * err), lup, np.nan)
        shape_bins.append(ratio)
        colour_bins.append(lup)
    for b in range(6):
        for k in range(len(PHASE_EDGES) - 1):
            t[f"shape_{names[b]}{k}"] = shape_bins[k][:, b]
            if b:
                t[f"phasecolour_{names[b - 1]}{names[b]}{k}"] = colour_bins[k][:, b - 1] - colour_bins[k][:, b]
    pull = ((c.flux - fit["model"]) / c.err) ** 2
    far = np.abs(phase) > 100
    for name, mask in (("near", ~far), ("far", far)):
        count = c.by_object(mask.astype(float))
        t[f"chi2_{name}"] = np.log1p(c.by_object(np.where(mask, pull, 0)) / np.maximum(count, 1))
        t[f"excess_{name}"] = c.by_object(np.where(mask, c.flux / c.err, 0)) / np.sqrt(np.maximum(count, 1))
    mean = c.by_band(c.w * c.flux) / np.maximum(c.by_band(c.w), 1e-12)
    t["chi2_const"] = np.log1p(c.by_object(((c.flux - mean.reshape(-1)[c.key]) / c.err) ** 2) / c.by_object(c.w > 0))
    t["chi2_ratio"] = t["chi2_near"] - t["chi2_const"]
    step_same = (np.diff(c.key) == 0) & (np.diff(c.mjd) < 40)
    jump = np.append(np.where(step_same, np.diff(c.flux / c.err) ** 2 / 2, 0), 0)
    t["roughness"] = np.log1p(c.by_object(jump) / np.maximum(c.by_object(np.append(step_same, False) * 1.0), 1))
    t["n_obs"], t["n_snr3"] = c.by_object(np.ones(len(c.mjd))), c.by_object((c.flux > 3 * c.err) * 1.0)
    t["n_negative"] = c.by_object((c.flux < -3 * c.err) * 1.0)
    t["span_snr5"] = _span(c, c.flux > 5 * c.err) - stretch
    t["before"], t["after"] = fit["peak"] - c.start, c.stop - fit["peak"]
    table = pd.DataFrame(t, index=meta.id.to_numpy()).astype("float32").replace([np.inf, -np.inf], np.nan)
    return table.loc[:, table.notna().mean() > 0.02]


def _span(c: Curves, mask: np.ndarray) -> np.ndarray:
    """Log of days between first and last observation of a mask."""
    time = pd.Series(c.mjd[mask]).groupby(c.row[mask])
    return np.log1p((time.max() - time.min()).reindex(np.arange(c.n)).fillna(0).to_numpy())


GRIDS = {
    "spcc": ([2, 3.5, 6, 10, 16], [8, 14, 22, 35, 55, 90, 150], (4, 5, 25), np.arange(-16.0, 17, 4), 27.5),
    "mallorn": ([2.5, 5, 10, 20, 40, 80], [8, 16, 30, 60, 120, 240, 480], (12, 10, 45), np.arange(-48.0, 49, 8), 23.9),
}
READERS = {"spcc": read_spcc, "mallorn": read_mallorn}


def build(name: str, root: Path, cache: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Feature table and labels of `spcc` or `mallorn`, cached as Parquet under `cache`."""
    path = cache / f"ood_features_{name}.parquet"
    if not path.is_file():
        curves, meta = READERS[name](root)
        c = Curves(curves, meta)
        *grid, zero_point = GRIDS[name]
        table = features(c, fit_pulse(c, *grid), meta, zero_point).assign(label=meta.label.to_numpy())
        table.to_parquet(path)
    table = pd.read_parquet(path)
    return table.drop(columns="label"), table.label.to_numpy().astype(str)
