"""Why a verdict: how much each frame and each part of the face contributes, and a report."""
