"""Networks that compute logits from features."""
