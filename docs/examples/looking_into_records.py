"""Looking into records: those of the benchmark as pandas tables, or those of a directory."""

import sys
from pathlib import Path

import benchmarks

out = Path(sys.argv[1] if len(sys.argv) > 1 else "example")
out.mkdir(parents=True, exist_ok=True)

# One row per run; without an argument, the records that ship.
runs = benchmarks.load()
print(runs.groupby(["task", "method"]).size().unstack(fill_value=0))

# Statistics over the newest run of every seed, as the leaderboard states them.
over_seeds = benchmarks.over_seeds(runs)
for quantity in ("fsc_truth_0.5", "pose_error_median_deg", "seconds"):
    print(f"\n{quantity}")
    print(over_seeds.xs(quantity, level="quantity")[["count", "median", "min", "max"]])

# What one did not reach is infinite, so that no mean or median leaves it out.
quick = runs[runs.task == "quick"]
best = quick[quick.method != "oracle"].sort_values(["fsc_truth_0.5", "seconds"]).iloc[0]
print(f"\nquick, best: {best.method}, seed {best.seed}, {best['fsc_truth_0.5']:.1f} Å")

# Curves in long form, one row per shell: the correlation with the atoms near 20 Å.
curves = benchmarks.load_curves()
shells = curves[(curves.curve == "fsc_truth") & (curves.s.sub(1 / 20).abs() < 0.002)]
missing = 1 - shells.groupby(["task", "method"]).value.mean()
missing.rename("1 - FSC at 20 Å").to_csv(out / "missing.csv")
print(f"\n{len(missing)} rows in {out / 'missing.csv'}")
