"""The model card: what people should know of a model before they use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.wording import counted

if TYPE_CHECKING:
    from model.bundle import ModelBundle, Provenance

CELL_NAMES = {"gru": "GRU", "lstm": "LSTM", "rnn": "plain recurrent network"}
FEATURE_NAMES = {
    "log_mel": "log-mel features",
    "spectrogram": "the log-power spectrum",
    "mfcc": "mel-frequency cepstral coefficients",
}


def describe(bundle: ModelBundle) -> str:
    """Return the model card: what the model is, what it learned from, how well it does."""
    provenance = bundle.provenance
    hours = [f"| {name or 'unnamed'} | {value:.1f} |" for name, value in provenance.hours.items()]
    figures = [f"{name} {value:.4f}" for name, value in provenance.evaluation.items()]
    versions = [f"{name} {version}" for name, version in provenance.versions.items()]
    return "\n".join(
        [
            f"# {bundle.name}",
            "",
            f"{_network_text(bundle)} It reads {FEATURE_NAMES[bundle.features.kind]} of speech at "
            f"{bundle.features.sample_rate} Hz and gives one prediction every "
            f"{1000 * bundle.network.stride * bundle.features.frame_s:.0f} ms.",
            "",
            "## Training",
            "",
            *_start_text(provenance),
            f"{provenance.steps} steps, {provenance.minutes:.0f} minutes, "
            f"{provenance.speech_hours:.0f} hours of speech with every pass counted"
            f"{f'; the weights are an {provenance.weights}' if provenance.weights else ''}, from:",
            "",
            "| Corpus | Hours |",
            "| --- | ---: |",
            *hours,
            "",
            *([provenance.notes.strip(), ""] if provenance.notes else []),
            f"Libraries: {', '.join(versions) or 'not recorded'}.",
            "",
            "## Error rates",
            "",
            f"As judged in the training: {', '.join(figures) or 'not recorded'}.",
            "",
            *([provenance.report.strip(), ""] if provenance.report else []),
            "## Limits",
            "",
            "It knows what its corpora hold and no more: their language, accents, microphones "
            "and rooms. It writes neither punctuation, capitals nor digits. Judge it on your own "
            "recordings before relying on it.",
            "",
        ]
    )


def _start_text(provenance: Provenance) -> list[str]:
    """Return lines on the model that a training started from; none where it had none."""
    name = provenance.recipe.get("init", {}).get("name")
    return [f"Fine-tuned from the model {name}, then:", ""] if name else []


def _network_text(bundle: ModelBundle) -> str:
    """Return a sentence that tells the kind and size of a network."""
    network = bundle.network
    way = "bidirectional" if network.bidirectional else "unidirectional"
    size = sum(array.size for array in bundle.weights.values())
    parts = [f"{size / 1e6:.2f} million weights"]
    if network.kernels:
        count = counted(len(network.kernels), "convolution")
        dilated = f", dilated by {max(network.dilations)}" if network.dilations else ""
        parts.append(f"{count} of {network.filters} channels{dilated}")
    parts.append(f"{counted(network.layers, 'layer')} of {network.units} units")
    if network.normalisation != "none":
        parts.append(f"{network.normalisation} normalisation")
    if not network.dense:
        parts.append("no dense layer")
    parts.append(f"{bundle.alphabet.size} symbols")
    return f"A {way} {CELL_NAMES[network.cell]} with CTC outputs: {', '.join(parts)}."
