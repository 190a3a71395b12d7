"""The web page of `deepseq serve` and its API. Needs the extra `web`."""
