"""What a bundle says of itself, in words for people who did not train it."""

from cordlesion.model.bundle import Card, GlobalThreshold, SctCard


def describe_model(card: Card) -> str:
    """Say what network it is and where it comes from."""
    origin = card.provenance
    if isinstance(card, SctCard):
        parts = ["lesion network of the Spinal Cord Toolbox"]
        parts += [f"from {origin['source']}"] if "source" in origin else []
        parts += [f"{origin['reference']}"] if "reference" in origin else []
        return "; ".join(parts)
    loss = origin.get("loss")
    name = loss.get("label") or loss.get("name") if isinstance(loss, dict) else None
    parts = ["3-D U-Net trained with cordlesion"] + ([str(origin["cordlesion"])] if "cordlesion" in origin else [])
    trained = [" ".join(parts)]
    trained += [f"loss {name}"] if name else []
    trained += [f"seed {origin['seed']}"] if "seed" in origin else []
    return ", ".join(trained)


def describe_threshold(threshold: GlobalThreshold | None, cut: float) -> str:
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
