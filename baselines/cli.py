"""The command ``xrai-baseline``."""

from xraisim.console import entry_point, make_app

app = make_app(
    "Classical reconstruction: orientations by EMC, phases by iterated projections.",
    "xrai-baseline emc patterns.h5 --out run\n\n"
    "xrai-baseline report run --patterns patterns.h5\n\n"
    "xrai-baseline phase run/intensity.h5 --out run/phasing\n\n"
    "xrai-baseline phase merged.mrc --out phased --diameter 270 --beamstop 250 --resolution 16 "
    "--starts 20\n\n"
    "xrai-baseline phase merged.npy --kind intensity --spacing 0.0012 --out phased "
    "--support mask.mrc",
    {
        "emc": "baselines.commands.emc:emc",
        "phase": "baselines.commands.phase:phase",
        "report": "baselines.commands.report:report_command",
        "classify": "baselines.commands.classify:classify_command",
        "select": "baselines.commands.classify:select_command",
        "dragonfly": "baselines.commands.dragonfly:dragonfly",
    },
)
main = entry_point(app)
