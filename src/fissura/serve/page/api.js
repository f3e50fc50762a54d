// Requests to the desk, and what can go wrong with them.

export class Refusal extends Error {
  // The server answered, and not with what was asked for.
  constructor(status, sentence, body, retryAfter) {
    super(sentence);
    Object.assign(this, { status, body, retryAfter });
  }
}

export class Lost extends Error {} // No answer: the server or the way to it is gone.

async function request(method, path, body) {
  const headers = method === "GET" ? {} : { "X-Fissura-Desk": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`/v1/${path}`, {
      method, headers, cache: "no-store", credentials: "same-origin", priority: "high",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw new Lost(error.message);
  }
  return read(response.status, () => response.json(), response.headers.get("Retry-After"));
}

async function read(status, content, retryAfter) {
  let body = null;
  try { body = await content(); } catch { /* no JSON, or half of it: the status tells */ }
  if (status >= 200 && status < 300 && body === null) throw new Lost("the answer ends early");
  if (status >= 200 && status < 300) return body;
  if (status >= 500) throw new Lost(`${status}`);
  throw new Refusal(status, body?.error ?? `${status}`, body, Number(retryAfter) || null);
}

export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body ?? {});

// Send one photo and tell how far it is; fetch can't tell that.
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("files", file, file.name);
    const sending = new XMLHttpRequest();
    sending.open("POST", "/v1/photos");
    sending.setRequestHeader("X-Fissura-Desk", "1");
    sending.upload.onprogress = (event) => onProgress(event.loaded / Math.max(event.total, 1));
    sending.onerror = () => reject(new Lost("upload"));
    sending.onload = () => {
      read(sending.status, async () => JSON.parse(sending.responseText),
        sending.getResponseHeader("Retry-After")).then(resolve, reject);
    };
    sending.send(form);
  });
}

export const thumbnail = (id) => `/v1/photos/${encodeURIComponent(id)}/thumbnail.jpg`;
export const photoPath = (id) => `photos/${encodeURIComponent(id)}`;
export const result = (name) => (name.startsWith("/") ? name : `/v1/results/${name.split("/").map(encodeURIComponent).join("/")}`);
