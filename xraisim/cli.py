"""``xrai-sim``: make, plan, convert, inspect and validate pattern files; list the instruments."""

from xraisim import console

_EXAMPLES = """\
xrai-sim plan --pdb 4v6x --instrument euxfel-agipd1m

xrai-sim make --pdb 4v5d --chains 'B*' --n 10000 --resolution 18 --out patterns.h5

xrai-sim make --pdb 4v6x --n 5000000 --shard $SLURM_ARRAY_TASK_ID/8 --resume

xrai-sim convert patterns.h5 patterns.emc

xrai-sim mask patterns.h5 --saturation 200

xrai-sim inspect patterns.h5 --html patterns.html

xrai-sim validate patterns.h5

xrai-sim rescue damaged.h5 --out rescued.h5"""

app = console.make_app(
    "Simulate X-ray single particle imaging.",
    _EXAMPLES,
    {
        "make": "xraisim.commands.make:make_command",
        "plan": "xraisim.commands.plan:plan_command",
        "convert": "xraisim.commands.convert:convert_command",
        "mask": "xraisim.commands.mask:mask_command",
        "inspect": "xraisim.commands.look:inspect_command",
        "validate": "xraisim.commands.look:validate_command",
        "rescue": "xraisim.commands.rescue:rescue_command",
        "instruments": "xraisim.commands.look:instruments_command",
    },
)
main = console.entry_point(app)
