"""Time `deepseq --help`, compared with starting Python and importing click.

python benchmarks/startup.py
"""

from __future__ import annotations

from interleaved_timing import median_seconds

ROUNDS = 15


def main() -> None:
    commands = {
        "python -c 'import click'": ("-c", "import click"),
        "deepseq --help": ("-m", "deepfake_seq", "--help"),
        "deepseq extract --help": ("-m", "deepfake_seq", "extract", "--help"),
    }
    medians = median_seconds(commands, ROUNDS)
    floor = medians["python -c 'import click'"]
    for name, seconds in medians.items():
        print(
            f"{name:28} {seconds:.3f} s  {seconds - floor:+.3f} s  "
            f"{seconds / floor:.2f} x the floor"
        )


if __name__ == "__main__":
    main()
