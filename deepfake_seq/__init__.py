"""deepseq: tell real face videos from deepfakes. Extract once, experiment in seconds."""

__version__ = "0.1.0"
