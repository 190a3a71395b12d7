"""Verdicts in words, the same in `predict`, in reports and on the web page."""

from __future__ import annotations

from collections.abc import Iterator

from deepfake_seq.config import MIN_VALID_FRAMES
from deepfake_seq.support import MATCHED, Support, rounded
from deepfake_seq.verdict import (
    ABSTENTION,
    CRASH,
    FAKE,
    INCONCLUSIVE,
    NO_COMPARABLE_CLIPS,
    NOVEL,
    REAL,
    SMALL_FACE,
    TOO_FEW_FRAMES,
    PartVerdict,
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
    NOVEL: "The clip is unlike the clips on which the model was validated, so its score may mean "
    "nothing.",
    "partial": "The file is damaged or incomplete: only a part of it could be read. Try the "
    "original file.",
    "decode_error": "The file could not be read as a video. It may be damaged, or not a video.",
    "timeout": "Reading the file took too long. A shorter or smaller version may work.",
    "rejected": "The file exceeds a limit, or its format is not supported.",
    CRASH: "The program that analyses clips crashed on this file, twice.",
}
"""What each cause of an inconclusive verdict means; the causes are those of `Verdict`."""


def headline(verdict: Verdict, support: Support | None) -> str:
    """Return a verdict on a clip in a few words, such as `Fake: moderate support`.

    Args:
        verdict: The verdict.
        support: How strongly the score supports it; None if that is unknown.
    """
    if verdict.verdict == INCONCLUSIVE:
        return "Inconclusive"
    strength = f"{support.level} support" if support else "strength unknown"
    return f"{verdict.verdict.capitalize()}: {strength}"


def outcome(part: PartVerdict) -> str:
    """Return the verdict on a person or window with its score or reason."""
    if part.score is None:
        return f"inconclusive ({part.reason})"
    return f"{part.verdict}, score {part.score:.3f}"


def threshold_text(verdict: Verdict) -> str:
    """Return the threshold of a verdict, how it was set, and on which clips."""
    decision, matched = verdict.decision, verdict.matched
    basis = f"{decision.basis} of {verdict.data}"
    if matched and matched.decides and not matched.reason:
        aim = (
            f"a false-positive rate of {decision.target_fpr:.1%}"
            if decision.rule == "fpr"
            else "the best balanced accuracy"
        )
        basis = (
            f"set for {aim} on {matched.real.clips} real and {matched.fake.clips} fake validation "
            f"clips of {verdict.data} made to look like this one"
        )
    return f"{verdict.threshold:.3f}, {basis}"


def in_plain_words(verdict: Verdict, support: Support | None) -> tuple[str, ...]:
    """Return sentences that say what a verdict on a clip means, and how far to trust it.

    Args:
        verdict: The verdict.
        support: How strongly the score supports it; None if that is unknown.
    """
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
    threshold = (
        f"The threshold is {threshold_text(verdict)}. Expect more errors on other kinds of clips "
        "and fakes."
    )
    matched = [verdict.matched.sentence] if verdict.matched else []
    return (first, *_strength(support), *matched, threshold)


def support_sentence(support: Support, subject: str) -> str:
    """Return how strongly a score, called `subject`, supports a verdict."""
    start = f"{support.level.capitalize()} support for “{support.hypothesis}”:"
    other = _other(support)
    if support.basis == MATCHED and support.interval is not None:
        how = "at least as high as" if support.hypothesis == FAKE else "lower than"
        low, high = map(rounded, support.interval)
        return (
            f"{start} among validation clips made to look like this one, {support.hypothesis} ones "
            f"score {how} {subject} {rounded(support.ratio)} ({low}–{high}) times as often as "
            f"{other} ones."
        )
    return (
        f"{start} by the calibration, {subject} is {rounded(support.ratio)} times as common among "
        f"{support.hypothesis} as among {other} clips of the kind that the run was validated on."
    )


def _strength(support: Support | None) -> Iterator[str]:
    """Yield what the strength of a verdict on a clip means."""
    if support is None:
        yield (
            "How strongly the score supports this is unknown: there were no fakes among the clips "
            "on which the run was validated."
        )
        return
    yield support_sentence(support, "the score")
    if support.is_capped:
        clips = "clips"
        if support.basis == MATCHED:
            clips = "clips under these conditions that share no person or source"
        yield (
            f"The level is that of a ratio of {support.cap}: the run was validated on "
            f"{support.cap - 1} {_other(support)} {clips}, which cannot show more."
        )


def _other(support: Support) -> str:
    return REAL if support.hypothesis == FAKE else FAKE
