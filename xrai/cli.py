"""The command ``xrai``."""

from xrai.commands import poses, train
from xrai.report.command import report_command
from xraisim import console

app = console.make_app(
    "X-RAI: online, amortised reconstruction from single-particle diffraction patterns.",
    "xrai train patterns.h5 --out run\n\n"
    "xrai train patterns.h5 --out run --config mine.toml --device cuda\n\n"
    "xrai train patterns.h5 --out run --follow --live\n\n"
    "xrai train --listen tcp://127.0.0.1:5555 --out run\n\n"
    "xrai push patterns.h5 --to tcp://127.0.0.1:5555\n\n"
    "xrai resume run\n\n"
    "xrai report run --patterns patterns.h5\n\n"
    "xrai poses run more_patterns.h5 --out more_poses.h5\n\n"
    "xrai export run --out volumes",
)
main = console.entry_point(app)

app.command("train")(train.train)
app.command("resume")(train.resume)
app.command("push")(poses.push)
app.command("report")(report_command)
app.command("poses")(poses.poses)
app.command("export")(poses.export)
