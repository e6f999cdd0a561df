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
  only the lines *in range* are free of that choice. So were two assumptions of fits: how little a slow recording counts
  beside the rests of pulses where no cycle was recorded (Panasonic), and how steeply slow pairs grow in the cold (LG at
  left-out temperatures).
- **Too wide** is what is told where runs are dishonest at a left-out temperature: no run of LG is outside of two sigma
  for more than a tenth of the time. One assumption decides at all of them, how wrong polarisation may be there
  (`sag_share_k`). With a quarter of it nine tenths of the runs from 10 and 25 degC at 0 degC are honest instead of
  seven, but then a fifth of those from 0 and 10 degC at 25 degC is told too narrow, inside for 66 % of the time at
  worst, and from 25 degC alone at 0 degC for 56 %. Learning it while running, from how far voltages miss, makes the
  same runs from 0 and 10 degC too narrow: 83 % are honest instead of all. What is told is to be believed, so it stays.
- **Disturbances**, one run each: none; start 20 points too low (*wrong start*); current offset of C/60 and -C/60; gain
  of the current +1 % and -1 %; voltage +5 mV and -5 mV; *all together* with both signs, the wrong start with each.
  A123 has runs without offset (none, wrong start) and with one (+-C/60, each also with a wrong start).
- **Columns.** *mean RMSE*: of all runs; *worst*: largest error of any; *RMSE undisturbed*: runs without disturbance;
  *minutes to 3 points*: with the wrong start, when the error comes within 3 points for good, the slowest run; *honest
  runs*: those in which the error is inside two sigma at least 90 % of the time while the RMS sigma is at most three
  times the RMS error, or one point if that is more, each run judged alone; *least inside 2σ*: that share of time in
  the worst run. In brackets the target, no more than which is good.
- **Capacity from parts of charges**: from the part of a constant-current charge between two voltages, every 50 mV from
  3.6 V to 4.19 V, through the lives of CALCE CS2 (1.1 Ah) and NASA PCoE (2.0 Ah) cells, every one that is there. Each
  window of each cell is a life of its own: an estimate knows the charge and voltage inside this window, what it
  believed after the one before, and how many cycles passed. The curve and capacity of the new cell are those of the
  last complete charge within the first 30 cycles, which are not evaluated; no later capacity is used. *Truth*: the
  capacity of the discharge that follows the charge; one that differs by more than 5 % from the median of seven around
  it was cut short and is left out. Errors are in per cent of the nominal capacity. *windows*: charges that pass the
  whole window; *estimates*: those of them whose shape tells the capacity by itself, to 3.5 % of it; RMSE, worst and
  the share inside two sigma are theirs, and a target counts as met only if half of the windows give one. *all
  windows*: the same with the belief as it then is where a window told nothing. *counting*: the charge through the
  window over that of the new cell. What the method is, the 30 cycles (the first twenty charges of B0005
  follow a discharge at once, later ones a rest; a reference of the former makes later estimates 2 points too high) and
  the distance over which errors hang together were chosen with all three cells in view, the other constants by results
  on CS2_35 and B0005: no line is free of choice, those of CS2_37 have least of it. The daemon does not do this yet.
- **Capacity between two rests** is what the daemon does: one of LG's held-out cycles with the fit in range, from a
  belief (sigma 10 %) that is wrong by 10 or 20 %. Errors and told sigma after it, in per cent of 2.780 Ah. The
  recordings begin with the last row of a rest; its voltage is held for ten minutes more. How long a rest has to be
  and what offset the sensor is taken to have were chosen with these drives in view.
- **Power ahead** is judged on measured pulses that start from rest. With the voltage at the end of a pulse as the
  limit, the pulse's own current is the true limit, so nothing is extrapolated: *error* is the current that the
  estimator allows for this limit and time, asked at the last row before the pulse, over the measured one, less one.
  *mean error* is the mean of its magnitude for the best guess; *worst optimistic* and *mean published* are of the
  current on the safe side, as published (negative: less is allowed than the cell could give). Pulses below 0.8 C are
  left out: there millivolts at rest decide. *near the limit* are pulses that end within 0.5 V of the lowest voltage.
  The estimator runs from the full cell on, at one row a second, and tracks the resistance; earlier pulses of the same
  recording teach it. Fits: LG to C/20 and mixed cycles, no HPPC; Panasonic to C/20 and the drive cycle, no HPPC; Leaf
  (ORNL; no temperature column: the file's is taken) to the pulse recordings of the two other temperatures, for
  nothing else of that cell tells resistances. Two assumptions of `sop_path.py` were chosen on the LG and Panasonic
  pulses at 0 to 25 degC: where large currents bend, and that what the series resistance owes to the state of charge
  saturates. The Leaf lines are free of that.
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
