"""The paper's data sets; its private PanelCrack has `fissura.study.data.panels` as a stand-in."""

from fissura.study.data import DataSet

DEEPCRACK = DataSet("deepcrack", "DeepCrack-DB", "deepcrack96")
CRACK500 = DataSet("crack500", "CRACK500", "crack500")
# Whole tiles with cracks and without, in 40 groups of exposures that stay together.
MAGNETIC_TILE = DataSet("magnetic_tile", "Magnetic tile", "native", crop=128)
