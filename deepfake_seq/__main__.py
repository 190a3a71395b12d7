"""Run the command line as a module: ``python -m deepfake_seq extract videos/``."""

from deepfake_seq.cli import main

main()
