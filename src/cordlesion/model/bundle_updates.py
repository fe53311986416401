"""Changes of the card of a trained model: its threshold, how it is used, what is known of its errors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cordlesion.config import PostprocessConfig, PredictionConfig
from cordlesion.io.writing import write_json
from cordlesion.model.architectures import Card
from cordlesion.model.bundle import read_card
from cordlesion.model.experience import TestError, TrainingData
from cordlesion.threshold.further import FurtherRule
from cordlesion.threshold.own_rule import code_of
from cordlesion.threshold.rules import ThresholdRule


def set_threshold(folder: Path | str, threshold: ThresholdRule, minimum_volume_mm3: float | None = None) -> None:
    """Store the tuned threshold rule in a bundle, and the minimum lesion volume where that was tuned with it.

    Args:
        folder: The bundle.
        threshold: The fitted rule; of one of your own, the SHA-256 of its module is stored, too.
        minimum_volume_mm3: By default, that of the bundle stays.

    Raises:
        CordlesionError: The folder is no bundle, or a rule does not name its class.

    Examples:
        >>> import cordlesion
        >>> tuned = cordlesion.load_bundle("bundle").card.threshold
        >>> cordlesion.set_threshold("bundle", tuned)  # or a rule that was fitted elsewhere
    """
    folder = Path(folder)
    card = read_card(folder)
    postprocess = card.postprocess
    if minimum_volume_mm3 is not None:
        postprocess = postprocess.model_copy(update={"minimum_volume_mm3": minimum_volume_mm3})
    same = (card.threshold, card.postprocess) == (threshold, postprocess)
    changes = {} if same else _unmeasured(card)
    if own := code_of(threshold):
        changes["provenance"] = {**card.provenance, "code": {**card.provenance.get("code", {}), **own}}
    _update_card(folder, card, threshold=threshold, postprocess=postprocess, **changes)


def set_further_rules(folder: Path | str, rules: Mapping[str, FurtherRule]) -> None:
    """Store the threshold rules of a bundle beside its own, in place of those that it has.

    Args:
        folder: The bundle.
        rules: By the names that ``segment --threshold-rule`` takes; of one of your own, the SHA-256 of its module is
            stored, too.

    Raises:
        CordlesionError: The folder is no bundle, or a rule does not name its class.
    """
    folder = Path(folder)
    card = read_card(folder)
    if _as_json(card.further_rules) == _as_json(rules):
        return
    changes: dict[str, object] = {"further_rules": dict(rules)}
    if own := {path: hashes for one in rules.values() for path, hashes in code_of(one.rule).items()}:
        changes["provenance"] = {**card.provenance, "code": {**card.provenance.get("code", {}), **own}}
    _update_card(folder, card, **changes)


def set_inference(
    folder: Path, prediction: PredictionConfig, postprocess: PostprocessConfig, volumes_mm3: Sequence[float] = ()
) -> None:
    """Store how the network is used. Where that changes, threshold rules are removed: they were tuned for the old way.

    Args:
        folder: The bundle.
        prediction: From patches to a map.
        postprocess: What is no lesion however probable.
        volumes_mm3: Minimum lesion volumes of which tuning chooses one; the one in the bundle stays.
    """
    card = read_card(folder)
    tuned = card.postprocess.minimum_volume_mm3
    if card.threshold is not None and tuned in volumes_mm3:
        postprocess = postprocess.model_copy(update={"minimum_volume_mm3": tuned})
    if (card.prediction, card.postprocess) != (prediction, postprocess):
        untuned: dict[str, object] = {"threshold": None, "further_rules": {}, **_unmeasured(card)}
        _update_card(folder, card, prediction=prediction, postprocess=postprocess, **untuned)


def forget_threshold(folder: Path) -> None:
    """Remove the tuned threshold rules from a bundle: what they were tuned for has changed."""
    card = read_card(folder)
    if card.threshold is not None or card.further_rules:
        _update_card(folder, card, threshold=None, further_rules={}, **_unmeasured(card))


def set_training_data(folder: Path, training_data: TrainingData) -> None:
    """Store what a model was trained on; what is known of its test error stays."""
    card = read_card(folder)
    if card.experience is not None and card.experience[0] != training_data:
        _update_card(folder, card, training_data=training_data)


def set_experience(folder: Path, training_data: TrainingData, test_error: TestError) -> None:
    """Store what a model was trained on, and what it found and falsely marked in the test set."""
    card = read_card(folder)
    known = {"training_data": training_data, "test_error": test_error}
    if card.experience not in (None, tuple(known.values())):
        _update_card(folder, card, **known)


def _as_json(rules: Mapping[str, FurtherRule]) -> dict[str, object]:
    return {name: rule.model_dump(mode="json") for name, rule in rules.items()}


def _unmeasured(card: Card) -> dict[str, object]:
    """Return the changes of a card whose masks are no longer those that were measured."""
    return {} if card.experience is None else {"test_error": None}


def _update_card(folder: Path, card: Card, **changes: object) -> None:
    write_json(folder / "model.json", card.model_copy(update=changes).model_dump(mode="json"))
