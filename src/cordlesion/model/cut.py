"""Which threshold a bundle's probability maps are cut at, and where it comes from."""

from cordlesion.errors import CordlesionError
from cordlesion.model.bundle import AnyBundle, Card, GlobalThreshold, SctBundle, SctCard


def choose_cut(bundle: AnyBundle, threshold: float | None, name: object) -> float:
    """Return the threshold to cut a bundle's maps at: the user's, or else the bundle's own.

    Args:
        bundle: The model.
        threshold: What the user gave.
        name: What the bundle is called in messages.

    Raises:
        CordlesionError: There is none, it is out of range, or the bundle gives masks that are cut already.
    """
    if threshold is not None:
        if isinstance(bundle, SctBundle) and bundle.card.prediction.cut not in (None, threshold):
            raise CordlesionError(
                f"{name}: gives the mask that SCT ships, but a threshold was given; probabilities are needed for one. "
                "Leave out --threshold, or import the variant soft."
            )
        if not 0 < threshold <= 1:
            raise CordlesionError(
                f"the threshold is {threshold:g}; a value above 0 and up to 1 is needed. Give another --threshold."
            )
        return threshold
    if bundle.card.threshold is None:
        raise CordlesionError(
            f"{name}: has no tuned threshold; one is needed to make a mask. Tune it in a study, or give --threshold."
        )
    if bundle.card.threshold.value == 0 or not bundle.card.threshold.learned:
        raise CordlesionError(
            f"{name}: the model learned too little: when it was tuned, no threshold did better than 0, which marks "
            "every voxel. Train it longer, or give --threshold."
        )
    return bundle.card.threshold.value


def gives_masks(card: Card) -> bool:
    """Say whether a model's maps are masks, which hold no probabilities (SCT's networks as shipped)."""
    return isinstance(card, SctCard) and card.prediction.cut is not None


def describe_cut(threshold: GlobalThreshold | None, cut: float) -> str:
    """Say where the threshold of a mask comes from.

    Args:
        threshold: The model's own.
        cut: The one that was used.
    """
    if threshold is None:
        return "given by the user; the model has none of its own"
    if threshold.value != cut:
        return f"given by the user; the model's own is {threshold.value:g}"
    if threshold.objective.startswith("none"):
        return "the model's own, as it was published; it was not tuned"
    span = "" if threshold.interval is None else ", 95 % interval {:g} to {:g}".format(*threshold.interval)
    goal = threshold.objective.replace("_", " ").replace(" f1", " F1")
    return f"the model's own, tuned on scans set aside for that (objective: {goal}{span})"
