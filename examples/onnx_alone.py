"""Find cracks with an exported model: ONNX Runtime and Pillow alone, no torch, no Fissura.

fissura export crackseg-small cracks.onnx
python examples/onnx_alone.py cracks.onnx photo.jpg mask.png
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(model, photo, out):
    """Write the mask of a photo and return the fraction of crack pixels."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    scale, threshold = float(told["scale"]), float(told["threshold"])
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    seen = image
    if scale != 1:
        width, height = (max(round(side * scale), 1) for side in image.size)
        seen = image.resize((width, height), Image.Resampling.BOX)
    (probability,) = session.run(["probability"], {"image": np.asarray(seen)[None]})
    prob = Image.fromarray(probability[0, 0]).resize(image.size, Image.Resampling.BILINEAR)
    mask = np.asarray(prob) >= threshold
    Image.fromarray(mask).save(out)
    return mask.mean()


if __name__ == "__main__":
    print(f"{main(*sys.argv[1:]):.2%} of the photo is crack.")
