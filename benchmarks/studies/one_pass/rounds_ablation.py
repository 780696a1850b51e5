"""What each part of the amortised rounds is worth: one changed at a time, over seeds.

    xrai-sim make --pdb 4v5d --chains 'B*' --n 60000 --resolution 40 --seed 11 --out p60k.h5
    python -m benchmarks.studies.one_pass.rounds_ablation p60k.h5 --unseen unseen.h5 \\
        --out rounds_ablation.json

Every variant reads the patterns once, from the same starts, and is judged as in
:mod:`benchmarks.studies.one_pass.run`; the encoder alone by other patterns.
"""

from dataclasses import replace
from pathlib import Path

from benchmarks.studies.common import study_record
from benchmarks.studies.one_pass.run import measure
from xrai.config import AmortisedConfig, RefineConfig, TrainConfig

ENCODER = AmortisedConfig().encoder
VARIANTS: dict[str, TrainConfig] = {
    name: TrainConfig(
        mode="amortised",
        single_pass=True,
        amortised=AmortisedConfig(encoder=encoder),
        refine=refine,
    )
    for name, encoder, refine in (
        ("as it is", ENCODER, RefineConfig()),
        ("not taught after the start", replace(ENCODER, steps_per_round=0), RefineConfig()),
        ("taught a fifth", replace(ENCODER, steps_per_round=2), RefineConfig()),
        ("taught five times", replace(ENCODER, steps_per_round=50), RefineConfig()),
        ("no synthesised patterns", replace(ENCODER, synthetic=0.0), RefineConfig()),
        ("only synthesised patterns", replace(ENCODER, synthetic=1.0), RefineConfig()),
        ("one Newton step", ENCODER, RefineConfig(iterations=1)),
        ("four Newton steps", ENCODER, RefineConfig(iterations=4)),
    )
}


def main() -> None:
    """Run all variants, seed by seed; write the record after each run."""
    parser = study_record.seeded_parser(__doc__)
    parser.add_argument("--variants", help="names, separated by commas; by default all")
    parser.add_argument("--unseen", type=Path, help="patterns that the encoder alone poses")
    said = parser.parse_args()
    study_record.ablate(
        said,
        VARIANTS,
        lambda config, seed: measure(said.patterns, replace(config, seed=seed), "C1", said.unseen),
    )


if __name__ == "__main__":
    main()
