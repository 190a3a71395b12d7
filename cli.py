"""Run the command line from a checkout: ``python cli.py extract videos/``."""

from deepfake_seq.cli import main

main()
