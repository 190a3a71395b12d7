"""How long `deepseq --help` takes, beside what Python and click take alone.

python benchmarks/startup.py
"""

from __future__ import annotations

from interleaved_timing import medians

ROUNDS = 15


def main() -> None:
    commands = {
        "python -c 'import click'": ("-c", "import click"),
        "deepseq --help": ("-m", "deepfake_seq", "--help"),
        "deepseq extract --help": ("-m", "deepfake_seq", "extract", "--help"),
    }
    times = medians(commands, ROUNDS)
    floor = times["python -c 'import click'"]
    for name, middle in times.items():
        print(f"{name:28} {middle:.3f} s  {middle - floor:+.3f} s  {middle / floor:.2f} x")


if __name__ == "__main__":
    main()
