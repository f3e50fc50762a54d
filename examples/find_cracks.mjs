// Find cracks with an exported model in JavaScript, in a browser or in Node, by onnxruntime-web.
//
//     fissura export crackseg-small cracks.onnx
//
// find_cracks.html beside this file is a page that uses it.

// `ort` is onnxruntime-web, `bytes` the content of the .onnx file.
export async function loadModel(ort, bytes) {
  const told = entries(bytes);
  const session = await ort.InferenceSession.create(bytes);
  return { ort, session, threshold: Number(told.threshold), scale: Number(told.scale), told };
}

// `rgba` are the pixels of a canvas (getImageData), of which the model sees red, green and blue.
// A model whose scale is not 1 wants photos that were resized by it. Returns 255 where crack is.
export async function findCracks(model, rgba, width, height) {
  const rgb = new Uint8Array(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) rgb[3 * pixel + c] = rgba[4 * pixel + c];
  }
  const image = new model.ort.Tensor("uint8", rgb, [1, height, width, 3]);
  const { probability } = await model.session.run({ image });
  return Uint8Array.from(
    probability.data.subarray(0, width * height),
    (prob) => (prob >= model.threshold ? 255 : 0),
  );
}

// What the file says of itself. onnxruntime-web does not give it, so read it from the file, which
// is a Protocol Buffer: entries are its field 14, with the name as field 1 and the text as field 2.
export function entries(bytes) {
  const found = {};
  for (const [field, value] of fields(bytes)) {
    if (field !== 14) continue;
    const pair = Object.fromEntries(fields(value));
    const text = (part) => new TextDecoder().decode(part);
    found[text(pair[1])] = text(pair[2] ?? new Uint8Array());
  }
  return found;
}

function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const [field, kind] = [Math.floor(tag / 8), tag % 8];
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else {
      const length = varint();
      yield [field, bytes.subarray(at, at + length)];
      at += length;
    }
  }
}
