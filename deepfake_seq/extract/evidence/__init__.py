"""Evidence blocks: what is computed from a face crop beside the CNN's pooled features."""
