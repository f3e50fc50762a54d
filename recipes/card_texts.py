"""What the cards of the shipped models say in words; figures come from what was recorded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Texts:
    """The sentences of a card.

    Attributes:
        purpose: What the model is for.
        terms: What follows the terms in short, before the list of sets.
        not_trained_on: Sets that it has not seen.
        start: What the training went on from.
        known: Title of the figures on sets of which it has seen other images.
        failures: What overlays showed to a person who looked at them.
    """

    purpose: str
    terms: str
    not_trained_on: str
    start: str
    known: str
    failures: str


GENERAL_FAILURES = (
    "In 42 overlays of seven surfaces, drawn at random, and 13 alarms on photos without cracks it "
    "did this: six cracks of DeepCrack are found whole, stones in them as well. In asphalt of "
    "coarse stones (CRACK500) wide cracks, those filled with dirt or rubble too, are found over "
    "their width but for places where the rubble is bright; a gap in a crack is bridged, a crack "
    "at the corner of a photo is missed, and shadows between stones at an edge are called crack. "
    "In shadowcrack a crack in a coarse brown surface and a gap at the edge of the photo are "
    "missed almost whole in two images of six, half of the cracks in another, crumbled ones are "
    "found beside their label; cracks across shadows and hairlines are found. On magnetic tiles "
    "the crack is missed in four images of six, and found in two as a line thinner than its "
    "label; rims of stains and scratches are taken for cracks. On concrete and plaster a hairline "
    "is found whole or in pieces, and goes on beyond its label; a gap below a ledge and a crack "
    "within coarse plaster are missed by half and whole, so is a crack drawn on rough plaster, "
    "and the finest branches of map cracks; a dark corner and veins of stone are called crack. On "
    "concrete without cracks dents, ridges and a faint seam are taken for cracks; on textures "
    "nothing is."
)

RESEARCH_FAILURES = (
    "In 36 overlays of six test sets, drawn at random, and 14 alarms on photos without cracks it "
    "did this: six cracks of DeepCrack are found whole, stones in them as well. On CRACK500 wide "
    "cracks are found as they are labeled, rubble and all, and a little wider; a gap in a crack is "
    "bridged, and shadows between stones at the edge of a photo are called crack. On magnetic "
    "tiles the crack is missed in four images of six and found in two as a line thinner than its "
    "label, in one of them at its end alone; rims of stains and scratches are taken for cracks: "
    "take `fissura-general` there. On concrete a gap below a ledge is missed by half, a hairline "
    "is found in pieces, and goes on beyond its label. On plaster hairlines are found but for "
    "their faint branches, a crack in coarse plaster but for its end; a crack drawn on rough "
    "plaster is missed, veins of stone and a dark corner are called crack. On concrete without "
    "cracks dents, scratches and a dark corner are taken for cracks, and on one texture the "
    "strokes of a trowel."
)

TEXTS = {
    "fissura-general": Texts(
        purpose=(
            "Finds cracks in photos of surfaces that nobody trained it for: concrete, plaster, "
            "masonry, asphalt, from near by and from afar, pixel by pixel. Commands take it where "
            "no model is named: `fissura inspect photos`."
        ),
        terms=("All sets that they were trained on permit that, by what their publishers state:"),
        not_trained_on=(
            "DeepCrack, CRACK500, Magnetic Tile and shadowcrack were not trained on, and their "
            "figures below chose nothing; of the training images of DeepCrack and CRACK500, 148 "
            "were looked at when a fraction of weights was chosen, and 100 when it was "
            "settled which photos are seen smaller or larger (`docs/models.md`)."
        ),
        start=(
            "which went on from the weights after 1400 steps of 48 crops on a GPU, as these did "
            "from 0.6 of the weights after 2100 steps of 12 crops with drawn surfaces of stones "
            "and 0.4 of those before, after 2100 steps with worn cracks and 3600 others, whose "
            "encoder came from ImageNet"
        ),
        known=(
            "Groups kept out of its training (epoch and threshold were chosen on them, so that "
            "they flatter it)"
        ),
        failures=GENERAL_FAILURES,
    ),
    "fissura-research": Texts(
        purpose=(
            "Finds cracks pixel by pixel where it may be used: for research, on pavements and "
            "concrete like DeepCrack's and CRACK500's, and on the surfaces of `fissura-general`, "
            "which it went on from: `fissura predict photos --model fissura-research`."
        ),
        terms=(
            "Some of the sets that they were trained on restrict them. Those of `fissura-general`, "
            "which it went on from, were trained on before (`fissura models fissura-general`):"
        ),
        not_trained_on=(
            "Test splits were left out: DeepCrack's own, blocks of CRACK500. Magnetic Tile was "
            "neither trained on nor chosen on; shadowcrack was trained on as a whole, so that no "
            "figures are given on it."
        ),
        start=(
            "which went on from `fissura-general` as a GPU had left it (the weights before, below, "
            "are this model's own until then, of 2400 steps of 12 crops and 3200 of 9)"
        ),
        known="Other images of sets that it was trained on",
        failures=RESEARCH_FAILURES,
    ),
}
