"""X-RAI on a GPU with a data set that fits: 50,000 patterns, gone over until nothing moves.

    python -m benchmarks.studies.gpu.xrai_offline --out run --record record.json

One call is one experiment, of ten minutes at most on an H100. The patterns are drawn on the device
and kept; after the first pass, rounds over all of them follow until the half-sets agree no farther.
The record is that of ``xrai_online.py``. ``--device cpu --patterns 2000`` tries the script out.
"""

import dataclasses

from benchmarks.studies.common import study_record
from benchmarks.studies.gpu.xrai_run import options, run, source, step_costs, write
from xrai.config import TrainConfig
from xraisim.core.device import choose_device

_CONFIG = TrainConfig(block=4096, memory_gib=16.0)


@study_record.user_errors()
def main() -> None:
    """Run the experiment; exit code 2 and one line for what a user can mend."""
    arguments = options((__doc__ or "").split("\n")[0], 50_000).parse_args()
    device = choose_device(arguments.device)
    config = dataclasses.replace(_CONFIG, device=arguments.device, mode=arguments.mode)
    patterns = source(arguments, arguments.patterns)
    whole = run(patterns, arguments.out, config)
    costs = step_costs(patterns, arguments.out, config, device)
    write(arguments, {"offline": whole, **costs})
    found = whole["result"]
    print(
        f"{found['patterns']} patterns, {found['figures']['rounds']} rounds, "
        f"{found['seconds']:.0f} s, poses to {found['figures']['pose_limit_angstrom']:.1f} Å"
    )


if __name__ == "__main__":
    main()
