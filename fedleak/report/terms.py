"""The terms of the reports, explained on the page itself, so that it can be read offline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A term and what it means."""

    name: str
    meaning: str

    @property
    def anchor(self) -> str:
        """Identifier of the term on the page."""
        return f"term-{self.name.lower().replace(' ', '-')}"


TERMS: tuple[Term, ...] = (
    Term("Update", "What a client shares in a round: a gradient (FedSGD) or the change of its weights (FedAvg)."),
    Term("Victim", "A client whose update is attacked. Its images are known to the scoring alone."),
    Term("Pair", "An image that the adversary injected through one client, and the update that came of it."),
    Term("Baseline", "A reconstruction that uses no update: the mean public image, a random one, the nearest one."),
    Term("Adaptive", "An attack that takes into account what clients do to their updates before they share them."),
    Term(
        "MSE", "Mean squared error of an image with pixels in [0, 1], after matching inside the batch; lower is closer."
    ),
    Term(
        "PSNR", "Peak signal-to-noise ratio in dB, minus ten times the decimal logarithm of the MSE; higher is closer."
    ),
    Term("SSIM", "Structural similarity, at most 1; higher is closer."),
    Term("LPIPS", "Distance of deep features, close to what people see as different; lower is closer."),
    Term("BRR", "Batch reconstruction rate: the share of a batch's images that leak, by the indicator 'leaked'."),
    Term("WSRR", "Worst-sample reconstruction rate: how often the most vulnerable image of a batch leaks over starts."),
    Term("IIP", "Image identifiability precision: how often the nearest original of a reconstruction is its own."),
    Term("IGSA", "Input-gradient smoothness of Du et al. 2024 (Eq. 10): high where gradients are easy to invert."),
    Term("Matching loss", "Distance between the shared update and that of the reconstruction."),
    Term("Interval", "The 95 % interval of a mean over updates or seeds, whose images are correlated."),
    Term(
        "SoK level",
        "Threat level 0 to 5 of Du et al. 2024 (arXiv 2404.05403): 0 updates and model, 1 pixel statistics, "
        "2 own images, 3 training details, 4 batch statistics, 5 more than an observer has.",
    ),
    Term(
        "Threat model",
        "Models of Carletti et al. 2025 (USENIX Security): A eavesdropper, B with basic knowledge, C with training "
        "details, D with surrogate data, E with statistics of the clients' data; F, G, H manipulate the model.",
    ),
    Term("Privacy loss", "Epsilon and delta of differential privacy: small values bound what one example can change."),
)
