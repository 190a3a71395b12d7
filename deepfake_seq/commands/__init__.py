"""The commands: parse, call, print. Whatever is heavy is imported inside them."""
