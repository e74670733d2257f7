/* Requests to the server of this page. */

export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function answer(response, read = (good) => good.json()) {
  if (response.ok) return read(response);
  let message = response.statusText;
  try {
    message = (await response.json()).error ?? message;
  } catch {
    // no JSON: the guard or a crash
  }
  throw new ServerError(response.status, message);
}

export const path = (name) => name.split("/").map(encodeURIComponent).join("/");

export async function get(url) {
  return answer(await fetch(url));
}

export async function bytes(url) {
  return answer(await fetch(url), (response) => response.arrayBuffer());
}

export async function bytesAndContext(url) {
  return answer(await fetch(url), async (good) => ({
    buffer: await good.arrayBuffer(),
    before: Number(good.headers.get("X-Before-Ms")),
  }));
}

export async function send(method, url, content) {
  const headers = { "Content-Type": "application/json" };
  return answer(await fetch(url, { method, headers, body: JSON.stringify(content) }));
}

export function explain(error) {
  if (!(error instanceof ServerError)) {
    return "The program that serves this page has ended. Start it again in the terminal, and open the address that it prints.";
  }
  if (error.status === 403) return "The program was started anew: open the address that it printed.";
  return error.message;
}
