"""The command ``xrai-baseline``."""

from baselines.commands.classify import classify_command, select_command
from baselines.commands.dragonfly import dragonfly
from baselines.commands.emc import emc
from baselines.commands.phase import EXAMPLES, phase
from baselines.commands.report import report_command
from xraisim.console import entry_point, make_app

app = make_app(
    "Classical reconstruction: orientations by EMC, phases by iterated projections.",
    "xrai-baseline emc patterns.h5 --out run\n\n"
    "xrai-baseline report run --patterns patterns.h5\n\n" + EXAMPLES,
)
main = entry_point(app)
app.command()(emc)
app.command()(phase)
app.command("report")(report_command)
app.command("classify")(classify_command)
app.command("select")(select_command)
app.command()(dragonfly)
