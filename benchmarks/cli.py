"""``xrai-bench``: run the benchmark, score what others left, show, report and check records."""

from xraisim import console

app = console.make_app(
    "Simulate, reconstruct with every method, phase, score against the truth.",
    "xrai-bench run\n\n"
    "xrai-bench run --method xrai --seeds 3\n\n"
    "xrai-bench score DIR --task quick\n\n"
    "xrai-bench table --write LEADERBOARD.md\n\n"
    "xrai-bench check runs/bench",
    {
        "run": "benchmarks.commands.run:run_command",
        "score": "benchmarks.commands.score:score_command",
        "tasks": "benchmarks.commands.tasks:tasks_command",
        "verify": "benchmarks.commands.verify:verify_command",
        "data": "benchmarks.commands.data:data_command",
        "table": "benchmarks.commands.table:table_command",
        "report": "benchmarks.commands.table:report_command",
        "band": "benchmarks.commands.check:band_command",
        "check": "benchmarks.commands.check:check_command",
    },
)
main = console.entry_point(app)

if __name__ == "__main__":
    main()
