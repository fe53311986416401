"""The methods section on networks, losses, comparators and masks."""

from collections.abc import Sequence

from cordlesion.config import Blending, ComparatorConfig, LossConfig, NetworkConfig, StudyConfig, TrainingConfig
from cordlesion.losses.table import LOSSES
from cordlesion.pictures.style import loss_name
from cordlesion.report.methods.citing import Cite, MethodsContext
from cordlesion.report.words import enumerate_words

_WORDS: dict[str, str] = {
    "fn_weight": "α = {:g} on false negatives",
    "fp_weight": "{:g} on false positives",
    "exponent": "γ = {:g}",
    "ce_weight": "{:g} on the cross-entropy",
    "lesion_weight": "{:g} on lesion in it",
}
"""How parameters of losses are printed; others by their names."""
_OPTIMIZERS = {"adam": ("Adam", "kingma2015"), "adadelta": ("Adadelta", "zeiler2012")}
_KINDS = {
    "bundle": "a trained model, run with its own preprocessing",
    "maps": "probability maps",
    "npz": "probability maps",
    "masks": "masks",
}
_WINDOWS: dict[Blending, str] = {
    "mean": "averaged",
    "gaussian": "averaged with Gaussian weights",
    "hann": "averaged with the weights of a Hann window {cite}",
}


def training(study: MethodsContext) -> str:
    """Describe which network was trained and how."""
    how = study.config.runs[0].training
    return (
        f"{_network(study)} Training used batches of {how.batch_size} "
        "patches with and without lesion, mirrored and turned by quarter turns in the axial plane at random, and "
        f"{_optimizer(how, study.cite)}{_exceptions(study.config, study.cite)}; {_schedule(how, study.cite)}. "
        f"{_length(how)}, and the epoch with the lowest validation loss was kept.{_average(how)}"
    )


def _network(study: MethodsContext) -> str:
    config = study.config.network
    if config.is_imported:
        given = ", ".join(f"{key} = {value}" for key, value in config.parameters.items())
        return f"The network was {config.name}, code from outside of cordlesion{f' ({given})' if given else ''}."
    how = study.config.runs[0].training
    filters = ", ".join(str(n) for n in config.filters)
    network = f"The network was a 3-D U-Net {study.cite('cicek2016')} with {filters} filters at its levels, two"
    return (
        f"{network} 3 × 3 × 3 convolutions per level, each followed by batch normalisation and a rectified linear unit."
        f"{_start(how) if how.start_from else _prior(study.config, study.cite)}{_layers(config)}"
    )


def losses(study: MethodsContext) -> str:
    """Name the losses, with their sources and what differs from the published parameters."""
    named = enumerate_words([_loss(loss, study.cite) for loss in study.config.losses])
    was = "The loss function was" if len(study.config.losses) == 1 else "The loss functions were"
    published = "with the parameters of their publications where none are given"
    return f"{was} {named}, {published}.{_sums(study.config.losses)}"


def _sums(losses: Sequence[LossConfig]) -> str:
    """Describe over what the sums of overlap losses run, and what is added to them."""
    overlap = [(loss, LOSSES[loss.name].overlap) for loss in losses if loss.name in LOSSES]
    overlap = [(loss, kind) for loss, kind in overlap if kind]
    if not overlap:
        return ""
    apart = enumerate_words([loss_name(loss.title) for loss, _ in overlap if loss.parameters.get("per_patch")])
    bare = enumerate_words([loss_name(loss.title) for loss, kind in overlap if kind == "unsmoothed"])
    patches = f" (of {apart}: over each patch)" if apart else ""
    smoothed = any(kind == "smoothed" for _, kind in overlap)
    added = "; 1 was added to both sides of the ratio" if smoothed else ""
    return f" Overlaps were of sums over the whole batch{patches}{added}{f', but not in {bare}' if bare else ''}."


def ensembles(study: MethodsContext) -> str:
    """Describe the means of several trainings that were evaluated as methods; empty where there are none."""
    found, n_seeds = study.results.ensembles, len(study.config.seeds)
    if not found:
        return ""
    several = [one for one in found.values() if len(one.losses) > 1]
    parts = [f"of the {n_seeds} trainings of each loss"] if len(several) < len(found) else []
    parts += [
        f"of all trainings with {enumerate_words([loss_name(loss) for loss in one.losses])} ({one.name})"
        for one in several
    ]
    return (
        f"The means of the probability maps {enumerate_words(parts)} were further methods (ensembles "
        f"{study.cite('lakshminarayanan2017')}): each had a threshold of its own, chosen as below. For them and for "
        "single networks, error-retention curves showed on the test set whether uncertainty points at errors "
        f"{study.cite('molchanova2025')}."
    )


def comparators(study: MethodsContext) -> str:
    """Name the methods that were not trained here; empty where there are none."""
    if not study.config.comparators:
        return ""
    named = enumerate_words([_comparator(one) for one in study.config.comparators])
    return f"Not trained here, and measured on the same scans: {named}."


def masks(study: MethodsContext) -> str:
    """Describe how probability maps came about, and what was removed from the masks."""
    prediction = study.config.prediction
    cited = study.cite("pielawski2020") if prediction.blending == "hann" else ""
    blended = _WINDOWS[prediction.blending].format(cite=cited)
    near = f" up to {prediction.radius_mm:g} mm from the centerline" if prediction.radius_mm else ""
    mirrored = " and over the eight mirrored copies of each patch" if prediction.mirror else ""
    overlap = f"{100 * study.config.patches.overlap_fraction:g} %"
    return (
        f"Probabilities of patches that overlap by {overlap} were {blended}{mirrored}, and{near} carried back to each "
        "scan's own grid by linear interpolation. A voxel was segmented where its probability was at least the "
        "threshold. "
        f"{_removal(study.config, study.cite)}"
    )


def _prior(config: StudyConfig, cite: Cite) -> str:
    prior = config.network.prior
    if prior == NetworkConfig().prior:
        return ""
    return f" Its output bias was set so that it starts at a lesion probability of {prior:g} {cite('lin2017')}."


def _average(how: TrainingConfig) -> str:
    if how.average is None:
        return ""
    return (
        " The weights that were validated and kept were an exponential average, of which each step kept a share of "
        f"{how.average:g}."
    )


def _start(how: TrainingConfig) -> str:
    """Describe the first weights where they are those of a trained model."""
    name = "the model in the package of cordlesion" if how.start_from == "packaged" else "another trained model"
    return f" The first weights were those of {name}."


def _length(how: TrainingConfig) -> str:
    if how.early_stopping_epochs:
        n = how.early_stopping_epochs
        return f"Training ended after {n} epochs without a lower validation loss, at most {how.epochs}"
    return f"There {'was one epoch' if how.epochs == 1 else f'were {how.epochs} epochs'}"


def _optimizer(how: TrainingConfig, cite: Cite) -> str:
    name, key = _OPTIMIZERS[how.optimizer]
    rho = f", ρ = {how.rho:g}" if how.optimizer == "adadelta" else ""
    epsilon = f", ε = {how.epsilon:g}" if how.epsilon else ""
    return f"{name} {cite(key)} at a rate of {how.learning_rate:g}{rho}{epsilon}"


def _layers(network: NetworkConfig) -> str:
    """Describe what of the layers differs from PyTorch's defaults."""
    usual, differences = NetworkConfig(), []
    if network.initialization == "glorot":
        differences.append("first weights were uniform after Glorot and Bengio, biases 0")
    if network.normalization_momentum != usual.normalization_momentum:
        differences.append(
            f"each batch entered the running mean and variance with a share of {network.normalization_momentum:g}"
        )
    if network.normalization_epsilon != usual.normalization_epsilon:
        differences.append(f"{network.normalization_epsilon:g} was added to variances")
    return f" Of its layers, {enumerate_words(differences)}." if differences else ""


def _exceptions(config: StudyConfig, cite: Cite) -> str:
    """Describe which losses were trained with an optimiser or a rate of their own."""
    usual = (config.training.optimizer, config.training.learning_rate)
    runs = {run.loss.title: run for run in config.runs}
    exceptions = [
        f"{loss_name(title)}: {_optimizer(run.optimization, cite)}"
        for title, run in runs.items()
        if (run.optimization.optimizer, run.optimization.learning_rate) != usual
    ]
    return f" ({'; '.join(exceptions)})" if exceptions else ""


def _schedule(how: TrainingConfig, cite: Cite) -> str:
    if how.schedule == "cosine":
        return f"the rate fell to 0 along a cosine {cite('loshchilov2017')}"
    return f"the rate was halved after {how.patience_epochs} epochs without a lower validation loss"


def _loss(loss: LossConfig, cite: Cite) -> str:
    row = LOSSES.get(loss.name)
    published = {name: row.parameters[name] for name in row.stated} if row else {}
    keys = row.references if row else ("monai2022",) if loss.name.startswith("monai:") else ()
    given = ", ".join(_parameter(*one) for one in (published | loss.parameters).items())
    name = loss_name(loss.title)
    printed = "binary cross-entropy" if loss.title == "bce" else name
    return printed + (f" ({given})" if given else "") + (f" {cite(*keys)}" if keys else "")


def _parameter(key: str, value: object) -> str:
    if key == "squared":
        return "sums of squares in the denominator" if value else "plain sums in the denominator"
    if key in _WORDS and isinstance(value, int | float):
        return _WORDS[key].format(value)
    return f"{key.replace('_', ' ')} {value}"


def _comparator(one: ComparatorConfig) -> str:
    cut = f", cut at {one.threshold:g}" if one.threshold else ""
    tuned = ", whose threshold was chosen as below" if one.is_tuned else ""
    return f"{loss_name(one.name)} ({_KINDS[one.kind]}{cut}{tuned})"


def _removal(config: StudyConfig, cite: Cite) -> str:
    removal, sentences = config.postprocess, []
    if removal.cord_margin_mm is not None:
        sentences.append(f"Nothing farther than {removal.cord_margin_mm:g} mm from the cord mask was kept.")
    if removal.minimum_volume_mm3:
        sentences.append(f"Components of up to {removal.minimum_volume_mm3:g} mm³ were removed {cite('vincent1993')}.")
    if tried := config.threshold.minimum_volumes_mm3:
        volumes = enumerate_words([f"{volume:g}" for volume in tried])
        sentences.append(
            f"Components were removed {cite('vincent1993')} up to a volume that was chosen together with the threshold "
            f"among {volumes} mm³."
        )
    return " ".join(sentences) or "Nothing was removed from the masks."
