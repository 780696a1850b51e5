"""The command ``xrai``."""

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
    {
        "train": "xrai.commands.train:train",
        "resume": "xrai.commands.train:resume",
        "push": "xrai.commands.poses:push",
        "report": "xrai.commands.report:report_command",
        "poses": "xrai.commands.poses:poses",
        "export": "xrai.commands.poses:export",
    },
)
main = console.entry_point(app)
