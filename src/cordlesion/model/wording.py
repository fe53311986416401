"""What a model is, in words for people who did not train it."""

from cordlesion.model.bundle import Card, SctCard


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
