"""Run the command line from a checkout: ``python cli.py extract videos/``."""

from deepfake_seq.cli import main

if __name__ == "__main__":  # the worker of `serve` imports this file
    main()
