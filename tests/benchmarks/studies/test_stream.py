"""The arithmetic of the rates at which patterns are read."""

from benchmarks.studies.stream.rate import Rate, _median


def test_rates_are_of_the_median_run():
    runs = [
        Rate(source="file", patterns=600, photons=6000, wall_s=wall_s, cpu_s=cpu_s)
        for wall_s, cpu_s in ((2.0, 1.0), (3.0, 0.5), (50.0, 0.1))
    ]
    assert _median(runs).figures == {
        "patterns_per_s": 200.0,
        "photons_per_s": 2000.0,
        "patterns_per_cpu_s": 1200.0,
    }
