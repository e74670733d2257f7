/* Storing changes at once, one request after the other, the newest state last. */

import { explain, path, send, ServerError } from "./api.js";

const RETRY_MS = 2000;

export class Saver {
  #busy = false;
  #wanted = null;

  /**
   * @param told called with "", "storing", "stored" or "failed", and a sentence
   */
  constructor(name, version, told) {
    this.name = name;
    this.version = version;
    this.told = told;
    this.isStopped = false;
  }

  get isPending() {
    return this.#busy || this.#wanted !== null;
  }

  /** Store what the function gives at the moment of sending. */
  store(content) {
    if (this.isStopped) return;
    this.#wanted = content;
    this.#send();
  }

  async settled() {
    while (this.isPending && !this.isStopped) await new Promise((resolve) => setTimeout(resolve, 20));
    return !this.isStopped;
  }

  async #send() {
    if (this.#busy || this.#wanted === null) return;
    this.#busy = true;
    const content = this.#wanted;
    this.#wanted = null;
    this.told("storing", "");
    let again = 0;
    try {
      const { version } = await send("PUT", `/api/clip/${path(this.name)}`, content(this.version));
      this.version = version;
      if (this.#wanted === null) this.told("stored", ""); // else a newer change is on its way
    } catch (error) {
      this.#wanted ??= content;
      if (error instanceof ServerError) {
        this.isStopped = true;
        this.told(error.status === 409 ? "changed" : "refused", explain(error));
      } else {
        this.told("failed", explain(error));
        again = RETRY_MS;
      }
    }
    this.#busy = false;
    if (this.#wanted !== null && !this.isStopped) setTimeout(() => this.#send(), again);
  }
}
