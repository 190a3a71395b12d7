"""Networks that turn features into logits."""
