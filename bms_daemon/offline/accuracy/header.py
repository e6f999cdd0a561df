"""What a reader of the document has to know before its tables."""

from __future__ import annotations

HEADER = """# Accuracy

Written by `scripts/accuracy`; do not edit. How far the estimator is from the truth on recordings of real cells that it
was not fitted to, beside other estimators on the same cells in the same run. A figure that misses its target is
printed as it is and marked **missed**.

## How it is measured

- **Units** are percentage points of state of charge, on rows of one second, after the first ten minutes. What is
  judged is the estimator's own value (`soc`), not the published one, which follows it at a bounded rate.
- **Truth** is the cycler's ampere-hour counter: `soc = 1 + ah / Q` with one Q at all temperatures, the C/20 discharge
  at 25 degC: 2.780 Ah (LG), 2.997 Ah (Panasonic). A123 as in G. Plett's method: coulombic efficiency and capacity from
  the totals of a test's three scripts; the estimator is told 2.06 Ah. Every recording starts full.
- **Cells.** LG 18650HG2 (NMC) and Panasonic 18650PF (NCA), recorded by P. Kollmeyer and others; A123 (LFP), recorded
  by G. Plett. Everything fitted here serves the evaluation alone; what is fitted to the A123 recordings is not
  shipped.
- **Fits** (`bms-daemon fit-cell`) never see what is evaluated. *In range*: fitted to C/20 discharges, HPPC and mixed
  cycles at 0, 10 and 25 degC, less the highest-numbered mixed cycle of each, which is what is evaluated. *Fitted at
  ... alone*: the same of those temperatures only, evaluated on all mixed cycles of another one. *Panasonic*: fitted to
  C/20 and HPPC, no drive cycle. *A123*: fitted to the slow tests S1 and S3 at eight temperatures and the dynamic test
  at 25 degC, evaluated on the dynamic tests (10 hours) at others.
- **Assumptions** of the estimator (`bms_daemon/estimation/tuning.py`) are one set for all cells and lines. They were
  chosen by results on LG cycles other than the three held out, on the Panasonic cycle and on the A123 tests, so that
  only the lines *in range* are free of that choice.
- **Disturbances**, one run each: none; start 20 points too low (*wrong start*); current offset of C/60 and -C/60; gain
  of the current +1 % and -1 %; voltage +5 mV and -5 mV; *all together* with both signs, the wrong start with each.
  A123 has runs without offset (none, wrong start) and with one (+-C/60, each also with a wrong start).
- **Columns.** *mean RMSE*: of all runs; *worst*: largest error of any; *RMSE undisturbed*: runs without disturbance;
  *minutes to 3 points*: with the wrong start, when the error comes within 3 points for good, the slowest run; *honest
  runs*: those in which the error is inside two sigma at least 90 % of the time while the RMS sigma is at most three
  times the RMS error, or one point if that is more, each run judged alone; *least inside 2σ*: that share of time in
  the worst run. In brackets the target, no more than which is good.
- *no data*: the recordings at hand have nothing to say about that line.
"""
PEERS = """
Every estimator on one drive a line (the held-out cycle, the last one of a left-out temperature) under four of the
disturbances: none, wrong start, all together with both signs. One run at a time, for these estimators take one cell.

- *coulomb counting*: the start plus what the current says; it has no uncertainty to tell.
- *filterpy EKF, UKF*: `ExtendedKalmanFilter` and `UnscentedKalmanFilter` (Merwe's sigma points, alpha 0.1, beta 2,
  kappa 0) on the cell file that bms-daemon uses; states are the state of charge and the voltages of the RC pairs;
  hysteresis follows the current. Noises are fixed and the same everywhere: {noise_mv:g} mV of a voltage sample,
  {pair_mv:g} mV a square root of a second for each pair, {soc:g} points for the state of charge, start 15 points. They
  were chosen by their results on the first four lines below: of thirteen combinations the one with the least error of
  those that are honest at 0, 10 and 25 degC in range. That favours these two.
- *pybatteryse EKF*: the library's own model, identified with pybatteryid from the mixed cycles of the line's fit, with
  order, basis functions, optimizers and variances as in the README files of both; its open-circuit curve is that of
  the cell file. It is left out where no drive cycles of the cell were fitted.
"""
QUICK_HEADER = "# Accuracy, three cycles alone\n"
