"""The histogram: fractions of the widths, and memory that does not grow."""

from xml.etree import ElementTree

import numpy as np
import pytest

from fissura.inspection.report.histogram import Widths, histogram_svg


class TestHistogram:
    def bars(self, svg):
        return list(ElementTree.fromstring(svg).iter("rect"))

    def test_fractions_and_limit(self):
        widths = Widths()
        widths.add(np.repeat([0.1, 0.2, 0.5], [50, 30, 20]))
        svg = histogram_svg(widths, "mm", limit=0.3)
        heights = [float(bar.get("height")) for bar in self.bars(svg)]
        np.testing.assert_allclose(np.array(heights) / sum(heights), [0.5, 0.3, 0.2], atol=0.01)
        assert [bar.get("class") for bar in self.bars(svg)] == ["bar", "bar", "bar over"]
        assert "limit 0.3 mm" in svg

    def test_few_wide_ones_do_not_flatten_the_rest(self):
        widths = Widths()
        widths.add(np.concatenate([np.linspace(0.1, 1, 999), [500.0]]))
        svg = histogram_svg(widths, "px")
        assert len(self.bars(svg)) > 10
        assert "this and wider" in svg
        assert "the widest 500 px" in svg

    def test_nan_zero_and_nothing(self):
        widths = Widths()
        widths.add(np.array([np.nan, 0.0]))
        widths.add(np.zeros(0))
        assert not widths.counts
        widths.add(np.array([2.0]))
        assert len(self.bars(histogram_svg(widths, "px"))) == 1

    def test_memory_does_not_grow(self):
        widths = Widths()
        for seed in range(5):
            widths.add(np.random.default_rng(seed).uniform(1, 10, 20000))
        assert len(widths.counts) <= 901
        assert sum(widths.counts.values()) == 100000
        assert widths.quantile(0.5) == pytest.approx(5.5, abs=0.1)
