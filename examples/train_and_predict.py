"""Train on a folder of photos and masks, evaluate the model, and predict a photo with it."""

import tempfile
from pathlib import Path

import fissura
from fissura.data.synthetic.dataset import synth


def main(folder: Path, count: int = 12, epochs: int = 2) -> fissura.Prediction:
    """Write a small data set into `folder`, train on it, and return a prediction."""
    data = folder / "data"
    synth(data, count=count, size_hw=(64, 64), seed=0)
    outcome = fissura.train(
        data,
        out=folder / "run",
        options=fissura.TrainOptions(epochs=epochs, width=4, batch_size=4, margin="auto"),
    )
    report = fissura.evaluate(outcome.run, data, out=folder / "report")
    print(report.headline())
    predictor = fissura.Predictor.load(outcome.run)
    photo = next((data / "test").rglob("*.png"))
    prediction = predictor(photo)
    print(f"{prediction.crack_fraction:.1%} of {photo.name} is crack")
    return prediction


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
