"""``xrai-sim``: make, plan, convert, inspect and validate pattern files; list the instruments."""

from xraisim import console
from xraisim.commands.convert import convert_command
from xraisim.commands.look import inspect_command, instruments_command, validate_command
from xraisim.commands.make import make_command
from xraisim.commands.mask import mask_command
from xraisim.commands.plan import plan_command
from xraisim.commands.rescue import rescue_command

_EXAMPLES = """\
xrai-sim plan --pdb 4v6x --instrument euxfel-agipd1m

xrai-sim make --pdb 4v5d --chains 'B*' --n 10000 --resolution 18 --out patterns.h5

xrai-sim make --pdb 4v6x --n 5000000 --shard $SLURM_ARRAY_TASK_ID/8 --resume

xrai-sim convert patterns.h5 patterns.emc

xrai-sim mask patterns.h5 --saturation 200

xrai-sim inspect patterns.h5 --html patterns.html

xrai-sim validate patterns.h5

xrai-sim rescue damaged.h5 --out rescued.h5"""

app = console.make_app("Simulate X-ray single particle imaging.", _EXAMPLES)
for name, command in (
    ("make", make_command),
    ("plan", plan_command),
    ("convert", convert_command),
    ("mask", mask_command),
    ("inspect", inspect_command),
    ("validate", validate_command),
    ("rescue", rescue_command),
    ("instruments", instruments_command),
):
    app.command(name)(command)
main = console.entry_point(app)
