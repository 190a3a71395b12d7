"""What a verdict means, in plain words, for readers who do not know the terms of this field."""

from __future__ import annotations

from deepfake_seq.config import MIN_VALID_FRAMES
from deepfake_seq.verdict import (
    ABSTENTION,
    CRASH,
    FAKE,
    INCONCLUSIVE,
    NO_COMPARABLE_CLIPS,
    SMALL_FACE,
    TOO_FEW_FRAMES,
    Verdict,
)

CAUSES_IN_WORDS = {
    "no_face": "No face was found. The clip may show nobody, or the faces are too small, turned "
    "away or covered.",
    TOO_FEW_FRAMES: "The face is visible for too short a time. At least "
    f"{MIN_VALID_FRAMES} of the sampled frames must show the same person.",
    SMALL_FACE: "The face is smaller than all faces on which the model was validated, so its score "
    "would mean nothing. A version of the clip with a higher resolution may help.",
    ABSTENTION: "The score is in a range in which the model often confused real and fake clips "
    "when it was validated.",
    NO_COMPARABLE_CLIPS: "The face size, sharpness or compression of the clip is unlike that of "
    "all clips on which the model was validated, so its error rates on this clip are unknown. The "
    "original file, or one of higher quality, may help.",
    "partial": "The file is damaged or incomplete: only a part of it could be read. Try the "
    "original file.",
    "decode_error": "The file could not be read as a video. It may be damaged, or not a video.",
    "timeout": "Reading the file took too long. A shorter or smaller version may work.",
    "rejected": "The file exceeds a limit, or its format is not supported.",
    CRASH: "The program that analyses clips crashed on this file, twice.",
}
"""What each cause of an inconclusive verdict means; the causes are those of `Verdict`."""


def in_plain_words(verdict: Verdict) -> tuple[str, ...]:
    """Return sentences that say what a verdict on a clip means, and how far to trust it."""
    if verdict.verdict == INCONCLUSIVE:
        return (
            "The clip is called neither real nor fake.",
            CAUSES_IN_WORDS.get(verdict.cause, verdict.reason),
        )
    if verdict.verdict == FAKE:
        which = "at least one person in this clip" if len(verdict.people) > 1 else "this clip"
        first = f"The model calls {which} fake: the score is at or above the threshold."
    else:
        first = (
            "The model found no sign of the kinds of fakes that it knows: the score is below the "
            "threshold. This does not prove that the clip is authentic."
        )
    matched = verdict.matched
    if matched and matched.decides:
        real, fake, versions = matched.real.clips, matched.fake.clips, " made to look like this one"
    else:
        real, fake = (verdict.decision.clips[name] for name in ("real", "fake"))
        versions = ""
    return (
        first,
        f"The threshold was chosen on {real} real and {fake} fake clips of {verdict.data}"
        f"{versions}. Expect more errors on other kinds of clips and fakes.",
    )
