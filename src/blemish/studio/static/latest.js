// Requests of one kind, of which the latest wins.

import { attempt, post } from "./api.js";

export class Latest {
  constructor() {
    this.turn = 0;
  }

  /** The answer; null after a mistake, undefined if a later request or `drop` has taken its place. */
  async post(path, body) {
    const turn = this.drop();
    this.requested = new AbortController();
    const found = await attempt(() => post(path, body, { signal: this.requested.signal }));
    return turn === this.turn ? found : undefined;
  }

  /** Forget the request that is under way. */
  drop() {
    this.requested?.abort();
    return ++this.turn;
  }
}
